"""Which steps a recipe has, and what each is hashed from."""

import shutil
import sys
import types

import pytest

from detkit.backbones import shapes
from detkit.components import load_components
from detkit.config import load_config
from detkit.errors import ConfigError
from detkit.registry import STAGES
from detkit.run.datasets import Datasets
from detkit.run.givers import planned_stages
from detkit.run.identity import identity_of
from detkit.run.last_run import LastRun, differences, keep_plan
from detkit.run.plan import plan
from detkit.system.compute import Compute

load_components()

CORNERS = '''
"""A generator that proposes the four quarters of an image."""
from detkit.proposals.base import ProposalGenerator
from detkit.registry import PROPOSAL_GENERATORS
from detkit.structures import Boxes, Proposals


@PROPOSAL_GENERATORS.register()
class Quarters(ProposalGenerator):
    """Four boxes."""

    def propose(self, image, image_id=""):
        """The quarters."""
        h, w = image.shape[0] / 2, image.shape[1] / 2
        rows = [[0, 0, w, h], [w, 0, 2 * w, h], [0, h, w, 2 * h], [w, h, 2 * w, 2 * h]]
        return Proposals.unranked(Boxes.of(rows), image.shape[:2])
'''


def steps(recipe, *words):
    config = load_config(recipe, words)
    return plan(config, Datasets(config), Compute.resolve(dtype="float32", device="cpu"))


def stages(recipe, text):
    return [(one.entry.id, one.roles) for one in planned_stages(load_config(recipe, [f"STAGES={text}"]))]


def test_a_step_exists_because_something_needs_it(recipe):
    # the four last stages need the test split's proposals and the training split's; without them nobody does
    whole = stages(recipe, "[Pretrain, Propose, Finetune, Extract, Classify, Regress, Detect, Evaluate]")
    assert dict(whole)["Propose"] == ["FINETUNE", "TRAIN", "TEST"]
    assert stages(recipe, "[Pretrain, Propose, Finetune]") == [
        ("Pretrain", [""]),
        ("Propose", ["FINETUNE"]),
        ("Finetune", [""]),
    ]
    assert stages(recipe, "[Propose]") == [("Propose", ["TEST"])]


def test_a_need_is_met_by_the_nearest_stage_before_it(recipe):
    by_id = {step.id: step for step in steps(recipe)}
    assert by_id["Finetune"].inputs["network"] is by_id["Pretrain"]
    assert by_id["Classify"].inputs["network"] is by_id["Finetune"]
    without = {s.id: s for s in steps(recipe, "STAGES=[Pretrain, Propose, Classify, Regress, Detect, Evaluate]")}
    assert without["Classify"].inputs["network"] is without["Pretrain"]
    assert without["Classify"].caches == {}


TWICE = "[Pretrain, Propose, Finetune, {NAME: Finetune, ID: second, FROM: %s, WITH: {FINETUNE.LR: 0.5}}, Classify]"


def test_a_stage_may_stand_twice_with_an_id_settings_and_sources_of_its_own(recipe):
    found = {step.label: step for step in steps(recipe, "STAGES=" + TWICE % "{}")}
    assert found["second"].inputs["network"] is found["finetune"]
    assert found["classify train"].inputs["network"] is found["second"]
    assert found["second"].description["settings"]["FINETUNE"]["LR"] == 0.5
    assert found["finetune"].description["settings"]["FINETUNE"]["LR"] == 0.01
    again = {step.label: step for step in steps(recipe, "STAGES=" + TWICE % "{network: Pretrain}")}
    assert again["second"].inputs["network"] is again["pretrain"]


