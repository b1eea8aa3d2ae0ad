from __future__ import annotations

import errno
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from detkit.cli import list_components
from detkit.cli.main import main
from detkit.config import load_config
from detkit.registry import ALL_REGISTRIES, EVALUATORS
from detkit.report import outputs
from detkit.run.datasets import Datasets
from detkit.system.files import locked
from detkit.testing import isolated

FEW = ["BACKBONE.WEIGHTS=random", "DATA.Shapes.TRAIN_IMAGES=4", "DATA.Shapes.TEST_IMAGES=4"]
"""Overrides that leave quick.yaml little to draw."""


def run(capsys, *words: str) -> tuple[int, str, str]:
    code = main(list(words))
    return code, *capsys.readouterr()


def test_help_lists_the_commands_without_importing_torch():
    code = "import sys; from detkit.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "assert not {'torch', 'cv2', 'numpy'} & set(sys.modules), 'heavy import'"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for command in ("train", "eval", "detect", "status", "config", "list"):
        assert command in done.stdout


def test_list_names_every_component_and_the_keys_of_one(capsys):
    code, out, _ = run(capsys, "list")
    assert code == 0
    for registry in ALL_REGISTRIES:
        assert f"{registry.name}: {', '.join(registry.names())}" in out
    _, out, _ = run(capsys, "list", "classifiers", "LinearSVM")
    assert "  C = 0.001  (a number greater than 0)\n      weight of the hinge loss" in out
    _, out, _ = run(capsys, "list", "stages", "Finetune")
    assert "  FINETUNE.ITERATIONS = 70000  (a whole number greater than 0)\n      " in out
    _, out, _ = run(capsys, "list", "datasets", "VOC")
    assert "  ROOT = ''  (text)\n" in out
    assert "  CLASSES = []  (a list, each text)\n      class names in label order; empty takes" in out
    code, _, err = run(capsys, "list", "CLASIFIERS")
    assert code == 2
    assert "Did you mean CLASSIFIERS?" in err


def test_component_without_a_docstring_is_listed(capsys):
    class Silent:
        pass

    with isolated(EVALUATORS):
        EVALUATORS.register(Silent)
        code, out, _ = run(capsys, "list", "EVALUATORS")
    assert code == 0
    assert "Silent: says nothing about itself" in out


