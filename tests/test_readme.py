"""What README and docs show is what the code does."""

import re
import shlex
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

from detkit.backbones.tiny import TinyNet
from detkit.backbones.weights import save_weights
from detkit.cli import main as cli
from detkit.components import load_components
from detkit.config import load_config
from detkit.config.layout import layout
from detkit.data.shapes import Shapes
from detkit.detection.load import load
from detkit.registry import ALL_REGISTRIES
from detkit.study.ablation import swept
from detkit.testing import isolated
from detkit.visualize import write_image

ROOT = Path(__file__).resolve().parent.parent
README, COMPONENTS, PAPER = ROOT / "README.md", ROOT / "docs/components.md", ROOT / "projects/rcnn/README.md"
PAGES = [README, ROOT / "README.zh.md", COMPONENTS, ROOT / "docs/architecture.md", ROOT / "docs/fidelity.md", PAPER]
PAGES.append(ROOT / "docs/paper.md")
HOW_TO = [ROOT / f"docs/{name}.md" for name in ("explain", "index", "how_rcnn_works", "zh/index", "zh/guide")]
HOW_TO += sorted([*ROOT.glob("docs/how_to/*.md"), *ROOT.glob("docs/reference/*.md")])
"""Pages of which some name no config keys."""
WITH_PYTHON = [README, ROOT / "README.zh.md", ROOT / "docs/how_to/python.md", ROOT / "docs/how_rcnn_works.md"]

SMALL = [
    *("DATA.Shapes.TRAIN_IMAGES=8", "DATA.Shapes.TEST_IMAGES=3", "BACKBONE.WEIGHTS=random", "FINETUNE.ITERATIONS=2"),
    *("REGION_SAMPLER.FixedFraction.BATCH_SIZE=16", "BACKBONE.TinyNet.WIDTH=8", "BACKBONE.TinyNet.FC_DIM=16"),
    *("EVALUATORS=[VOC]", "RUNTIME.WORKERS=0", "RUNTIME.REPORT=false", "ARTIFACTS=artifacts"),
]
"""Overrides that make a run of quick.yaml take a second or two."""


def fenced(page, language):
    """The fenced blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands(page):
    """The words of every ``detkit`` command line of a page, without the program's name."""
    lines = "\n".join(fenced(page, "bash")).replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    return [w[1 : w.index(">") if ">" in w else None] for w in words if w and w[0] == "detkit"]


