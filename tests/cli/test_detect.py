from __future__ import annotations

import errno
import json
import os
import signal
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import detkit
from detkit.backbones.tiny import TinyNet
from detkit.box_heads.identity import Identity
from detkit.classifiers.linear_svm import LinearSVM
from detkit.cli.detect import _profile
from detkit.cli.main import main
from detkit.detection.calibration import Calibration
from detkit.detection.detector import Detector
from detkit.detection.postprocess import Postprocess
from detkit.detection.scorer import RegionScorer
from detkit.errors import DetkitError
from detkit.proposals.precomputed import Precomputed
from detkit.proposals.sliding_window import SlidingWindow
from detkit.regions.network import RegionNetwork
from detkit.regions.warped_crops import WarpedCrops
from detkit.system.clock import Clock
from detkit.system.compute import Compute


def test_profile_gives_the_mean_the_sum_and_the_share_of_the_time_that_passed():
    clocks = [Clock(), Clock()]
    clocks[0].seconds = {"network": 3.0, "warp": 1.0}
    clocks[1].seconds = {"network": 3.0, "draw": 1.0}
    heading, *rows = [line.split() for line in _profile(clocks, 7.0).splitlines()]
    assert heading == ["stage", "s/image", "s", "share"]
    assert rows == [
        ["network", "3.0000", "6.00", "85.7%"],
        ["warp", "0.5000", "1.00", "14.3%"],
        ["draw", "0.5000", "1.00", "14.3%"],
        ["wall", "3.5000", "7.00", "100.0%"],
    ]


@pytest.fixture
def model(tmp_path, monkeypatch):
    """The command with a small network of random numbers in place of a trained model."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    backbone = TinyNet(input_size=32, width=4, fc_dim=8)
    classifier = LinearSVM(num_classes=2, feature_dim=8)
    classifier.load({"weight": torch.randn(2, 8), "bias": torch.ones(2), "scale": torch.ones(())})
    compute = Compute.resolve(dtype="float32", device="cpu")
    detector = Detector(
        class_names=("cat", "dog"),
        generator=SlidingWindow(),
        network=RegionNetwork(backbone, WarpedCrops(input_size=32, padding=4), compute=compute, batch=16),
        scorer=RegionScorer(classifier, "fc7", Identity(num_classes=2, feature_dim=8), "fc7"),
        settings=Postprocess(),
    )
    monkeypatch.setattr(detkit, "load", lambda folder, device: detector)
    return ["detect", "--model", "any", "--min-score", "-100"]


def calibrated(model):
    """Lets the model know curves: margins are half as steep as probabilities, and what scores at least 1 is shown."""
    detector = detkit.load("any", "cpu")
    half = torch.full((2,), -0.5)
    detector.calibration = Calibration(torch.ones(2), half, torch.zeros(2), "margin", "folds")
    return [word for word in model if word not in ("--min-score", "-100")]


def test_thresholds_decide_what_is_shown_and_probabilities_stand_beside_margins(model, photos, capsys):
    words = [*calibrated(model), "--workers", "0", "--no-pictures", str(photos / "a.png")]
    assert main(words) == 0
    (entry,) = json.loads(Path("detections/detections.json").read_text())
    assert entry["score_kind"] == "margin" and entry["detections"]
    for thing in entry["detections"]:
        assert thing["score"] >= 1
        assert thing["probability"] == pytest.approx(1 / (1 + np.exp(-thing["score"] / 2)), abs=1e-4)
    assert "no thresholds" not in capsys.readouterr().out
    assert main([*words, "--min-score", "-100"]) == 0
    (every,) = json.loads(Path("detections/detections.json").read_text())
    assert min(thing["score"] for thing in every["detections"]) < 1


def test_pictures_show_probabilities(model, photos, monkeypatch):
    drawn = []
    monkeypatch.setattr("detkit.cli.detect._draw", lambda path, image, objects, *_: drawn.append(objects.scores))
    assert main([*calibrated(model), "--workers", "0", str(photos / "a.png")]) == 0
    (entry,) = json.loads(Path("detections/detections.json").read_text())
    assert drawn[0].tolist() == pytest.approx([t["probability"] for t in entry["detections"]], abs=1e-5)


def test_a_model_without_thresholds_says_once_what_is_shown(model, photos, capsys):
    words = [word for word in model if word not in ("--min-score", "-100")]
    assert main([*words, "--workers", "0", "--no-pictures", str(photos)]) == 0
    said = capsys.readouterr().out
    assert said.count("this model has learnt no thresholds: shown is what scores at least 0 (margin)") == 1
    for entry in json.loads(Path("detections/detections.json").read_text()):
        assert all("probability" not in thing for thing in entry["detections"])


def test_one_class_per_region_leaves_fewer_detections(model, photos):
    counts = []
    for words in ([], ["--one-class-per-region"]):
        assert main([*model, *words, "--workers", "0", "--no-pictures", str(photos / "a.png")]) == 0
        counts.append(len(json.loads(Path("detections/detections.json").read_text())[0]["detections"]))
    assert 0 < counts[1] < counts[0]


def test_stored_proposals_are_found_by_the_files_names(model, photos, tmp_path):
    detector = detkit.load("any", "cpu")
    (tmp_path / "stored").mkdir()
    for name, box in (("a", [0, 0, 20, 20]), ("b", [5, 5, 30, 30])):
        np.savez(tmp_path / "stored" / f"{name}.npz", boxes=np.array([box], float))
    detector.generator = Precomputed(path=str(tmp_path / "stored"))
    for workers in ("0", "1"):
        assert main([*model, "--workers", workers, "--no-pictures", str(photos)]) == 0
        first, second = json.loads(Path("detections/detections.json").read_text())
        assert {tuple(thing["box"]) for thing in first["detections"]} == {(0, 0, 20, 20)}
        assert {tuple(thing["box"]) for thing in second["detections"]} == {(5, 5, 30, 30)}


@pytest.fixture
def folder(tmp_path):
    """Three pictures; the second one ends too early."""
    folder = Path("photos")
    (tmp_path / folder).mkdir()
    rng = np.random.default_rng(0)
    for name in "abc":
        cv2.imwrite(str(tmp_path / folder / f"{name}.png"), rng.integers(0, 256, (60, 80, 3), np.uint8))
    broken = tmp_path / folder / "b.png"
    broken.write_bytes(broken.read_bytes()[:5000])
    return folder


def test_broken_image_is_listed_and_the_others_are_done_with_any_number_of_workers(model, folder, capsys):
    written = []
    for workers in ("0", "2"):
        output = Path(f"out{workers}")
        output.mkdir()
        (output / "b.png.png").write_bytes(b"of an earlier run")
        assert main([*model, "--workers", workers, "--output", str(output), str(folder)]) == 2
        out, err = capsys.readouterr()
        assert err.splitlines()[-1].startswith("detkit detect: photos/b.png: ")
        assert "objects in 2 images: " in out
        written.append({path.name: path.read_bytes() for path in output.iterdir()})
    assert written[0] == written[1]
    assert set(written[0]) == {"a.png.png", "c.png.png", "detections.json"}
    first, broken, last = json.loads(written[0]["detections.json"])
    assert set(broken) == {"image", "error"}
    assert broken["error"].startswith("photos/b.png: ")
    assert first["detections"] and last["detections"]


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")
def test_a_worker_that_is_killed_ends_it_in_one_line(model, folder, capsys, monkeypatch):
    def die(*args):
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(SlidingWindow, "propose", die)  # of this process alone; only its worker calls it
    assert main([*model, "--workers", "1", "--no-pictures", str(folder)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("detkit detect: a worker process was ended from outside") and "--workers" in line


def test_several_broken_images_are_one_line(model, folder, capsys):
    (folder / "c.png").write_bytes(b"no image")
    assert main([*model, "--no-pictures", str(folder)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("detkit detect: photos/b.png: ")
    assert line.endswith("; 1 more image cannot be used, detections/detections.json says why")


def test_what_stops_the_run_stands_on_a_line_of_its_own_and_leaves_no_old_answer(model, folder, capsys, monkeypatch):
    def fail(*args):
        raise DetkitError("network: no")

    assert main([*model, "--no-pictures", str(folder / "a.png")]) == 0
    monkeypatch.setattr(RegionNetwork, "forward", fail)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)  # so that there is a bar
    assert main([*model, "--no-pictures", str(folder)]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "detkit detect: network: no"
    assert not Path("detections/detections.json").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--min-score", "nan"], "--min-score nan: expected a finite number, such as 0.5"),
        (["--workers", "-2"], "--workers -2: expected 0 or more processes, or -1 for one per core but one"),
        (["--device", "tpu"], "--device: no device 'tpu' here; use auto or one of cpu"),
        (["--output", "a.png"], "--output a.png: a.png is no folder that can be written to; name another"),
        (["--output", "a.png/in"], "--output a.png/in: "),
    ],
)
def test_options_that_cannot_be_used_are_named(capsys, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    Path("a.png").write_bytes(b"x")
    assert main(["detect", "--model", ".", "a.png", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"detkit detect: {message}")


@pytest.fixture
def photos(tmp_path):
    """A folder of two images."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(folder / name), np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8))
    return folder


