"""The built wheel in an empty folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.fresh import run_fresh

ROOT = Path(__file__).resolve().parent.parent
SMALL = (
    "DATA.Shapes.TRAIN_IMAGES=6",
    "DATA.Shapes.TEST_IMAGES=2",
    "DATA.Shapes.WIDTH=80",
    "BACKBONE.TinyNet.WIDTH=8",
    "BACKBONE.TinyNet.FC_DIM=32",
    "PRETRAIN.ITERATIONS=2",
    "PRETRAIN_DATA.Shapes.TRAIN_IMAGES=8",
    "PRETRAIN_DATA.Shapes.VAL_IMAGES=8",
    "FINETUNE.ITERATIONS=2",
    "PROPOSALS.Probe.MODE=single",
    "RUNTIME.WORKERS=0",
)


def run(*words: str, cwd: Path) -> None:
    done = subprocess.run((sys.executable, *words), cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


PART = """
from detkit.proposals.selective_search import SelectiveSearch
from detkit.registry import PROPOSAL_GENERATORS

@PROPOSAL_GENERATORS.register()
class Probe(SelectiveSearch):
    pass
"""
ADDED = {
    "detkit/added/__init__.py": "",
    "projects/probe/__init__.py": "from .inner import parts\n",
    "projects/probe/inner/parts.py": PART,
    "projects/probe/quick.yaml": "_BASE_: projects/rcnn/quick.yaml\nPROJECT: .\nPROPOSALS: {NAME: Probe}\n",
}
"""A room of the package and a project that nothing lists by name."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    source = tmp_path_factory.mktemp("source") / "detkit"
    source.mkdir()
    for name in ("detkit", "configs", "projects"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.cfg", "setup.py", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, source / name)
    for name, text in ADDED.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    # what installers ask of the build backend that pyproject.toml names, without their isolated environment
    run("-c", "from setuptools.build_meta import build_wheel; build_wheel('dist')", cwd=source)
    (built,) = (source / "dist").glob("*.whl")
    return built


def test_wheel_holds_every_module_recipe_and_config(wheel):
    inside = set(zipfile.ZipFile(wheel).namelist())
    folders = {"detkit": "detkit", "projects": "detkit/recipes/projects", "configs": "detkit/recipes/configs"}
    for folder, where in folders.items():
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".yaml", ".md", ".typed"):
                assert f"{where}/{path.relative_to(ROOT / folder).as_posix()}" in inside
    assert "detkit/added/__init__.py" in inside
    assert {f"detkit/recipes/{name}" for name in ADDED if name.startswith("projects")} <= inside
    assert not [name for name in inside if "__pycache__" in name]


# The parent has imported neither the project nor anything of it when the child has trained.
PROGRAM = """
import os, sys
site, cache, *words = sys.argv[1:]
sys.path.insert(0, site)
os.environ["DETKIT_CACHE"] = cache
from detkit.cli.main import main

child = os.fork()
if not child:
    code = main(["train", "--config", "projects/probe/quick.yaml", *words])
    sys.stdout.flush()
    os._exit(code)
assert os.waitpid(child, 0)[1] == 0
import detkit
print(type(detkit.load("runs/quick/model").generator).__module__)
print(detkit.__file__)
assert main(["list"]) == 0
"""


@pytest.mark.slow
def test_installed_wheel_trains_a_recipe_of_a_project_in_an_empty_folder_and_loads_its_model(wheel, tmp_path):
    site, work = tmp_path / "site", tmp_path / "work"
    work.mkdir()
    pip = ("-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps", "--no-index")
    run(*pip, "--no-compile", "--target", str(site), str(wheel), cwd=work)
    done = run_fresh(PROGRAM, str(site), str(tmp_path / "cache"), *SMALL, cwd=work)
    assert done.returncode == 0, done.stdout + done.stderr
    out = done.stdout
    assert "mAP" in out
    assert (work / "runs" / "quick" / "model" / "model.yaml").is_file()
    assert ", Probe, " in out
    module, where = out.splitlines()[out.splitlines().index("detkit.projects.probe.inner.parts") :][:2]
    assert module == "detkit.projects.probe.inner.parts" and where.startswith(str(site))
