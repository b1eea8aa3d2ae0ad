"""The commands ``detkit paper`` and ``detkit ablate``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from detkit.cli.main import main
from detkit.config.project import bundled_projects, import_named
from detkit.evaluation.voc import VOC
from detkit.registry import QUESTIONS
from detkit.run.kinds import CLASSIFIER_FILE, DETECTIONS_FILE, UNREFINED_FILE
from detkit.run.runner import Run
from detkit.run.stored import stored
from detkit.stages.detect import load_detections
from detkit.study.comparison import Claim, Comparison
from detkit.study.lab import Lab
from detkit.study.setting import Setting
from detkit.study.text import Text


@pytest.fixture
def probe():
    """A question with a setting that the recipe cannot run."""
    for project in bundled_projects():
        import_named(str(project), "test")
    with QUESTIONS.isolated():

        @QUESTIONS.register(name="probe")
        class Probe(Comparison):
            title = Text("SVM or softmax?", "SVM 还是 Softmax？")
            said = Text("The paper has a figure.", "论文给出了数字。")
            claims = (Claim("SVM", "softmax"), Claim("SVM", "fc9"))
            axis = Text("kind")

            def settings(self, config):
                keys = ({}, {"CLASSIFIER.NAME": "Softmax"}, {"CLASSIFIER.LAYER": "fc9"})
                papers = (54.2, 50.9, None)
                names = ("SVM", "softmax", "fc9")
                return [
                    Setting(label=Text(name), keys=own, paper=paper, at=float(at))
                    for at, (name, own, paper) in enumerate(zip(names, keys, papers))
                ]

        yield


def test_alone_it_lists_the_questions_in_both_languages(capsys):
    assert main(["paper"]) == 0
    english = capsys.readouterr().out.splitlines()
    assert main(["paper", "--lang", "zh"]) == 0
    chinese = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in english] == [line.split()[0] for line in chinese]
    named = {line.split()[0]: line for line in english}
    assert "Why SVMs" in named["q3.3"]
    assert all(any("一" <= character <= "鿿" for character in line) for line in chinese)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["paper", "q3.33"], "QUESTIONS: no 'q3.33'. Did you mean q3.3?"),
        (["paper", "q3.3"], "add --config FILE or --preset tiny"),
        (["paper", "q3.3", "--preset", "large"], "--preset large: there is no such preset; allowed: tiny, photographs"),
        (["paper", "q3.3", "--preset", "tiny", "--config", "a.yaml"], "give one of them"),
        (["paper", "q3.3", "--config", "a.yaml"], "config a.yaml: no such file"),
        (["paper", "q3.3", "--config", "tiny.yaml", "DATA.Shapes.WIDTH=3"], "WIDTH: 3 is too small"),
        (["paper", "q3.3", "--config", "tiny.yaml", "STAGES=[Propose]"], "no stage gives detections"),
        (["ablate", "--config", "tiny.yaml"], "no key has several values"),
        (["ablate", "CLASSIFIER.NAME=LinearSVM,Sofmax", "--config", "tiny.yaml"], "Did you mean Softmax?"),
        (["ablate", "CLASSIFER.NAME=LinearSVM,Softmax", "--config", "tiny.yaml"], "unknown key CLASSIFER"),
    ],
)
def test_a_mistake_is_told_in_one_line(words, told, recipe, capsys):
    assert main(words) == 2
    error = capsys.readouterr().err
    assert told in error
    assert len(error.splitlines()) == 1
    assert not Path("artifacts").exists()


def artefacts() -> set[Path]:
    return {path.parent for path in Path("artifacts").glob("*/*/manifest.json")}


def stages(folders: set[Path]) -> list[str]:
    return sorted(folder.parent.name for folder in folders)


def judged(digest: str, file: str) -> float:
    """mAP of an artefact's detections by the evaluator itself."""
    lab = Lab("tiny.yaml", [], "paper")
    dataset = Run.of(lab.config, "tiny").datasets("TEST")
    voc = VOC(class_names=dataset.class_names)
    for sample, found in zip(dataset, load_detections(Path("artifacts/detect") / digest / file), strict=True):
        voc.add(sample, found)
    return 100 * voc.compute()["VOC07"]["mAP"]


