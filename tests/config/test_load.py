from __future__ import annotations

import pytest

from detkit.config import build, load_config
from detkit.errors import ConfigError
from detkit.registry import PROPOSAL_GENERATORS


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def to(text: str, name: str = "recipe.yaml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return to


def fails(path, *overrides) -> str:
    with pytest.raises(ConfigError) as error:
        load_config(path, overrides)
    assert "\n" not in str(error.value)
    return str(error.value)


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
    path = write("_BASE_: base.yaml\nSEED: 2\n")
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
    assert (
        "recipe.yaml:1: CLASSIFIERS: no 'LinearSvm'. Did you mean LinearSVM? Registered: LinearSVM, Softmax." in message
    )


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


def test_override_without_value_is_refused(write):
    assert "command line: SEED has no value; write SEED=VALUE" in fails(write("SEED: 1\n"), "SEED")


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


def test_missing_file_and_missing_base_name_the_path(write):
    assert "no such file" in fails(write("SEED: 1\n").parent / "nowhere.yaml")
    assert "recipe.yaml:1: _BASE_ gone.yaml: no such file" in fails(write("_BASE_: gone.yaml\n"))


def test_base_is_also_found_among_the_recipes(write):
    assert load_config(write("_BASE_: projects/rcnn/_paper.yaml\n")).EVALUATORS == ["VOC", "COCO", "ProposalRecall"]


def test_bases_have_no_bases_and_never_set_one_key_twice(write):
    write("SEED: 1\n", "a.yaml")
    write("SEED: 2\n", "b.yaml")
    write("_BASE_: a.yaml\nSEED: 2\n", "c.yaml")
    assert "SEED is set by two bases" in fails(write("_BASE_: [a.yaml, b.yaml]\n"))
    assert "a base has no bases of its own" in fails(write("_BASE_: c.yaml\n"))


def test_project_is_imported_by_path_and_its_component_selected(write):
    write(
        "from detkit.proposals.base import ProposalGenerator\n"
        "from detkit.registry import PROPOSAL_GENERATORS\n"
        "from detkit.structures import Boxes, Proposals\n"
        "@PROPOSAL_GENERATORS.register()\n"
        "class WholeImage(ProposalGenerator):\n"
        '    """The image as one box."""\n'
        "    def __init__(self, *, margin: int = 0): self.margin = margin\n"
        "    def propose(self, image, image_id=''):\n"
        "        h, w = image.shape[:2]\n"
        "        m = self.margin\n"
        "        return Proposals.unranked(Boxes.of([[m, m, w - m, h - m]]), (h, w))\n",
        "mine/__init__.py",
    )
    path = write("PROJECT: .\nPROPOSALS: {NAME: WholeImage, WholeImage: {MARGIN: 2}}\n", "mine/r.yaml")
    with PROPOSAL_GENERATORS.isolated():
        config = load_config(path)
        assert build(config, "PROPOSALS").margin == 2
        dumped = write(config.text(), "runs/x/config.yaml")
        assert load_config(dumped).text() == config.text()


def test_project_that_is_none_or_breaks_is_named(write):
    assert "has no __init__.py" in fails(write("PROJECT: nowhere\n"))
    write("raise RuntimeError('broken')\n", "bad/__init__.py")
    assert "cannot be imported: RuntimeError: broken" in fails(write("PROJECT: bad\n"))


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
