from __future__ import annotations

import re

import pytest

from detkit.components import load_components
from detkit.config import load_config
from detkit.config.layout import layout
from detkit.config.load import _paths
from detkit.config.paths import recipes_folder
from detkit.config.renamed import RENAMED
from detkit.registry import CLASSIFIERS
from tests.config.conftest import fails


def test_detections_are_judged_as_their_data_set_is_unless_evaluators_are_set(write):
    coco = write("DATA: {NAME: COCO}\n", "coco.yaml")
    assert load_config(coco).EVALUATORS == ["COCO"]
    assert load_config(write("DATA: {NAME: Shapes}\n")).EVALUATORS == ["VOC"]
    assert load_config(coco, ["EVALUATORS=[VOC]"]).EVALUATORS == ["VOC"]
    assert load_config("configs/coco2017.yaml").EVALUATORS == ["COCO"]


def test_defaults_come_from_signatures(write):
    config = load_config(write("SEED: 5\n"))
    assert config.SEED == 5
    assert config.CLASSIFIER.NAME == "LinearSVM"
    assert config.CLASSIFIER.LinearSVM.C == 0.001
    assert config.FINETUNE.ITERATIONS == 70000


def test_file_wins_over_base_and_command_line_over_file(write):
    write("SEED: 1\nRUNTIME: {BATCH: 7, WORKERS: 0}\n", "base.yaml")
    path = write("_BASE_: ./base.yaml\nSEED: 2\n")
    config = load_config(path, ["RUNTIME.BATCH", "9", "CLASSIFIER.LinearSVM.C=1e-2"])
    assert (config.SEED, config.RUNTIME.BATCH, config.RUNTIME.WORKERS) == (2, 9, 0)
    assert config.CLASSIFIER.LinearSVM.C == 0.01


def test_whole_number_is_taken_for_a_number(write):
    assert load_config(write("FINETUNE: {LR: 1}\n")).FINETUNE.LR == 1.0


def test_quoted_digits_stay_text(write):
    assert load_config(write('DATA: {TRAIN: "2012"}\n')).DATA.TRAIN == "2012"


def test_frozen_config_cannot_be_changed(write):
    config = load_config(write("SEED: 1\n"))
    with pytest.raises(AttributeError):
        config.SEED = 2


def test_misspelt_section_is_answered_with_file_line_and_nearest(write):
    message = fails(write("SEED: 1\nCLASSIFER: {NAME: LinearSVM}\n"))
    assert "recipe.yaml:2: unknown key CLASSIFER" in message
    assert "Did you mean CLASSIFIER?" in message


def test_misspelt_component_lists_those_registered(write):
    message = fails(write("CLASSIFIER: {NAME: LinearSvm}\n"))
    registered = ", ".join(CLASSIFIERS.names())
    assert f"recipe.yaml:1: CLASSIFIERS: no 'LinearSvm'. Did you mean LinearSVM? Registered: {registered}." in message


def test_the_key_that_was_split_is_answered_with_both_new_ones(write):
    message = fails(write("SEED: 1\nREGION_EXTRACTOR:\n  WarpedCrops: {PIXELS: float32}\n"))
    assert "recipe.yaml:3: unknown key REGION_EXTRACTOR.WarpedCrops.PIXELS. It became " in message
    assert "REGION_EXTRACTOR.WarpedCrops.FINETUNE_PIXELS" in message
    assert "REGION_EXTRACTOR.WarpedCrops.FEATURE_PIXELS" in message


def test_misspelt_parameter_names_the_nearest(write):
    message = fails(write("BOX_HEAD:\n  Ridge:\n    ALFA: 3\n"))
    assert "recipe.yaml:3: unknown key BOX_HEAD.Ridge.ALFA. Did you mean ALPHA?" in message


def test_wrong_type_and_range_name_key_value_and_what_is_allowed(write):
    path = write("SEED: 1\n")
    assert "command line: SEED: expected a whole number 0 or more, got -1" in fails(path, "SEED=-1")
    assert "command line: FINETUNE.LR: expected a number" in fails(path, "FINETUNE.LR", "fast")
    assert "EVALUATORS: expected a list, each text (at least one entry), got 'VOC'" in fails(path, "EVALUATORS=VOC")


def test_value_for_a_section_and_section_for_a_value_are_refused(write):
    path = write("SEED: 1\n")
    assert "DATA holds keys" in fails(path, "DATA=3")
    assert "SEED takes a value, not the key X" in fails(path, "SEED.X=3")