def test_the_test_split_may_have_other_proposals_than_training(recipe):
    at_test = "{NAME: Propose, ID: at_test, WITH: {PROPOSALS.SelectiveSearch.MODE: paper}}"
    words = [f"STAGES=[Pretrain, Propose, Extract, Classify, Regress, {at_test}, Detect]", "FEATURES.ROLES=[TRAIN]"]
    found = {step.label: step for step in steps(recipe, *words)}
    searched = {
        name: step.description["settings"]["PROPOSALS"]["SelectiveSearch"]["MODE"]
        for name, step in found.items()
        if type(step.stage).__name__ == "Propose"
    }
    assert searched == {"propose train": "single", "at_test test": "paper"}
    assert found["detect test"].inputs["proposals"] is found["at_test test"]
    assert found["classify train"].inputs["proposals"] is found["propose train"]


def test_stored_features_of_another_network_or_of_other_settings_are_refused(recipe):
    # stored before the second tuning, they are those of the first network; nothing of it would be hashed
    before = "STAGES=[Pretrain, Propose, Finetune, Extract, {NAME: Finetune, ID: second}, Classify]"
    with pytest.raises(ConfigError, match="comes from Finetune; put Extract behind second"):
        steps(recipe, before)
    square = "{NAME: Classify, WITH: {REGION_EXTRACTOR.WarpedCrops.MODE: square}}"
    with pytest.raises(ConfigError, match="Classify has other settings in REGION_EXTRACTOR than Extract"):
        steps(recipe, f"STAGES=[Pretrain, Propose, Finetune, Extract, {square}]")
    for with_ in ("BOX_HEAD.LAYER: fc6", "BOX_HEAD.Ridge.MIN_IOU: 0.3"):  # rows and layers that Extract does not keep
        with pytest.raises(ConfigError, match="Regress reads other layers or regions than Extract keeps"):
            steps(recipe, f"STAGES=[Pretrain, Propose, Finetune, Extract, {{NAME: Regress, WITH: {{{with_}}}}}]")
    behind = "STAGES=[Pretrain, Propose, Finetune, {NAME: Finetune, ID: second}, Extract, Classify]"
    found = {step.label: step for step in steps(recipe, behind)}
    assert found["classify train"].caches["features"] is found["extract train"]


def test_a_source_that_a_stage_does_not_need_is_named(recipe):
    with pytest.raises(ConfigError, match=r"second: FROM: it needs no 'netwrok'. Did you mean network"):
        steps(recipe, "STAGES=" + TWICE % "{netwrok: Pretrain}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[Pretrain, Pretrain]", "Pretrain stands twice; give the second one an ID of its own"),
        ("[Pretrain, {NAME: Pretrain, ID: pretrain}]", "pretrain stands twice"),
        ("[{NAME: Pretrain, IDD: a}]", r"STAGES\[0\]: unknown key IDD. Did you mean ID\?"),
        ("[{ID: a}]", r"STAGES\[0\]: expected a stage's name or"),
        ("[7]", r"STAGES\[0\]: expected a stage's name or"),
        ("[Pretrain, {NAME: Pretrain, ID: 'a b'}]", "expected a word of letters"),
        ("[Pretrain, {NAME: Pretrain, ID: b, FROM: {network: a}}]", "takes its network from 'a', which does not stand"),
        ("[Pretrain, {NAME: Pretrain, ID: b, WITH: {PRETRAIN.LRR: 1}}]", "STAGES: b: WITH: unknown key PRETRAIN.LRR"),
        ("[Pretrain, {NAME: Pretrain, ID: b, WITH: {PRETRAIN.LR: x}}]", "WITH: PRETRAIN.LR: expected a number"),
        ("[Pretrain, {NAME: Pretrain, ID: b, WITH: {DATA.TRAIN: val}}]", "DATA.TRAIN holds for the whole run"),
        ("[Pretrain, Finetun]", "Did you mean Finetune"),
    ],
)
def test_mistakes_in_the_list_of_stages_are_named(recipe, text, told):
    with pytest.raises(ConfigError, match=told):
        load_config(recipe, [f"STAGES={text}"])


def test_one_plan_builds_the_backbone_once(recipe, monkeypatch):
    built = []
    build = shapes.build
    monkeypatch.setattr(
        shapes, "build", lambda config, slot, **given: built.append(slot) or build(config, slot, **given)
    )
    steps(recipe)
    assert built == ["BACKBONE"]