def test_config_prints_what_loads_again(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, out, _ = run(capsys, "config", "--config", "projects/rcnn/quick.yaml", "SEED=9")
    Path("again.yaml").write_text(out)
    _, again, _ = run(capsys, "config", "--config", "again.yaml")
    assert again == out
    assert "SEED: 9" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "--config", "projects/rcnn/quik.yaml"], "Did you mean projects/rcnn/quick.yaml?"),
        (["train", "--config", "projects/rcnn/quick.yaml", "CLASSIFER.NAME=Softmax"], "Did you mean CLASSIFIER?"),
        (["train", "--config", "projects/rcnn/quick.yaml", "SEED"], "SEED has no value"),
        (["train", "--config", "projects/rcnn/quick.yaml", "STAGES=[]"], "STAGES: nothing to do; list"),
        (["config", "--config", "projects/rcnn/quick.yaml", "EVALUATORS=[]"], "(at least one entry), got []"),
        (["train", "--config", "projects/rcnn/alexnet_svm.yaml", "BACKBONE.WEIGHTS=random"], "VOC2007"),
        (["train", "--config", "projects/rcnn/quick.yaml", "BACKBONE.WEIGHTS=nowhere.pth"], "nowhere.pth"),
        (["train", "--config", "projects/rcnn/quick.yaml", "RUNTIME.DEVICE=cuda:9"], "no device 'cuda:9'"),
        (["eval", "--config", "projects/rcnn/quick.yaml", *FEW], "nothing was detected yet; run: detkit train"),
        (["detect", "--model", "nowhere", "a.jpg"], "a.jpg: no such image or folder"),
        (["detect", "--model", ".", "."], ".: no image there; not read: nothing; images end in .jpg"),
        (["detect", "--model", ".", ""], "'': no image or folder has an empty name; write . for the working folder"),
    ],
)
def test_mistake_gets_one_line_and_exit_2_and_leaves_nothing(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DETKIT_CACHE", str(tmp_path.parent / "elsewhere"))
    code, _, err = run(capsys, *words)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("library", ["libxcb.so.1", "libGL.so.1", "libgthread-2.0.so.0"])
def test_missing_system_library_is_one_line_with_its_debian_packages(library, capsys, monkeypatch):
    def refuse(args):
        raise ImportError(f"{library}: cannot open shared object file: No such file or directory")

    monkeypatch.setattr(list_components, "run", refuse)
    code, _, err = run(capsys, "list")
    assert code == 2
    assert err == (
        f"detkit list: the system library {library} is missing; "
        "on Debian: apt-get install libgl1 libglib2.0-0 libxcb1\n"
    )


def test_import_that_fails_for_another_reason_is_raised(monkeypatch):
    def refuse(args):
        raise ImportError("No module named 'cv2'")

    monkeypatch.setattr(list_components, "run", refuse)
    with pytest.raises(ImportError, match="cv2"):
        main(["list"])


def test_debug_shows_the_traceback_of_a_mistake_and_ends_with_2(capsys):
    code, _, err = run(capsys, "config", "--debug", "--config", "projects/rcnn/quick.yaml", "SEED=-1")
    assert code == 2
    assert err.startswith("Traceback")
    assert err.splitlines()[-1].endswith("ConfigError: command line: SEED: expected a whole number 0 or more, got -1")


def test_a_full_disk_is_answered_with_where_the_command_writes(capsys, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("detkit.cli.config.read_config", full)
    monkeypatch.setattr("detkit.cli.data_check.read_config", full)
    for words, places in (
        (["config"], "OUTPUT_DIR, ARTIFACTS and DETKIT_CACHE"),
        (["data", "check"], "--json and DETKIT_CACHE"),
    ):
        code, _, err = run(capsys, *words, "--config", "any.yaml")
        assert code == 2
        assert err.endswith(
            f"; make room, or choose folders that can be written with {places}; what is finished stays\n"
        )


def test_a_command_that_is_proposed_can_be_pasted(recipe, capsys):
    recipe.rename("my own.yaml")
    code, _, err = run(capsys, "eval", "--config", "my own.yaml", "OUTPUT_DIR=a b", "SEED=4")
    assert code == 2
    proposed = shlex.split(err.partition("run: ")[2])
    assert proposed == ["detkit", "train", "--config", "my own.yaml", "OUTPUT_DIR=a b", "SEED=4"]


def test_folder_that_is_no_model_is_named(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jpg").write_bytes(b"x")
    code, _, err = run(capsys, "detect", "--model", ".", "a.jpg")
    assert code == 2
    assert "no model.yaml there" in err


def test_bases_are_offered_as_no_recipes(capsys):
    _, _, err = run(capsys, "config", "--config", "projects/rcnn/_papr.yaml")
    assert "_paper.yaml" not in err and "_photographs.yaml" not in err
    _, _, err = run(capsys, "config", "--config", "nothing like it")
    assert "projects/rcnn/quick.yaml" in err and "/_" not in err.partition("Recipes:")[2]


def test_status_names_a_step_that_nobody_needs_any_more(trained, capsys):
    shutil.rmtree("artifacts/extract")
    _, out, _ = run(capsys, "status", "--config", str(trained))
    states = {line[:16].strip(): line[17:27].strip() for line in out.splitlines()}
    assert states.pop("extract train") == "not needed"
    assert set(states.values()) == {"done"}


def test_eval_keeps_other_runs_out_of_the_folder_while_it_writes(trained, monkeypatch):
    write = outputs.write_outputs

    class WaitsError(Exception):
        pass

    def wait():
        raise WaitsError

    def write_locked(job):
        with pytest.raises(WaitsError), locked(Path("runs/tiny/.lock"), wait):
            pytest.fail("two runs were in the folder")
        return write(job)

    monkeypatch.setattr(outputs, "write_outputs", write_locked)
    assert main(["eval", "--config", str(trained)]) == 0


def test_overrides_may_stand_on_both_sides_of_an_option(recipe, capsys):
    code, out, _ = run(capsys, "status", "SEED=1", "--config", str(recipe), "RUNTIME.BATCH=8")
    assert code == 0
    assert "pretrain         to do" in out
    assert main(["train", "--config", str(recipe), "SEED=4", "--until", "pretrain", "RUNTIME.BATCH=16"]) == 0
    assert "SEED: 4" in Path("runs/tiny/config.yaml").read_text()
    assert "BATCH: 16" in Path("runs/tiny/config.yaml").read_text()


def test_detect_and_eval_use_a_trained_run(trained, capsys):
    pictures = Datasets(load_config(trained))("TEST")[0].path.parent
    code, out, _ = run(
        capsys, "detect", "--model", "runs/tiny/model", "--output", "out", "--min-score", "-1", str(pictures)
    )
    assert code == 0
    assert "6 images" in out
    found = json.loads(Path("out/detections.json").read_text())
    assert len(found) == len(list(Path("out").glob("*.png"))) == 6
    assert found[0]["score_kind"] == "margin"
    for entry in found:
        for thing in entry["detections"]:
            assert set(thing) == {"box", "class", "score", "probability"}

    words = ["--workers", "0", "--profile", "--no-pictures", "--min-score", "-1", str(pictures)]
    code, out, _ = run(capsys, "detect", "--model", "runs/tiny/model", "--output", "profiled", *words)
    stages = ["decode", "proposals", "warp", "network", "classify"]
    assert [line.split()[0] for line in out.splitlines()[:-1]] == ["stage", *stages, "wall"]
    profiled = json.loads(Path("profiled/detections.json").read_text())
    assert all(list(entry.pop("seconds")) == stages for entry in profiled)
    assert profiled == found

    told = json.loads(Path("runs/tiny/results.json").read_text())["metrics"]
    for config in (str(trained), "runs/tiny/config.yaml"):
        code, out, _ = run(capsys, "eval", "--config", config, "--output", "run.json")
        assert code == 0
        assert json.loads(Path("run.json").read_text())["metrics"] == told
    assert [path.name for path in Path("runs").iterdir()] == ["tiny"]
    for files in ("runs/tiny/detections", "runs/tiny/detections/detections.json"):
        code, _, _ = run(capsys, "eval", "--config", str(trained), "--detections", files, "--output", "files.json")
        assert code == 0
        again = json.loads(Path("files.json").read_text())["metrics"]
        assert again["VOC07"]["mAP"] == pytest.approx(told["VOC07"]["mAP"], abs=1e-9)


def test_a_name_that_the_terminal_cannot_show_is_escaped(tmp_path, monkeypatch):
    (tmp_path / "r.yaml").write_text("OUTPUT_DIR: \u732b\n", encoding="utf-8")
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="ascii", write_through=True))
    assert main(["config", "--config", str(tmp_path / "r.yaml")]) == 0
    assert b"OUTPUT_DIR: \\u732b\n" in shown.getvalue()


@pytest.mark.parametrize("module", ["detkit.cli.main", "argparse", "torch"])
def test_an_interruption_while_modules_are_imported_is_one_line(module):
    program = f"""
import os, runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
interrupt = lambda: os.kill(os.getpid(), signal.SIGINT)
sys.addaudithook(lambda event, args: event == "import" and args[0] == "{module}" and interrupt())
sys.argv[1:] = ["list"]
runpy.run_module("detkit", run_name="__main__")
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "\ndetkit: interrupted\n")
