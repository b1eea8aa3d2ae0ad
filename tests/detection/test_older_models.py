"""model.yaml of earlier versions."""

import pytest
import yaml

from detkit.detection.model_file import read_model_file

MODEL = {
    "class_names": ["cat"],
    "proposals": {"NAME": "SelectiveSearch", "SelectiveSearch": {}},
    "backbone": {"NAME": "TinyNet", "TinyNet": {}},
    "classifier": {"NAME": "Softmax", "Softmax": {}},
    "box_head": {"NAME": "Identity", "Identity": {}},
    "classifier_layer": "fc7",
    "box_head_layer": "pool5",
    "postprocess": {},
    "compute": {"dtype": "float32"},
    "import_paths": {},
}


@pytest.mark.parametrize("pixels", ["uint8", "float32"])
def test_the_one_key_for_pixels_says_how_features_are_taken(tmp_path, pixels):
    extractor = {"NAME": "WarpedCrops", "WarpedCrops": {"PADDING": 3, "PIXELS": pixels}}
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(MODEL | {"region_extractor": extractor}))
    found = read_model_file(tmp_path)["region_extractor"]
    assert found == {"NAME": "WarpedCrops", "WarpedCrops": {"PADDING": 3, "FEATURE_PIXELS": pixels}}