def test_two_stages_cannot_bring_one_section_with_other_keys(recipe, monkeypatch):
    class Other(STAGES.get("Finetune")):
        settings = {"FINETUNE": lambda *, iterations=1: None}

    monkeypatch.setitem(STAGES._obj_map, "Other", Other)
    with pytest.raises(ConfigError, match="stage Other: its section FINETUNE is there already with other keys"):
        load_config(recipe)
    Other.settings = {"DATA": lambda *, root="": None}
    with pytest.raises(ConfigError, match="stage Other: its section DATA is there already"):
        load_config(recipe)


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "__init__.py").write_text("from . import quarters\n")
    (folder / "quarters.py").write_text(CORNERS)
    yield folder
    for name in [name for name in sys.modules if name.startswith("detkit_project_")]:
        del sys.modules[name]
    from detkit.registry import PROPOSAL_GENERATORS

    PROPOSAL_GENERATORS._obj_map.pop("Quarters", None)


def forget(folder):
    """As another process would start: nothing of the project is imported."""
    from detkit.registry import PROPOSAL_GENERATORS

    for name in [name for name in sys.modules if name.startswith("detkit_project_")]:
        del sys.modules[name]
    PROPOSAL_GENERATORS._obj_map.pop("Quarters", None)


def proposing(recipe, folder):
    return steps(recipe, f"PROJECT={folder}", "PROPOSALS.NAME=Quarters", "STAGES=[Propose]")[0]


def test_a_changed_source_makes_its_results_again_and_status_says_so(recipe, project, tmp_path):
    first = proposing(recipe, project)
    keep_plan(tmp_path, [first])
    forget(project)
    assert proposing(recipe, project).digest == first.digest
    forget(project)
    (project / "helper.py").write_text("LEAST = 3\n")
    changed = proposing(recipe, project)
    assert changed.digest != first.digest
    assert differences(changed, LastRun.of(tmp_path)) == ["the code of Quarters: its sources changed"]


def test_the_same_project_at_another_place_is_the_same_code(recipe, project, tmp_path):
    first = proposing(recipe, project)
    forget(project)
    moved = shutil.copytree(project, tmp_path / "elsewhere", ignore=shutil.ignore_patterns("__pycache__"))
    assert proposing(recipe, moved).digest == first.digest


def test_two_projects_with_a_class_of_one_name_share_nothing(recipe, project, tmp_path):
    first = proposing(recipe, project)
    forget(project)
    other = shutil.copytree(project, tmp_path / "other", ignore=shutil.ignore_patterns("__pycache__"))
    (other / "quarters.py").write_text(CORNERS.replace("/ 2", "/ 3"))
    assert proposing(recipe, other).digest != first.digest


def test_a_raised_version_makes_results_again(recipe, monkeypatch, tmp_path):
    first = steps(recipe, "STAGES=[Propose]")[0]
    keep_plan(tmp_path, [first])
    from detkit.proposals.selective_search import SelectiveSearch

    monkeypatch.setattr(SelectiveSearch, "version", 99, raising=False)
    second = steps(recipe, "STAGES=[Propose]")[0]
    assert second.digest != first.digest
    (line,) = differences(second, LastRun.of(tmp_path))
    assert line.startswith("the code of SelectiveSearch: version 99, was ")


def test_a_class_of_a_single_module_counts_by_its_file_and_one_without_a_file_by_its_text(tmp_path, monkeypatch):
    module = types.ModuleType("lonely")
    module.__file__ = str(tmp_path / "lonely.py")
    monkeypatch.setitem(sys.modules, "lonely", module)
    part = type("Part", (), {"__module__": "lonely"})
    found = []
    for text in ("a = 1\n", "a = 2\n", "a = 1\n"):
        (tmp_path / "lonely.py").write_text(text)
        found.append(identity_of(part)["source"])
    assert found[0] == found[2] != found[1]
    assert identity_of(STAGES.get("Propose")) == {"name": "stages.propose.Propose", "version": 1}
