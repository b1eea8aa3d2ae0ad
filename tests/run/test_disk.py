from __future__ import annotations

from pathlib import Path

import pytest

from detkit.backbones.base import LayerSpec
from detkit.cli.main import main
from detkit.config import load_config
from detkit.errors import ConfigError
from detkit.run import disk
from detkit.run.disk import DiskNeed, feature_bytes, network_bytes, refuse_small_disk, training_need
from detkit.system.files import free_bytes


def test_a_stored_row_takes_two_bytes_a_number_and_eight_for_which_row_it_is():
    # 10 rows of 6 numbers: 10 * (12 + 8) = 200; 3 rows of 2 * 2 * 4 numbers: 3 * (32 + 8) = 120
    layers = {"fc7": LayerSpec((6,)), "pool5": LayerSpec((4, 2, 2)), "fc6": LayerSpec((9,))}
    assert feature_bytes({"fc7": 10, "pool5": 3}, layers) == 320
    assert feature_bytes({}, layers) == 0


def test_free_bytes_are_those_of_the_nearest_folder_that_is_there(tmp_path):
    assert free_bytes(tmp_path / "not" / "yet") == pytest.approx(free_bytes(tmp_path), rel=0.1)


def test_a_need_as_large_as_the_disk_fits_and_a_byte_more_does_not(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "free_bytes", lambda folder: 3_000_000_000)
    refuse_small_disk(tmp_path, {"extract train": DiskNeed(2_000_000_000), "extract test": DiskNeed(1_000_000_000)})
    with pytest.raises(
        ConfigError, match=r"needs 3 GB \(extract train 3 GB\), 3 GB are free at .*FEATURES.STORE stream"
    ):
        refuse_small_disk(tmp_path, {"extract train": DiskNeed(3_000_000_001), "detect test": DiskNeed()})


def test_checkpoints_of_two_trainings_are_never_there_together(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "free_bytes", lambda folder: 7_000_000_000)
    trainings = {"pretrain": DiskNeed(1_000_000_000, 4_000_000_000), "finetune": DiskNeed(1_000_000_000, 5_000_000_000)}
    refuse_small_disk(tmp_path, trainings)
    message = r"needs 8 GB \(pretrain 1 GB, finetune 1 GB, extract test 1 GB, checkpoints 5 GB\), 7 GB are free"
    with pytest.raises(ConfigError, match=message):
        refuse_small_disk(tmp_path, trainings | {"extract test": DiskNeed(1_000_000_000)})


@pytest.mark.parametrize(
    ("there", "left"),
    [
        ({}, (100, 400)),
        ({"checkpoint": 150}, (100, 250)),
        ({"checkpoint": 450}, (100, 0)),
        ({"network": 100, "checkpoint": 200}, (0, 200)),
        ({"000001": 30, "000002": 20}, (50, 400)),
    ],
)
def test_what_lies_there_already_is_not_needed_again(tmp_path, there, left):
    for name, size in there.items():
        (tmp_path / f"{name}.safetensors").write_bytes(bytes(size))
    assert DiskNeed(100, 400).without(tmp_path) == DiskNeed(*left)


def test_training_stops_before_finetuning_where_the_features_do_not_fit_and_asks_for_what_it_writes(
    recipe, capsys, monkeypatch
):
    free, asked, refuse = 270_000, [], refuse_small_disk  # enough for the tiny network and its checkpoints
    monkeypatch.setattr(disk, "free_bytes", lambda folder: free)
    monkeypatch.setattr("detkit.run.runner.refuse_small_disk", lambda *given: (asked.append(given[1]), refuse(*given)))
    assert main(["train", "--config", str(recipe)]) == 2
    err = capsys.readouterr().err.splitlines()[-1]
    assert "extract train" in err
    assert "PROPOSALS.TRAIN_MAX_BOXES" in err
    assert {p.name for p in Path("artifacts").iterdir() if any(p.glob("*/manifest.json"))} == {"pretrain", "propose"}

    free = 10**12
    assert main(["train", "--config", str(recipe), "--until", "Extract"]) == 0
    files = list(Path("artifacts/extract").glob("*/*.safetensors"))
    written = sum(file.stat().st_size for file in files)
    assert (
        0 < written - max(one.get("extract train", DiskNeed()).kept for one in asked) < 500 * len(files)
    )  # headers of the files


def test_training_asks_for_its_network_and_two_checkpoints(trained):
    config = load_config(str(trained))
    (network,) = Path("artifacts/finetune").glob("*/network.safetensors")
    # The file, and twice weights and velocities.
    assert network_bytes(config) == pytest.approx(network.stat().st_size, rel=0.05)
    assert training_need(config) == DiskNeed(network_bytes(config), 4 * network_bytes(config))