def test_duplicate_key_is_refused_with_both_lines(write):
    assert "recipe.yaml:3: DATA.TRAIN is set twice, first in line 2" in fails(write("DATA:\n  TRAIN: a\n  TRAIN: b\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("- 1\n", "expected KEY: value lines"),
        ("A: [1\n", "not readable as YAML"),
        ("A: !!python/object/apply:os.system [ls]\n", "not readable as YAML"),
        ("1: 2\n", "expected a key in words"),
    ],
)
def test_file_that_is_no_config_is_one_line(write, text, message):
    assert message in fails(write(text))


@pytest.mark.parametrize(
    ("word", "instead"),
    [
        (
            "ITERATIONS=10",
            "unknown key ITERATIONS. Did you mean FINETUNE.ITERATIONS? There is also PRETRAIN.ITERATIONS.",
        ),
        ("LinearSVM.C=0.1", "unknown key LinearSVM. Did you mean CLASSIFIER.LinearSVM.C?"),
        ("CLASSIFIER.WEIGHTS=a", "unknown key CLASSIFIER.WEIGHTS. Did you mean BACKBONE.WEIGHTS?"),
        ("FINETUNE.lr=1", "unknown key FINETUNE.lr. Did you mean FINETUNE.LR? There is also PRETRAIN.LR, "),
        ("nms_iou=0.3", "unknown key nms_iou. Did you mean POSTPROCESS.NMS_IOU?"),
    ],
)
def test_a_key_of_another_section_is_answered_with_its_section(write, word, instead):
    assert f"command line: {instead}" in fails(write("SEED: 1\n"), word)


def test_a_key_that_is_gone_is_answered_with_its_new_names(write, monkeypatch):
    sentence = "It became CLASSIFIER.LinearSVM.C and BOX_HEAD.Ridge.ALPHA."
    gone = {"CLASSIFIER.LinearSVM.STRENGTH": sentence, "OLD": "It became FINETUNE."}
    monkeypatch.setattr("detkit.config.load.RENAMED", gone)
    path = write("SEED: 1\nCLASSIFIER:\n  LinearSVM: {STRENGTH: 3}\n")
    assert fails(path).endswith(f"recipe.yaml:3: unknown key CLASSIFIER.LinearSVM.STRENGTH. {sentence}")
    assert fails(write("OLD: {LR: 1}\n")).endswith("recipe.yaml:1: unknown key OLD. It became FINETUNE.")


def test_every_key_that_is_gone_is_gone_and_its_sentence_names_keys_that_exist():
    load_components()
    existing = {".".join(path) for path in _paths(layout())}
    for gone, sentence in RENAMED.items():
        named = re.findall(r"\b[A-Z_]+(?:\.\w+)+", sentence)
        assert gone not in existing and named and set(named) <= existing, gone


def test_dump_leaves_out_what_is_not_selected_and_loads_again(write):
    config = load_config(write("BOX_HEAD: {NAME: Identity}\n"))
    assert "Ridge" not in config.text()
    again = load_config(write(config.text(), "dump.yaml"))
    assert again.text() == config.text()


def test_restricted_config_holds_the_named_keys_alone(write):
    config = load_config(write("BACKBONE: {WEIGHTS: a.pth}\n"))
    view = config.restricted(("BACKBONE.*", "DATA.TRAIN_DIFFICULT", "SEED")).selected()
    assert set(view) == {"BACKBONE", "DATA", "SEED"}
    assert view["DATA"] == {"TRAIN_DIFFICULT": "use"}
    assert set(view["BACKBONE"]) == {"NAME", "TorchvisionBackbone"}


def test_a_recipe_that_is_not_there_names_each_folder_once(monkeypatch, tmp_path):
    wrong, right = "projects/fast_rcnn/photograph.yaml", "projects/fast_rcnn/photographs.yaml"
    here, ends = f"config {wrong}: no such file; looked for in ", f". Did you mean {right}?"
    monkeypatch.chdir(recipes_folder())
    assert fails(wrong) == f"{here}{recipes_folder()}{ends}"
    monkeypatch.chdir(tmp_path)
    assert fails(wrong) == f"{here}{tmp_path} and {recipes_folder()}{ends}"
    assert fails(tmp_path / "a.yaml").startswith(f"config {tmp_path / 'a.yaml'}: no such file. ")
