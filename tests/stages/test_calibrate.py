import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import detkit
from detkit.box_heads.identity import Identity
from detkit.classifiers.linear_svm import LinearSVM
from detkit.classifiers.softmax import Softmax
from detkit.cli.main import main
from detkit.detection.judge import Judge
from detkit.detection.postprocess import Postprocess
from detkit.detection.scorer import RegionScorer
from detkit.errors import DataError
from detkit.regions.features import RegionFeatures, StoredFeatures
from detkit.regions.source import ArraySource
from detkit.run.shards import save_tensors
from detkit.stages.calibrate import Calibrate, calibrate_by_folds, calibrate_by_validation, load_calibration
from detkit.stages.detect_folds import DetectFolds
from tests.conftest import RECIPE

LEFT, RIGHT = [0, 0, 20, 20], [60, 60, 90, 90]


class Held(RegionFeatures):
    """One layer's features in memory."""

    def __init__(self, index, values):
        self.index, self.values = index, values

    def dim(self, layer):
        return self.values.shape[1]

    def source(self, layer):
        return ArraySource(self.index, self.values)

    def _images(self, requests, layers):
        return iter(())


def scene(make_index, images, seed, truths=True):
    """Objects whose 20 features are a little apart from those of what is none: an SVM learns them by heart."""
    rng = np.random.default_rng(seed)
    index = make_index([([LEFT], [i % 2], [LEFT, *[RIGHT] * 8]) for i in range(images)], 2, with_truths=truths)
    values = rng.normal(size=(len(index), 20)).astype(np.float32)
    for row in np.flatnonzero(index.boxes.tensor[:, 0] == 0):
        values[row, 10 * (index.image[row] % 2)] += 2.5
    return Held(index, values)


def judge(held, classifier):
    scorer = RegionScorer(classifier, "fc7", Identity(num_classes=2, feature_dim=20), "fc7")
    # Suppression at IoU 1 keeps the eight equal boxes, so that there are enough wrong detections.
    return Judge(scorer, held, held, ("cat", "dog"), Postprocess(nms_iou=1.0))


def fitted(held, **settings):
    svm = LinearSVM(num_classes=2, feature_dim=20, c=0.01, **settings)
    return svm.fit(held.source("fc7"), np.random.default_rng(0))


def mean_f1(matches, thresholds):
    return np.mean([own.f1(float(threshold)) for own, threshold in zip(matches, thresholds, strict=True)])


def test_thresholds_of_folds_are_near_the_best_of_new_images_where_those_of_seen_images_are_not(make_index):
    train, test = scene(make_index, 60, 0), scene(make_index, 200, 1, truths=False)
    svm = fitted(train, target_norm=0.0)
    new = judge(test, svm).matches([svm], np.zeros(200, int))
    best = np.mean([max(own.f1(t) for t in own.scores) for own in new])
    learnt = calibrate_by_folds(judge(train, svm), 5, np.random.default_rng(0))
    of_folds = best - mean_f1(new, learnt.calibration.thresholds)
    seen = calibrate_by_validation(judge(train, svm))  # as if the SVM had not learnt from them
    assert learnt.calibration.source == "folds"
    assert of_folds < 0.03 and of_folds < best - mean_f1(new, seen.calibration.thresholds)
    report = json.loads(json.dumps(learnt.report()))
    assert report["classes"]["cat"]["objects"] == 30 and 0 < report["classes"]["cat"]["f1"] < 1


def test_validation_images_are_judged_by_the_classifier_itself(make_index):
    svm, other = fitted(scene(make_index, 60, 0), target_norm=0.0), scene(make_index, 60, 1, truths=False)
    learnt = calibrate_by_validation(judge(other, svm))
    assert learnt.calibration.source == "validation" and not learnt.reason


def test_images_without_annotations_are_refused_before_anything_runs(make_index):
    labelled, other = make_index([([LEFT], [0], []), ([RIGHT], [0], [])], 1).samples
    Calibrate().check_data(None, {"VAL": [labelled, other]})
    with pytest.raises(DataError, match=r"DATA.VAL: image image1 has no annotations, .* or leave Calibrate out"):
        Calibrate().check_data(None, {"VAL": [labelled, replace(other, annotations=None)]})
    for stage in (Calibrate(), DetectFolds()):
        with pytest.raises(DataError, match=r"DATA.TRAIN: none of its 1 images has a ground truth"):
            stage.check_data(None, {"TRAIN": [replace(other, annotations=None)]})


@pytest.mark.parametrize(
    ("images", "folds", "message"),
    [
        (60, 0, "CALIBRATE.FOLDS is 0; give 2 or more"),
        (4, 5, "4 training images with objects are too few for 5 folds"),
        (6, 3, "wrong: expected 10 of each"),
    ],
)
def test_what_is_too_little_is_said_and_nothing_learnt(make_index, images, folds, message):
    held = scene(make_index, images, 0)
    learnt = calibrate_by_folds(judge(held, fitted(held)), folds, np.random.default_rng(0))
    assert learnt.calibration.source == "none" and learnt.calibration.thresholds.tolist() == [0, 0]
    assert message in learnt.reason
    assert learnt.report()["reason"] == learnt.reason


