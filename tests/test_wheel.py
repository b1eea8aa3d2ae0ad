"""The built wheel in an empty folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SMALL = (
    "DATA.Shapes.TRAIN_IMAGES=8",
    "DATA.Shapes.TEST_IMAGES=4",
    "PRETRAIN.ITERATIONS=2",
    "PRETRAIN_DATA.Shapes.TRAIN_IMAGES=8",
    "PRETRAIN_DATA.Shapes.VAL_IMAGES=8",
    "FINETUNE.ITERATIONS=2",
    "PROPOSALS.SelectiveSearch.MODE=single",
    "RUNTIME.WORKERS=0",
)


def run(*command: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    source = tmp_path_factory.mktemp("source") / "detkit"
    source.mkdir()
    for name in ("detkit", "configs", "projects"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.cfg", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, source / name)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", cwd=source)
    (built,) = (source / "dist").glob("*.whl")
    return built


def test_wheel_holds_every_module_recipe_and_config(wheel):
    inside = set(zipfile.ZipFile(wheel).namelist())
    for path in (ROOT / "detkit").rglob("*.py"):
        assert path.relative_to(ROOT).as_posix() in inside
    for folder in ("projects/rcnn", "configs"):
        for path in (ROOT / folder).glob("*.yaml"):
            assert f"detkit/recipes/{folder}/{path.name}" in inside


@pytest.mark.slow
def test_installed_wheel_trains_the_quick_recipe_in_an_empty_folder(wheel, tmp_path):
    site, work = tmp_path / "site", tmp_path / "work"
    work.mkdir()
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel), cwd=work)
    command = (sys.executable, "-m", "detkit", "train", "--config", "projects/rcnn/quick.yaml", *SMALL)
    out = run(*command, cwd=work, PYTHONPATH=str(site), DETKIT_CACHE=str(tmp_path / "cache"))
    assert "mAP" in out
    assert (work / "runs" / "quick" / "model" / "model.yaml").is_file()
    where = run(sys.executable, "-c", "import detkit; print(detkit.__file__)", cwd=work, PYTHONPATH=str(site))
    assert where.startswith(str(site))
