from __future__ import annotations

import sys

import pytest

import detkit.projects
from detkit.cli.main import main
from detkit.components import load_components
from detkit.config import build, load_config
from detkit.config.project import bundled_projects, import_project, project_of
from detkit.detection.load import load
from detkit.errors import ModelError
from detkit.registry import ALL_REGISTRIES, PROPOSAL_GENERATORS
from tests.config.conftest import fails

PART = """
from detkit.proposals.base import ProposalGenerator
from detkit.registry import PROPOSAL_GENERATORS
from detkit.structures import Boxes, Proposals

@PROPOSAL_GENERATORS.register()
class {name}(ProposalGenerator):
    \"\"\"The image less a margin as one box, and its left half.\"\"\"
    def __init__(self, *, margin: int = 0): self.margin = margin
    def propose(self, image, image_id=''):
        h, w = image.shape[:2]
        m = self.margin
        return Proposals.unranked(Boxes.of([[m, m, w - m, h - m], [0, 0, w / 2, h]]), (h, w))
"""


@pytest.fixture(autouse=True)
def forget(monkeypatch, tmp_path):
    """Forgets what a test registers and imports; a call does so at once, as a new process would."""
    load_components()
    registered = {registry: dict(registry._obj_map) for registry in ALL_REGISTRIES}
    before = set(sys.modules)

    def again():
        for registry, names in registered.items():
            monkeypatch.setattr(registry, "_obj_map", dict(names))
        for name in set(sys.modules) - before:
            if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]

    again()
    yield again
    again()


@pytest.fixture
def bundled(write, monkeypatch, tmp_path):
    """The folder of a project ``probe`` that comes with detkit, with a part and a recipe that brings it."""
    init = write(PART.format(name="Probe"), "brought/projects/probe/parts.py").with_name("__init__.py")
    init.write_text("from . import parts\n")
    write("PROJECT: .\nPROPOSALS: {NAME: Probe}\n", "brought/projects/probe/_base.yaml")
    write("_BASE_: ./_base.yaml\nSEED: 8\n", "brought/projects/probe/quick.yaml")
    for module in ("paths", "project"):
        monkeypatch.setattr(f"detkit.config.{module}.recipes_folder", lambda: tmp_path / "brought")
    monkeypatch.setattr(detkit.projects, "__path__", [str(tmp_path / "brought/projects")])
    return init.parent


def test_project_is_imported_by_path_and_its_component_selected(write):
    write(PART.format(name="WholeImage"), "mine/__init__.py")
    path = write("PROJECT: .\nPROPOSALS: {NAME: WholeImage, WholeImage: {MARGIN: 2}}\n", "mine/r.yaml")
    config = load_config(path)
    assert build(config, "PROPOSALS").margin == 2
    dumped = write(config.text(), "runs/x/config.yaml")
    assert load_config(dumped).text() == config.text()


def test_project_that_is_none_or_breaks_is_named(write):
    assert "has no __init__.py; looked for in " in fails(write("PROJECT: nowhere\n"))
    write("raise RuntimeError('broken')\n", "sub/bad/__init__.py")
    assert "cannot be imported: RuntimeError: broken" in fails(write("PROJECT: ./bad\n", "sub/r.yaml"))
    assert fails(write("PROJECT: bad\n", "sub/r.yaml")).endswith("; write ./bad for the one beside this file")
    assert "recipe.yaml:1: PROJECT: expected text or a list, each text, got 1.5" in fails(write("PROJECT: 1.5\n"))


def test_projects_of_bases_file_and_command_line_add_up(write, tmp_path):
    for name in ("One", "Two", "Three", "Four"):
        write(PART.format(name=name), f"{name.lower()}/__init__.py")
    write("PROJECT: one\n", "base.yaml")
    write("PROJECT: [../two, '']\n", "sub/base.yaml")
    path = write("_BASE_: [base.yaml, ./sub/base.yaml]\nPROJECT: [three, one]\n")
    config = load_config(path, ["PROJECT=four"])
    assert config.PROJECT == [f"{tmp_path}/{name}" for name in ("one", "two", "three", "four")]
    assert {"One", "Two", "Three", "Four"} <= set(PROPOSAL_GENERATORS.names())
    assert load_config(write(config.text(), "runs/x/config.yaml"), ["PROJECT=three"]).PROJECT == config.PROJECT


def test_a_package_that_is_installed_can_also_be_the_project(write, tmp_path, monkeypatch):
    write(PART.format(name="Installed"), "site/parts_of_mine/__init__.py")
    write("[detkit.components]\nmine = parts_of_mine\n", "site/parts_of_mine-1.0.dist-info/entry_points.txt")
    write("Metadata-Version: 2.1\nName: parts-of-mine\nVersion: 1.0\n", "site/parts_of_mine-1.0.dist-info/METADATA")
    write(PART.format(name="Installed"), "checkout/parts_of_mine/__init__.py")
    monkeypatch.syspath_prepend(tmp_path / "site")
    for place in ("site", "checkout"):
        config = load_config(write("PROPOSALS: {NAME: Installed}\n"), [f"PROJECT={place}/parts_of_mine"])
        assert type(build(config, "PROPOSALS")).__module__ == "parts_of_mine"
    write("# another version\n" + PART.format(name="Installed"), "checkout/parts_of_mine/__init__.py")
    refused = fails(write("SEED: 1\n"), "PROJECT=checkout/parts_of_mine")
    assert "the name 'Installed'" in refused and "is already taken by parts_of_mine.Installed" in refused