def test_scores_that_tell_nothing_are_said_and_give_no_thresholds(make_index):
    held = scene(make_index, 60, 0)
    svm = fitted(held)
    svm.weight_ = -svm.weight_  # what looks most like an object scores least
    learnt = calibrate_by_validation(judge(scene(make_index, 60, 1, truths=False), svm))
    assert learnt.calibration.source == "none"
    assert learnt.reason.endswith("wrong: better scores are not more often right")


def test_a_classifier_that_is_the_network_itself_needs_validation_images(make_index):
    held = scene(make_index, 60, 0)
    softmax = Softmax(num_classes=2, feature_dim=20)
    learnt = calibrate_by_folds(judge(held, softmax), 5, np.random.default_rng(0))
    assert learnt.reason == "Softmax has learnt from every training image; name a split in DATA.VAL"
    assert learnt.calibration.thresholds.tolist() == [0.5, 0.5]


def test_stored_features_tell_whether_those_of_every_region_are_there(make_index, tmp_path):
    index = make_index([([LEFT], [0], [RIGHT]), ([], [], []), ([], [], [RIGHT])], 1)
    for image, rows in ((0, [0, 1]), (2, [0])):
        every, some = torch.tensor(rows), torch.tensor(rows[:1])
        columns = {"fc7": torch.zeros(len(every), 3), "fc7.rows": every, "pool5": torch.zeros(1, 3), "pool5.rows": some}
        save_tensors(tmp_path / f"{image:06d}.safetensors", columns)
    stored = StoredFeatures(index, tmp_path, {})
    assert stored.holds("fc7") and not stored.holds("pool5") and not stored.holds("fc6")


def test_a_single_fold_is_refused_before_anything_runs(recipe, capsys):
    assert main(["train", "--config", str(recipe), "CALIBRATE.FOLDS=1"]) == 2
    assert "CALIBRATE.FOLDS 1 leaves no images to learn from; give 0, or 2 or more" in capsys.readouterr().err
    assert not Path("artifacts").exists()


MORE = ["DATA.Shapes.TRAIN_IMAGES=24", "FINETUNE.ITERATIONS=40", "POSTPROCESS.ONE_CLASS_PER_REGION=false"]


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory):
    """The folder of a run that has learnt thresholds."""
    folder = tmp_path_factory.mktemp("calibrated")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DETKIT_CACHE", "cache")
        patch.setattr("detkit.detection.calibration.MIN_DETECTIONS", 1)
        Path("tiny.yaml").write_text(RECIPE, encoding="utf-8")
        assert main(["train", "--config", "tiny.yaml", *MORE]) == 0
    return folder


def test_a_run_learns_thresholds_and_its_model_detects_as_it_was_evaluated(calibrated, monkeypatch):
    monkeypatch.chdir(calibrated)
    (made,) = Path("artifacts").glob("calibrate/*/")
    described = yaml.safe_load(Path("runs/tiny/model/model.yaml").read_text())
    assert (described["format"], described["calibration"]) == (1, "folds")
    assert described["postprocess"] == {
        "top_per_image": 100,
        "top_per_class": 40,
        "nms_iou": 0.3,
        "one_class_per_region": False,
        "refine_above": None,
        "refine_iterations": 1,
        "rescore": False,
        "iou_weight": 0.0,
        "vote_iou": None,
        "vote_slope": None,
    }
    detector = detkit.load("runs/tiny/model", device="cpu")
    own = load_calibration(made, 4, "margin").state()
    assert all(torch.equal(value, own[name]) for name, value in detector.calibration.state().items())


@pytest.mark.parametrize(
    ("most", "told"),
    [
        ("3", rf"thresholds are learnt from {24 * 3} of \d+ proposals \(PROPOSALS.TRAIN_MAX_BOXES: 3\)"),
        ("1000", ""),
    ],
    ids=["fewer", "all"],
)
def test_thresholds_from_fewer_proposals_than_detection_has_are_told(
    recipe, calibrated, monkeypatch, capsys, most, told
):
    monkeypatch.setattr("detkit.detection.calibration.MIN_DETECTIONS", 1)
    for stage in ("pretrain", "propose", "finetune"):
        shutil.copytree(calibrated / "artifacts" / stage, Path("artifacts", stage))
    words = [f"PROPOSALS.TRAIN_MAX_BOXES={most}", "FEATURES.STORE=stream"]
    assert main(["train", "--config", str(recipe), *MORE, *words, "--until", "Calibrate"]) == 0
    said = capsys.readouterr().err
    assert re.search(told, said) if told else "thresholds are learnt from" not in said


def test_thresholds_do_not_depend_on_whether_features_are_stored(recipe, calibrated, monkeypatch):
    monkeypatch.setattr("detkit.detection.calibration.MIN_DETECTIONS", 1)
    for stage in ("pretrain", "propose", "finetune"):
        shutil.copytree(calibrated / "artifacts" / stage, Path("artifacts", stage))
    assert list((calibrated / "artifacts").glob("extract/*"))
    assert main(["train", "--config", str(recipe), *MORE, "FEATURES.STORE=stream", "--until", "Calibrate"]) == 0
    assert not Path("artifacts/extract").exists()
    stored, streamed = (
        load_calibration(next(root.glob("artifacts/calibrate/*/")), 4, "margin") for root in (calibrated, Path())
    )
    assert stored.source == streamed.source == "folds"
    assert all(torch.equal(value, streamed.state()[name]) for name, value in stored.state().items())
