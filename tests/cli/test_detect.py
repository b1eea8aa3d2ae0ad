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
from PIL import Image

import detkit
from detkit.backbones.tiny import TinyNet
from detkit.box_heads.identity import Identity
from detkit.classifiers.linear_svm import LinearSVM
from detkit.cli.detect import _profile
from detkit.cli.main import main
from detkit.data.video import Video
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
        generator=SlidingWindow(scales=(0.5, 0.8), ratios=(1.0,)),
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
    monkeypatch.setattr(
        "detkit.detection.found.draw_detections", lambda image, objects, *_: drawn.append(objects.scores) or image
    )
    assert main([*calibrated(model), "--workers", "0", str(photos / "a.png")]) == 0
    (entry,) = json.loads(Path("detections/detections.json").read_text())
    assert drawn[0].tolist() == pytest.approx([t["probability"] for t in entry["detections"]], abs=1e-5)


def test_a_model_without_thresholds_says_once_what_is_shown(model, photos, capsys):
    words = [word for word in model if word not in ("--min-score", "-100")]
    assert main([*words, "--workers", "0", "--no-pictures", str(photos)]) == 0
    said = capsys.readouterr().out
    assert said.count("this model has learnt no thresholds; it shows objects from a score of 0 (margin)") == 1
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
        (["--min-score", "cat=high"], "--min-score cat=high: expected a finite number, such as 0.5, or CLASS=0.5"),
        (["--min-score", "1", "--min-score", "cat=0"], "--min-score: 1 is of every class; give it alone"),
        (["--max", "0"], "--max 0: expected 1 or more objects"),
        (["--every", "0"], "--every 0: expected 1 for every frame, or more"),
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
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("detkit detect: detections/detections.json: cannot be written: No space left on device")
    assert "can be written with --output; " in line


def test_what_is_not_read_and_more_workers_than_cores_are_told_once(model, photos, capsys, monkeypatch):
    monkeypatch.setattr("detkit.system.processes.num_cores", lambda: 1)
    (photos / "a.heic").touch()
    assert main([*model, "--no-pictures", "--workers", "2", str(photos / "a.png"), str(photos)]) == 0
    out, err = capsys.readouterr()
    assert out.endswith(" in 3 images: detections/detections.json\n")
    told, left_out = (line for line in err.splitlines() if not line.startswith("detect:"))  # no progress
    assert told.startswith("--workers: 2 workers on 1 cores: ")
    assert left_out.startswith("not read: 1 .heic; images end in .jpg, ")


def read(file="detections/detections.json"):
    return json.loads(Path(file).read_text(encoding="utf-8"))


def test_classes_scores_of_classes_and_the_most_objects_are_as_asked(model, photos):
    words = [*calibrated(model), "--workers", "0", "--no-pictures", str(photos / "a.png")]
    assert main([*words, "--min-score", "cat=-100"]) == 0
    (entry,) = read()
    cats, dogs = ([one["score"] for one in entry["detections"] if one["class"] == name] for name in ("cat", "dog"))
    assert min(cats) < 1 and min(dogs) >= 1  # a dog keeps the model's threshold
    assert main([*words, "--classes", "cat", "--max", "2", "--min-score", "-100"]) == 0
    (entry,) = read()
    assert [one["class"] for one in entry["detections"]] == ["cat", "cat"]
    assert [one["score"] for one in entry["detections"]] == cats[:2]