def test_a_question_and_an_ablation_are_answered_and_share_their_steps(trained, probe, capsys):
    trained_steps = artefacts()
    assert main(["paper", "probe", "--config", "tiny.yaml"]) == 0
    folder = Path("runs/tiny/paper/probe")
    page, told = (folder / "answer.md").read_text(), json.loads((folder / "answer.json").read_text())
    assert page in capsys.readouterr().out
    assert (told["name"], told["title"]) == ("probe", "probe: SVM or softmax?")
    svm, softmax, lacking = told["settings"]
    lacks = "CLASSIFIER.LAYER: TinyNet has no layer 'fc9'. Did you mean fc7? Layers: pool5, fc6, fc7."
    assert lacking["missing"] == lacks
    assert f"Not run: fc9 ({lacks[:-1]})." in told["text"]
    assert f"| fc9 | `CLASSIFIER.LAYER=fc9` | {lacks} |" in page
    # the table: paper's figures and those of the evaluator, before the box head
    (table,) = told["tables"]
    first, second, third = table["rows"]
    assert first[:4] == ["SVM", 54.2, pytest.approx(judged(svm["steps"]["detect test"], UNREFINED_FILE)), None]
    assert second[:2] + second[3:4] == ["softmax", 50.9, "-3.3"]
    assert third == ["fc9", None, "not run", None, None]
    (verdict,) = told["verdicts"]
    assert verdict["difference"] == pytest.approx(first[2] - second[2])
    low, high = verdict["interval"]
    assert verdict["verdict"] == ("holds" if low > 0 else "does not hold" if high < 0 else "cannot be told")
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    # one network, one extraction of each split, for both
    assert svm["steps"]["extract train"] == softmax["steps"]["extract train"]
    made = artefacts()
    # all that the training has left is taken over; it keeps no features of the test split
    assert stages(made - trained_steps) == ["classify", "detect", "extract"]

    words = ["CLASSIFIER.LinearSVM.C=0.001,0.1", "--config", "tiny.yaml", "--lang", "zh"]
    assert main(["ablate", *words]) == 0
    assert "2 种设置" in capsys.readouterr().out
    told = json.loads(Path("runs/tiny/ablate/CLASSIFIER.LinearSVM.C/answer.json").read_text())
    assert told["settings"][0]["steps"]["classify train"] == svm["steps"]["classify train"]
    own, other = told["tables"][0]["rows"]
    assert own == ["C=0.001", pytest.approx(judged(svm["steps"]["detect test"], DETECTIONS_FILE)), None]
    assert other[0] == "C=0.1" and other[2].startswith(f"{other[1] - own[1]:+.1f} [")
    assert stages(artefacts() - made) == ["classify", "detect"]


def test_settings_that_differ_in_the_classifier_alone_learn_in_one_pass(trained, caplog):
    name = "CLASSIFIER.LinearSVM.C"
    caplog.set_level("INFO")
    assert main(["ablate", f"{name}=0.001,0.02,0.04", "CLASSIFIER.LAYER=fc6", "--config", "tiny.yaml"]) == 0
    assert [line for line in caplog.messages if "in one pass" in line] == ["classify train: 3 settings in one pass"]
    told = json.loads(Path(f"runs/tiny/ablate/{name}/answer.json").read_text())
    folders = [Path("artifacts/classify") / setting["steps"]["classify train"] for setting in told["settings"]]
    together = [(folder / CLASSIFIER_FILE).read_bytes() for folder in folders]
    assert len(set(together)) == 3
    used = {one.label: one.runs for one in stored(Path("artifacts")) if one.stage in ("classify", "detect")}
    assert len(used) >= 6 and all(used.values()), "each result counts as used, also one made with another's"
    words = [f"{name}=0.04", "CLASSIFIER.LAYER=fc6", "--from", "classify", "--until", "classify"]
    assert main(["train", "--config", "tiny.yaml", *words]) == 0
    assert caplog.messages.count("classify train: 3 settings in one pass") == 1
    assert (folders[2] / CLASSIFIER_FILE).read_bytes() == together[2]
