"""The page: one file that needs no other, and what becomes of parts that are not there."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from detkit.config import load_config
from detkit.detection.calibration import Calibration
from detkit.diagnosis import hoiem
from detkit.errors import ConfigError
from detkit.report.page.accuracy import curves
from detkit.report.page.build import sections, write_page, write_plots
from detkit.report.page.cost import cost, duration
from detkit.report.page.errors import errors, impact
from detkit.report.page.inputs import Inputs
from detkit.report.page.mining import mining
from detkit.report.page.pictures import pictures
from detkit.report.page.proposals import proposals
from detkit.report.page.regression import regression
from detkit.report.page.thresholds import thresholds
from detkit.report.page.training import training
from detkit.structures import Detections, Proposals

VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """Refuses tags that do not match; gathers images, addresses and headings."""

    def __init__(self, text):
        super().__init__()
        self.open, self.images, self.addresses, self.headings, self.tags = [], [], [], [], set()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.add(tag)
        if tag == "img":
            self.images.append(attrs)
        self.addresses += [attrs[key] for key in ("src", "href") if key in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def page_of(inputs, parts, tmp_path):
    write_page(tmp_path / "report.html", inputs, parts)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    return Page(text), text


@pytest.fixture(scope="module")
def parts(inputs):
    return sections(inputs)


def test_a_whole_page_has_every_section_and_needs_no_other_file(inputs, parts, tmp_path):
    page, text = page_of(inputs, parts, tmp_path)
    assert page.headings == [
        *("Average precision", "Precision and recall", "Pictures", "Errors", "Thresholds and probabilities"),
        *("Size, shape and place", "Proposals", "Training", "Hard negative mining", "Box regression"),
        *("Time and memory", "Config"),
    ]
    assert len(page.images) > 20 and all(image["alt"].strip() for image in page.images)
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    inner = [address[1:] for address in page.addresses if address.startswith("#")]
    assert len(inner) == len(page.headings) and all(f'id="{name}"' in text for name in inner)
    assert "script" not in page.tags and "url(" not in text.split("</style>")[0] and "@import" not in text
    assert len(text.encode()) < 5_000_000
    assert "&lt;odd&gt;" in text and "shapes &amp; more" in text
    assert "validation loss" in text


def test_plots_are_also_files(parts, tmp_path):
    own = [part for part in parts if part.name in ("proposals", "boxes")]
    written = write_plots(tmp_path / "plots", own, ".svg")
    assert [file.stem for file in written] == ["proposals_by_iou", "proposals_by_count", "boxes_moved", "boxes_spread"]
    assert all(file.read_text(encoding="utf-8").startswith("<svg ") for file in written)


def test_sections_without_their_inputs_say_why(inputs):
    assert training(replace(inputs, training={})).missing == "no stage of this recipe has trained a network"
    identity = load_config("projects/rcnn/quick.yaml", ["BOX_HEAD.NAME=Identity", "CLASSIFIER.NAME=Softmax"])
    without = replace(inputs, config=identity, mining={})
    assert regression(without).missing == "BOX_HEAD.NAME is Identity, so boxes stay where the proposals lie"
    assert mining(without).missing == "Softmax keeps no record of hard negatives"
    assert "--from classify learns it again" in mining(replace(inputs, mining={"cached_negatives": [1]})).missing
    assert cost(replace(inputs, steps={})).missing == "an earlier run has made all results, in another folder"


def test_a_run_that_has_detected_nothing_yet_keeps_its_training(inputs, tmp_path):
    begun = replace(inputs, dataset=None, detections=(), unrefined=(), proposals=(), metrics={}, train=None)
    parts = sections(begun)
    assert {part.name for part in parts if part.missing} == {
        *("ap", "pr", "pictures", "errors", "thresholds", "objects", "proposals", "mining", "boxes")
    }
    page, _ = page_of(begun, parts, tmp_path)
    assert page.headings == ["Training", "Time and memory", "Config", "Not in this report"]


def test_detections_of_another_program_leave_out_what_a_run_alone_knows(inputs):
    foreign = Inputs(
        name="found", config=inputs.config, is_run=False, dataset=inputs.dataset, detections=inputs.detections
    )
    shown = [part.name for part in sections(foreign) if not part.missing]
    assert shown == ["ap", "pr", "pictures", "errors", "thresholds", "objects", "config"]
    assert "the threshold of the best F1 on these images" in curves(foreign).blocks[0].caption


def test_images_that_are_not_there_leave_out_the_pictures(inputs, tmp_path):
    class Gone(list):
        class_names = inputs.dataset.class_names

    gone = Gone(replace(sample, path=tmp_path / "none.png") for sample in inputs.dataset)
    assert "none.png: cannot read the image" in pictures(replace(inputs, dataset=gone)).missing


def test_no_detection_at_all_leaves_every_object_missed(inputs):
    none = replace(inputs, detections=[Detections.of(found.boxes[:0], [], []) for found in inputs.detections])
    missed = pictures(none).blocks[-1]
    assert missed.caption.startswith(f"{none.judged.num_truths} of {none.judged.num_truths} objects")
    assert missed.pictures[0].lines[1] == "no detection in the files lies on it"
    assert regression(none).missing.startswith("no detection lies near an object")


def test_learnt_thresholds_and_probabilities_are_said_to_be_learnt(inputs):
    ones = inputs.calibration.thresholds.new_ones(len(inputs.dataset.class_names))
    learnt = replace(inputs, calibration=Calibration(0 * ones, -ones, 0 * ones, "margin", "folds"))
    assert "the threshold that the model has learnt" in curves(learnt).blocks[0].caption
    best = next(block for block in pictures(learnt).blocks if block.title == "Best detections").pictures[0]
    assert float(best.lines[0].partition(", p ")[2]) > 0.5  # the margin is above 0


def test_what_mending_wins_is_the_mean_over_classes_with_objects(inputs):
    found = hoiem(inputs.judged.outcome)
    known = [one for one in found.classes if one.num_truths]
    gains = impact(found)
    expected = [one.impact["without BG"].ap - one.all.ap for one in known]
    assert gains["without background"] == pytest.approx(sum(expected) / len(expected))
    assert "without similar classes" not in gains and list(gains.values()) == sorted(gains.values(), reverse=True)
    assert "No classes are known to be similar" in errors(inputs).blocks[0].caption


def with_keys(inputs, *words):
    return replace(inputs, config=load_config("projects/rcnn/quick.yaml", list(words)))


def test_similar_classes_are_those_that_are_set(inputs):
    names = ",".join(inputs.dataset.class_names)
    similar = errors(with_keys(inputs, f"DIAGNOSIS.SIMILAR_CLASSES=[[{names}]]")).blocks[0]
    assert "No classes are known to be similar" not in similar.caption
    assert "without similar classes" in similar.plots[1].alt
    with pytest.raises(ConfigError, match=r"DIAGNOSIS\.SIMILAR_CLASSES: similar classes: no class 'wolf'"):
        errors(with_keys(inputs, "DIAGNOSIS.SIMILAR_CLASSES=[[wolf]]"))


def test_recall_of_proposals_is_judged_as_the_recipe_says(inputs):
    truths = [sample.annotations.boxes for sample in inputs.dataset]
    exact = replace(inputs, proposals=[Proposals.unranked(own, (999, 999)) for own in truths])
    strict = with_keys(exact, "EVALUATION.ProposalRecall.STRICT=true")
    told = [proposals(one).blocks[0].plots[0].figure for one in (exact, strict)]
    assert told[0].axes[0].lines[0].get_ydata()[-1] == 1
    assert told[1].axes[0].lines[0].get_ydata()[-1] == 0


def test_proposals_that_were_removed_are_said_to_be(inputs):
    removed = replace(inputs, proposals=[])
    for section in (proposals(removed), regression(removed)):
        assert section.missing == "the proposals of this run were removed; --from propose makes them again"


def test_scores_from_0_to_1_are_judged_as_probabilities(inputs):
    halved = [Detections(f.boxes, f.scores.clamp(0, 1), f.labels, f.proposal_rows) for f in inputs.detections]
    probable = thresholds(replace(inputs, detections=halved, calibration=None)).blocks[0]
    assert [plot.name for plot in probable.plots] == ["f1", "calibration"]
    assert [plot.name for plot in thresholds(inputs).blocks[0].plots] == ["f1"]


def test_a_data_set_of_many_classes_shows_those_that_matter(inputs, monkeypatch):
    monkeypatch.setattr("detkit.report.page.errors.MOST_CLASSES", 3)
    monkeypatch.setattr("detkit.report.page.accuracy.MOST_CURVES", 2)
    monkeypatch.setattr("detkit.report.page.thresholds.MOST_LINES", 2)
    assert "Shown are the 2 classes with the most mistakes" in errors(inputs).blocks[1].caption
    assert len(curves(inputs).blocks[0].plots) == 2
    assert "Shown are the 2 classes with the most objects" in thresholds(inputs).blocks[0].caption


def test_kinds_of_errors_are_counted_over_all_classes_where_few_are_drawn(inputs, monkeypatch):
    whole = errors(inputs).blocks[0]
    monkeypatch.setattr("detkit.report.page.errors.MOST_CLASSES", 2)
    kinds = errors(inputs).blocks[0]
    assert "Shown are the first 2 of 4 classes with objects" in kinds.caption
    assert "Shown" not in whole.caption and kinds.plots[0].alt == whole.plots[0].alt


def test_the_mean_of_the_table_is_that_of_the_evaluator(inputs):
    by_class, mean = inputs.judged.intervals
    known = [interval.value for interval in by_class if interval is not None]
    assert mean.value == pytest.approx(sum(known) / len(known))
    assert inputs.judged.aps == [None if own is None else pytest.approx(own.value) for own in by_class]
    assert mean.low <= mean.value <= mean.high


@pytest.mark.parametrize(
    ("seconds", "told"), [(4.24, "4.2 s"), (200, "3 min 20 s"), (59.99, "60.0 s"), (7500, "2 h 5 min")]
)
def test_durations_for_a_reader(seconds, told):
    assert duration(seconds) == told
