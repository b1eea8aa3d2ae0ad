import pytest
import torch
import yaml
from safetensors.torch import save_file

import detkit
from detkit.backbones.tiny import TinyNet
from detkit.backbones.weights import save_weights
from detkit.detection.model_file import FORMAT
from detkit.errors import ModelError

OLD = {
    "class_names": ["cat", "dog"],
    "proposals": {"NAME": "SlidingWindow", "SlidingWindow": {}},
    "backbone": {"NAME": "TinyNet", "TinyNet": {"WIDTH": 4, "FC_DIM": 8, "INPUT_SIZE": 32}},
    "region_extractor": {"NAME": "WarpedCrops", "WarpedCrops": {"PADDING": 4}},
    "classifier": {"NAME": "LinearSVM", "LinearSVM": {}},
    "box_head": {"NAME": "Identity", "Identity": {}},
    "classifier_layer": "fc7",
    "box_head_layer": "fc7",
    "postprocess": {"nms_iou": 0.4, "one_class_per_region": True},
    "compute": {"dtype": "float32"},
    "import_paths": {},
}
"""As it was written before files had a format."""

LEARNT = {"thresholds": torch.tensor([-0.5, 0.25]), "a": torch.tensor([-2.0, -1.0]), "b": torch.zeros(2)}


@pytest.fixture
def folder(tmp_path):
    save_weights(tmp_path / "network.safetensors", TinyNet(width=4, fc_dim=8, input_size=32))
    svm = {"weight": torch.zeros(2, 8), "bias": torch.zeros(2), "scale": torch.tensor(1.0)}
    save_file(svm, tmp_path / "classifier.safetensors")
    save_file({}, tmp_path / "box_head.safetensors")
    return tmp_path


def load(folder, **changed):
    (folder / "model.yaml").write_text(yaml.safe_dump({**OLD, **changed}))
    return detkit.load(folder, device="cpu")


def test_a_file_without_a_format_is_read_and_what_it_lacks_has_its_default(folder):
    detector = load(folder)
    assert detector.calibration.source == "none"
    assert detector.calibration.thresholds.tolist() == [0, 0]
    # what it says holds, and a setting that it does not say has its default
    assert (detector.settings.nms_iou, detector.settings.top_per_image) == (0.4, 100)
    assert detector.settings.one_class_per_region


def test_a_newer_format_is_refused_by_its_number_before_its_new_keys_are(folder):
    with pytest.raises(ModelError, match=rf"its format is {FORMAT + 1}, this detkit reads formats up to {FORMAT}; "):
        load(folder, format=FORMAT + 1, postprocess={"soft": True})


@pytest.mark.parametrize("value", [-1, "1", 1.5, None])
def test_a_format_that_is_no_version_is_refused(folder, value):
    with pytest.raises(ModelError, match=r"model.yaml: format: expected a whole number"):
        load(folder, format=value)


def test_thresholds_and_curves_come_with_the_model(folder):
    save_file(LEARNT, folder / "calibration.safetensors")
    detector = load(folder, format=1, calibration="folds")
    assert detector.calibration.source == "folds"
    assert all(torch.equal(value, LEARNT[name]) for name, value in detector.calibration.state().items())


def test_calibration_of_other_classes_or_that_is_missing_is_refused_with_its_file(folder):
    with pytest.raises(ModelError, match=r"calibration.safetensors: missing or damaged"):
        load(folder, format=1, calibration="folds")
    save_file({**LEARNT, "a": torch.ones(3)}, folder / "calibration.safetensors")
    with pytest.raises(ModelError, match=r"calibration.safetensors: .* tensor 'a' is \(3,\), expected \(2,\)"):
        load(folder, format=1, calibration="folds")
    with pytest.raises(ModelError, match="calibration: expected one of folds, validation, none, got 'guess'"):
        load(folder, format=1, calibration="guess")