def test_a_recipe_that_came_with_detkit_brings_its_project_also_beside_one_of_the_user(write, bundled):
    write(PART.format(name="Own"), "own/__init__.py")
    config = load_config(write("_BASE_: projects/probe/quick.yaml\nPROJECT: own\nPROPOSALS: {NAME: Own}\n"))
    assert (config.SEED, config.PROPOSALS.NAME) == (8, "Own")
    assert {"Own", "Probe"} <= set(PROPOSAL_GENERATORS.names())
    assert PROPOSAL_GENERATORS.get("Probe").__module__ == "detkit.projects.probe.parts"


def test_a_project_that_came_with_detkit_is_found_by_its_path_there(write, bundled):
    for name in ("projects/probe", str(bundled)):
        config = load_config(write(f"PROJECT: {name}\nPROPOSALS: {{NAME: Probe}}\n"))
        assert config.PROJECT == ["projects/probe"], "as it is called wherever detkit is installed"
    assert load_config(write(config.text(), "runs/x/config.yaml")).text() == config.text()


@pytest.mark.parametrize("places", [("a", "b"), ("a", "projects"), ("projects", "a")])
def test_copies_of_a_project_are_one_project(write, bundled, places):
    for place in ("a", "b"):
        write("from . import parts\n", f"{place}/probe/__init__.py")
        write(PART.format(name="Probe"), f"{place}/probe/parts.py")
    for place in places:
        config = load_config(write("PROPOSALS: {NAME: Probe}\n"), [f"PROJECT={place}/probe"])
        assert type(build(config, "PROPOSALS")).__module__ == "detkit.projects.probe.parts"


def test_copies_of_a_project_of_the_user_are_one_project(write):
    for place in ("a", "b"):
        write(PART.format(name="Own"), f"{place}/mine/__init__.py")
        load_config(write("PROPOSALS: {NAME: Own}\n"), [f"PROJECT={place}/mine"])
    write("# another version\n" + PART.format(name="Own"), "c/mine/__init__.py")
    assert "the name 'Own'" in fails(write("PROPOSALS: {NAME: Own}\n"), "PROJECT=c/mine")


def test_the_project_of_a_module_is_its_folder(write, bundled):
    own = write(PART.format(name="Own"), "own/inner/parts.py").parent.parent
    write("from .inner import parts\n", "own/__init__.py")
    for folder, name in ((own, "Own"), (bundled, "Probe")):
        import_project(folder, "test")
        assert project_of(PROPOSAL_GENERATORS.get(name).__module__) == folder
    assert project_of("detkit.proposals.edge_boxes") is None
    assert project_of("numpy.linalg") is None
    assert project_of("not_imported") is None


def test_list_shows_the_parts_of_the_projects_that_came_with_detkit(bundled, capsys):
    assert main(["list", "PROPOSAL_GENERATORS", "Probe"]) == 0
    assert "Probe: The image less a margin as one box" in capsys.readouterr().out


def test_a_copy_of_such_a_project_is_listed_and_used_as_it_is(bundled, write, capsys):
    write(PART.format(name="Probe") + "# changed\n", "copied/__init__.py")
    assert main(["list", "--project", "copied", "PROPOSAL_GENERATORS"]) == 0
    assert load_config(write("PROPOSALS: {NAME: Probe}\n"), ["PROJECT=copied"]).PROPOSALS.NAME == "Probe"


def test_a_model_with_parts_of_such_a_project_is_loaded_without_an_option(bundled, recipe, forget):
    words = ["PROJECT=projects/probe", "PROPOSALS.NAME=Probe", "BACKBONE.WEIGHTS=random"]
    assert main(["train", "--config", str(recipe), *words, "OUTPUT_DIR=run"]) == 0
    forget()
    assert "Probe" not in PROPOSAL_GENERATORS
    assert type(load("run/model").generator).__name__ == "Probe"


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("run/model/model.yaml", "is a file; did you mean the folder run/model?"),
        ("run", "no model.yaml there; did you mean run/model?"),
        ("elsewhere", "no such folder, and no installed model."),
    ],
)
def test_a_path_near_a_model_is_answered_with_the_models_folder(write, model, message):
    write("", "run/model/model.yaml")
    with pytest.raises(ModelError) as error:
        load(model)
    assert f"model {model}: {message}" in str(error.value)


def test_rcnn_is_a_project_that_came_with_detkit():
    assert "rcnn" in {folder.name for folder in bundled_projects()}