def test_pictures_of_an_earlier_run_inside_the_folder_are_no_images(model, photos):
    words = [*model, str(photos), "--output", str(photos / "found"), "--workers", "0"]
    assert main(words) == 0
    first = sorted((photos / "found").iterdir())
    assert main(words) == 0
    assert sorted((photos / "found").iterdir()) == first and len(first) == 3


def test_an_image_is_never_written_over(model, photos, capsys):
    own = photos / "a.png.png"
    own.write_bytes((photos / "a.png").read_bytes())
    assert main([*model, str(photos), "--output", str(photos), "--workers", "0"]) == 2
    assert "a.png.png there is one of the images; choose another folder" in capsys.readouterr().err
    assert own.read_bytes() == (photos / "a.png").read_bytes()


def test_a_full_disk_names_the_option_of_the_output(model, photos, capsys, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    assert main([*model, "--no-pictures", "--workers", "0", str(photos)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("detkit detect: detections/detections.json: cannot be written: No space left on device")
    assert "can be written with --output; " in line


def test_what_is_not_read_and_more_workers_than_cores_are_told_once(model, photos, capsys, monkeypatch):
    monkeypatch.setattr("detkit.system.processes.num_cores", lambda: 1)
    (photos / "a.heic").touch()
    assert main([*model, "--no-pictures", "--workers", "2", str(photos / "a.png"), str(photos)]) == 0
    out, err = capsys.readouterr()
    assert out.endswith(" in 3 images: detections/detections.json\n")
    told, left_out = err.splitlines()
    assert told.startswith("--workers: 2 workers on 1 cores: ")
    assert left_out.startswith("not read: 1 .heic; images end in .jpg, ")