def test_a_class_that_the_model_has_not_is_named(model, photos, capsys):
    assert main([*model, "--classes", "cat,dgo", str(photos)]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line == "detkit detect: class 'dgo': the model has no such class. Did you mean dog? It has: cat, dog"
    assert not Path("detections").exists()


def test_crops_of_an_earlier_run_do_not_stand_beside_new_ones(model, photos):
    words = [*model, "--workers", "0", "--no-pictures", "--crops", str(photos / "a.png")]
    assert main([*words, "--max", "3"]) == 0
    (Path("detections/crops") / "mine.png").write_bytes(b"")
    assert main([*words, "--max", "1"]) == 0
    (entry,) = read()
    assert sorted(c.name for c in Path("detections/crops").iterdir()) == [
        f"a.png_000_{entry['detections'][0]['class']}.png",
        "mine.png",
    ]


def test_objects_are_cut_out_and_proposals_are_kept_as_precomputed_reads_them(model, photos):
    words = [*model, "--workers", "0", "--no-pictures", "--max", "3", str(photos / "a.png")]
    assert main([*words, "--crops", "--save-proposals", "kept"]) == 0
    (entry,) = read()
    detector = detkit.load("any", "cpu")
    image = cv2.imread(str(photos / "a.png"), cv2.IMREAD_COLOR_RGB)
    crops = sorted(Path("detections/crops").iterdir())
    assert [c.name for c in crops] == [f"a.png_{i:03d}_{one['class']}.png" for i, one in enumerate(entry["detections"])]
    x1, y1, x2, y2 = entry["detections"][0]["box"]
    part = image[int(y1) : int(np.ceil(y2)), int(x1) : int(np.ceil(x2))]
    np.testing.assert_array_equal(cv2.imread(str(crops[0]), cv2.IMREAD_COLOR_RGB), part)
    stored, made = Precomputed(path="kept").propose(image, "a"), detector.generator.propose(image)
    assert torch.equal(stored.boxes.tensor, made.boxes.tensor)


def test_proposals_of_two_images_of_one_name_are_refused(model, photos, capsys):
    (photos / "in").mkdir()
    (photos / "in/a.png").write_bytes((photos / "a.png").read_bytes())
    assert main([*model, "--save-proposals", "kept", str(photos)]) == 2
    assert "--save-proposals: two images are named a, " in capsys.readouterr().err


@pytest.fixture
def film(tmp_path):
    """Seven frames of 61 x 41 pixels, five a second; the n-th is of one grey, 20 n, with a white square."""
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 5, (61, 41))
    for i in range(7):
        frame = np.full((41, 61, 3), 20 * i, np.uint8)
        frame[10:30, 5 * i : 5 * i + 20] = 255
        writer.write(frame)
    writer.release()
    return path


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_video_becomes_a_video_with_boxes_and_a_line_a_frame(model, film, workers, capsys):
    detkit.load("any", "cpu").generator = SlidingWindow()  # its best windows leave most of a frame uncovered
    assert main([*model, "--max", "2", "--every", "3", "--workers", workers, "--crops", str(film)]) == 0
    assert capsys.readouterr().out == "6 objects in 3 frames: detections/detections.json\n"
    (entry,) = read()
    told = {"frames": 3, "every": 3, "rate": 5.0, "objects": 6, "lines": "film.avi.jsonl"}
    assert entry == {"video": str(film), **told}
    lines = [json.loads(line) for line in Path("detections/film.avi.jsonl").read_text().splitlines()]
    assert [(line["frame"], line["second"]) for line in lines] == [(0, 0), (3, 0.6), (6, 1.2)]
    assert all(len(line["detections"]) == 2 for line in lines)
    video = Video(Path("detections/film.avi.mp4"))
    assert len(video) == 3 and video.rate == pytest.approx(5 / 3, abs=0.01)  # it lasts as long as the original
    assert video[2].shape == (40, 60, 3)
    assert np.median(video[1]) == pytest.approx(60, abs=40)  # frame 3 of the original under its boxes
    assert len(list(Path("detections/crops").iterdir())) == 6


def test_frames_without_stored_proposals_are_told(model, film, tmp_path, capsys):
    (tmp_path / "stored").mkdir()
    detkit.load("any", "cpu").generator = Precomputed(path=str(tmp_path / "stored"))
    assert main([*model, "--every", "4", "--workers", "0", str(film)]) == 2
    first, second = [json.loads(line) for line in Path("detections/film.avi.jsonl").read_text().splitlines()]
    assert "no proposals for image 'film_000000'" in first["error"] and second["frame"] == 4
    assert read()[0]["error"] == first["error"]


def test_frames_may_be_asked_for_in_any_order(film):
    video = Video(film, every=2)
    assert len(video) == 4
    greys = [int(np.median(video[i][35:])) for i in (3, 0, 2, 2)]
    assert greys == pytest.approx([120, 0, 80, 80], abs=3)
    with pytest.raises(IndexError):
        video[4]


def test_what_is_no_video_is_named(model, tmp_path, capsys):
    (tmp_path / "film.mp4").write_bytes(b"no video" * 99)
    assert main([*model, "film.mp4"]) == 2
    assert "detkit detect: film.mp4: not a video that OpenCV can open" in capsys.readouterr().err


@pytest.mark.parametrize("upright", [False, True])
def test_a_photograph_is_turned_as_exif_says_only_when_asked_for(model, photos, upright, capsys):
    exif = Image.Exif()
    exif[274] = 6
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    Image.fromarray(pixels).save(photos / "phone.jpg", exif=exif)
    words = [*model, str(photos / "phone.jpg"), "--min-score", "-9", "--workers", "0"]
    assert main([*words, "--upright"] if upright else words) == 0
    (entry,) = json.loads(Path("detections/detections.json").read_text())
    assert entry["exif"] == "turned by 90 degrees to the right"
    right, bottom = (max(one["box"][k] for one in entry["detections"]) for k in (2, 3))
    assert (right < bottom) is upright  # 40 x 60 pixels upright, 60 x 40 as they are stored
    assert ("EXIF would turn 1 photograph" in capsys.readouterr().err) is not upright
