"""TensorBoard's event files, read back by its own reader."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from detkit.cli.main import main
from detkit.errors import ConfigError
from detkit.training import tensorboard as tensorboard_module
from detkit.training.hooks import MetricsWriter
from detkit.training.tensorboard import TensorBoard, mirror, refuse_without_tensorboard
from detkit.training.trainer import Trainer


@pytest.fixture
def points():
    """Reads what TensorBoard would show of a folder: (step, value) by name."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def read(folder):
        events = EventAccumulator(str(folder))
        events.Reload()
        return {name: [(p.step, p.value) for p in events.Scalars(name)] for name in events.Tags()["scalars"]}

    return read


def train(path, folder, start, stop, sign=1):
    hooks = [MetricsWriter(path, every=2), TensorBoard(path, folder)]
    Trainer(lambda i: {"loss": sign * i, **({"val_loss": 0.5} if i == 3 else {})}, hooks).run(start, stop)


def test_every_number_of_each_line_is_a_point_while_the_training_runs(tmp_path, points):
    path, folder = tmp_path / "metrics.jsonl", tmp_path / "events"
    seen = []

    def step(i):
        if i == 3:
            seen.append(points(folder)["loss"])
        return {"loss": i, "lr": 0.5}

    Trainer(step, [MetricsWriter(path, every=2), TensorBoard(path, folder)]).run(0, 5)
    assert seen == [[(2, 0.5)]]  # the mean of 0 and 1
    found = points(folder)
    assert found["loss"] == [(2, 0.5), (4, 2.5), (5, 4.0)] and found["lr"] == [(2, 0.5), (4, 0.5), (5, 0.5)]
    assert found.keys() == json.loads(path.read_text().splitlines()[0]).keys() - {"iteration"}


def test_a_resumed_training_shows_each_point_once(tmp_path, points):
    path, folder = tmp_path / "metrics.jsonl", tmp_path / "events"
    train(path, folder, 0, 8)
    train(path, folder, 4, 8, sign=-1)
    found = points(folder)
    assert found["loss"] == [(2, 0.5), (4, 2.5), (6, -4.5), (8, -6.5)]
    assert found["val_loss"] == [(4, 0.5)]
    assert len(list(folder.iterdir())) == 1


def test_a_training_that_has_ended_is_written_from_its_lines(tmp_path, points):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"iteration": 20, "loss": 0.25, "val_loss": 0.5}\n{"iteration": 40, "loss": 0.125}\n')
    mirror(path, tmp_path / "events")
    assert points(tmp_path / "events") == {"loss": [(20, 0.25), (40, 0.125)], "val_loss": [(20, 0.5)]}


def test_without_the_package_the_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(tensorboard_module, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'pip install "detkit\[tensorboard\]"'):
        refuse_without_tensorboard()


def test_a_run_refuses_before_it_reads_data(recipe, monkeypatch, capsys):
    monkeypatch.setattr(tensorboard_module, "find_spec", lambda name: None)
    assert main(["train", "--config", str(recipe), "RUNTIME.TENSORBOARD=true", "DATA.NAME=VOC"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("detkit train: RUNTIME.TENSORBOARD: true, but the package tensorboard is not installed")
    assert not Path("artifacts").exists()


def test_a_run_leaves_the_events_of_every_training_and_the_same_bits(trained, points):
    (network,) = Path("artifacts").glob("finetune/*/network.safetensors")
    before, made = load_file(network), network.stat().st_mtime_ns
    words = ["--from", "finetune", "--until", "finetune", "RUNTIME.TENSORBOARD=true"]
    assert main(["train", "--config", str(trained), *words]) == 0
    after = load_file(network)
    assert network.stat().st_mtime_ns > made and before.keys() == after.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    for stage in ("pretrain", "finetune"):
        line = json.loads(Path(f"runs/tiny/training/{stage}.jsonl").read_text())
        found = points(f"runs/tiny/tensorboard/{stage}")
        assert found["loss"] == [(3, pytest.approx(line["loss"]))]
        assert found.keys() == line.keys() - {"iteration"}