def inline(page):
    """Everything between single backticks outside of fenced blocks."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`\n]+)`", text)


EVERY_COMMAND = list(dict.fromkeys(tuple(c) for page in PAGES + HOW_TO for c in commands(page)))


@pytest.fixture
def own_registries():
    """Components that a test registers are gone after it."""
    with ExitStack() as stack:
        for registry in ALL_REGISTRIES:
            stack.enter_context(isolated(registry))
        yield


@pytest.fixture
def in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def parsed(monkeypatch):
    """Parses a command line with the real parser, without running the command."""

    def parse(words):
        seen = []
        for command in cli.COMMANDS:
            monkeypatch.setattr(command, "run", lambda args: seen.append(args) or 0)
        assert cli.main(list(words)) == 0
        return seen[0]

    return parse


def write_model(folder):
    """A detector of random numbers in the format that training exports."""
    folder.mkdir(parents=True)
    save_weights(folder / "network.safetensors", TinyNet(width=8, fc_dim=16))
    svm = {"weight": torch.zeros(4, 16), "bias": torch.tensor([0.0, 0.1, -1.0, -1.0]), "scale": torch.tensor(1.0)}
    save_file(svm, folder / "classifier.safetensors")
    save_file({}, folder / "box_head.safetensors")
    described = {
        "class_names": ["cross", "disc", "square", "triangle"],
        "proposals": {"NAME": "SlidingWindow", "SlidingWindow": {"STRIDE": 0.5}},
        "backbone": {"NAME": "TinyNet", "TinyNet": {"WIDTH": 8, "FC_DIM": 16}},
        "region_extractor": {"NAME": "WarpedCrops", "WarpedCrops": {}},
        "classifier": {"NAME": "LinearSVM", "LinearSVM": {}},
        "box_head": {"NAME": "Identity", "Identity": {}},
        "classifier_layer": "fc7",
        "box_head_layer": "pool5",
        "postprocess": {"one_class_per_region": True},
        "compute": {"dtype": "float32"},
        "import_paths": {},
    }
    (folder / "model.yaml").write_text(yaml.safe_dump(described), encoding="utf-8")


def write_photo(path):
    write_image(path, np.full((90, 120, 3), 90, np.uint8))


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda p: p.name)
def test_python_of_a_page_runs(page, in_tmp, capsys):
    write_model(in_tmp / "runs/quick/model")
    write_photo(in_tmp / "photo.jpg")
    for block in fenced(page, "python"):
        exec(compile(block, page.name, "exec"), {})
    assert capsys.readouterr().out


def test_page_says_what_its_evaluator_example_prints(capsys):
    (example,) = [b for b in fenced(ROOT / "docs/how_to/python.md", "python") if "VOC(class_names" in b]
    exec(compile(example, "python.md", "exec"), {})
    assert capsys.readouterr().out.strip() == example.rpartition("# ")[2].strip()


def test_project_of_components_page_trains_and_detects(in_tmp, own_registries):
    files = [b for b in fenced(COMPONENTS, "python") if b.startswith("# my_parts/")]
    assert len(files) == 6
    for block in files:
        path = in_tmp / block.splitlines()[0].removeprefix("# ")
        path.parent.mkdir(exist_ok=True)
        path.write_text(block, encoding="utf-8")
    train, listed = commands(COMPONENTS)
    assert cli.main([*train, *SMALL]) == 0
    assert cli.main(listed) == 0
    assert (in_tmp / "runs/my_parts/results.json").is_file()
    detector = load("runs/my_parts/model")
    assert type(detector.generator).__name__ == "StableRegions"
    assert type(detector.scorer.box_head).__name__ == "MeanShift"
    assert len(list(Path("artifacts/thin").glob("*/manifest.json"))) == 2  # FINETUNE and TRAIN are the same images
    shapes = Shapes(splits=("test",), on_bad="stop", test_images=1)
    detector.detect(shapes[0].path, min_score=-100.0)


def test_components_of_components_page_take_an_image_without_anything(in_tmp, own_registries):
    (block,) = [b for b in fenced(COMPONENTS, "python") if b.startswith("# my_parts/stable_regions.py")]
    names = {}
    exec(compile(block, "stable_regions.py", "exec"), names)
    # 6 x 7 pixels are less than a region's least area (60); a larger image of one grey is a region since OpenCV 5.1
    assert len(names["StableRegions"]().propose(np.zeros((6, 7, 3), np.uint8))) == 0


@pytest.mark.parametrize("words", EVERY_COMMAND, ids=" ".join)
def test_command_of_the_docs_parses(words, parsed):
    assert parsed(words).run is not None


RECIPES = [w for w in EVERY_COMMAND if any("projects/rcnn/" in part for part in w)]


@pytest.mark.parametrize("words", RECIPES, ids=" ".join)
def test_recipe_and_keys_of_a_command_load(words, parsed, monkeypatch):
    monkeypatch.chdir(ROOT)
    args = parsed(words)
    overrides = [o for o in args.overrides if not is_of_my_parts(o) and (words[0] != "paper" or "=" in o)]
    if words[0] == "ablate":
        values, overrides = swept(overrides)
        overrides += [f"{key}={value}" for key, own in values.items() for value in own]
    load_config(args.config, overrides)


OWN = ("StableRegions", "NearestMean", "MeanShift", "FocalSoftmax", "Thin", "THIN")


def is_of_my_parts(override):
    """The project of the components page is not there; a test of its own trains it."""
    return override.startswith("PROJECT=") or any(n in override for n in OWN)


def keys_of(page):
    """(key, value or "") of everything between backticks that is a config key."""
    load_components()
    known = layout()
    for text in dict.fromkeys(inline(page)):
        found = re.fullmatch(r"([A-Z][A-Z_]+(?:\.\w+)*)(?:(?:=|: )(\S.*))?", text)
        if found and ("." in found[1] or found[1] in known) and not found[1].endswith(".md"):
            yield found[1], found[2] or ""


def test_keys_are_found_on_pages():
    assert sum(len(list(keys_of(page))) for page in PAGES) > 100


@pytest.mark.parametrize("page", PAGES + HOW_TO, ids=lambda p: str(p.relative_to(ROOT)))
def test_config_keys_of_the_docs_exist(page):
    keys = list(keys_of(page))
    load_config(ROOT / "projects/rcnn/quick.yaml", [f"{key}={value}" for key, value in keys if value])
    for key, _ in keys:
        node = layout()
        for part in key.split("."):
            assert part in node, f"{page.name}: no config key {key}"
            node = node[part]


@pytest.mark.parametrize("page", PAGES + HOW_TO, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_that_a_page_names_exist(page):
    named = [ROOT / n for n in inline(page) if re.fullmatch(r"(detkit|tests|docs|projects|configs)/[\w./]+", n)]
    linked = [page.parent / link for link in re.findall(r"\]\((?!http)([^)#]+)", page.read_text(encoding="utf-8"))]
    made = ROOT / "docs/generated"  # by `make docs`
    missing = [str(p) for p in named + linked if not p.exists() and not p.resolve().is_relative_to(made)]
    assert missing == []


def test_paper_page_names_every_recipe():
    recipes = {path.name for path in (ROOT / "projects/rcnn").glob("*.yaml")}
    assert recipes <= set(re.findall(r"\w+\.yaml", PAPER.read_text(encoding="utf-8")))


def is_of_the_core(component):
    """Parts of projects stand in the projects' own READMEs."""
    return component.__module__.startswith("detkit.") and not component.__module__.startswith("detkit.projects.")


@pytest.mark.parametrize("registry", ALL_REGISTRIES, ids=lambda r: r.name)
def test_components_page_names_every_component_of(registry, own_registries):
    (row,) = [line for line in COMPONENTS.read_text(encoding="utf-8").splitlines() if f"| `{registry.name}` |" in line]
    named = set(re.findall(r"`(\w+)`", row.split(" | ")[-1]))
    built_in = {n for n in registry.names() if is_of_the_core(registry.get(n))}
    assert named == built_in
