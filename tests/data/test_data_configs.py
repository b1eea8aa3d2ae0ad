from pathlib import Path

import pytest
import yaml

from detkit.config.load import load_config

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.name)
def test_each_config_loads_alone_and_holds_data_only(file):
    sections = yaml.safe_load(file.read_text())
    assert list(sections) == ["DATA"]
    assert {"NAME", "FINETUNE", "TRAIN", "TEST"} <= set(sections["DATA"])
    loaded = load_config(file)["DATA"]
    assert loaded["NAME"] == sections["DATA"]["NAME"]


def test_voc_has_the_same_twenty_classes_in_every_year():
    (first, second) = (yaml.safe_load(f.read_text())["DATA"]["VOC"]["CLASSES"] for f in CONFIGS if "voc" in f.name)
    assert first == second == sorted(first)
    assert len(first) == 20
