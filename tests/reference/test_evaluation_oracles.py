"""AP as independent programs gave it, from the files of the shared folder."""

import contextlib
import io
import json
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from pycocotools import coco, cocoeval

from detkit.cli.main import main
from detkit.data import voc as voc_data
from detkit.data.base import Dataset
from detkit.evaluation.coco import COCO, NUMBERS
from detkit.evaluation.detection_files import read_detections
from detkit.evaluation.voc import VOC
from detkit.structures import Annotations, Boxes, Detections, Sample


class Loaded(Dataset):
    """Samples in memory."""

    def __init__(self, samples, class_names):
        self.samples, self.class_names, self.skipped, self.warnings = samples, class_names, [], []

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, i):
        return self.samples[i]

    def fingerprint(self, *, truths=True):
        return ""


def sample(name, boxes, labels, difficult=None, crowd=None):
    return Sample(name, Path(name), (2000, 2000), Annotations.of(Boxes.of(boxes), labels, difficult, crowd))


def evaluated(evaluator, samples, detections):
    for one, found in zip(samples, detections, strict=True):
        evaluator.add(one, found)
    return evaluator.compute()


@pytest.fixture(scope="module")
def voc12(shared):
    """58 photographs, 145 objects of 20 classes, 25 of them difficult; 213 detections."""
    root = shared / "data/voc2012_20cls/VOC2012"
    dataset = voc_data.VOC(root=str(root), splits=("trainval",), on_bad="stop", needs_images=True)
    folder = shared / "data/oracles/voc12_yolo_dets"
    expected = json.loads((folder / "expected_voc_eval.json").read_text())
    return dataset, read_detections(folder / "results", dataset), expected


def test_voc_fixture_is_the_one_that_was_evaluated(voc12):
    dataset, detections, expected = voc12
    assert len(dataset) == expected["images"] == 58
    assert sum(len(d) for d in detections) == expected["detections"] == 213
    assert sum(int(s.annotations.difficult.sum()) for s in dataset) == 25


@pytest.mark.parametrize(("theirs", "ours"), [("voc07_11pt", "VOC07"), ("area", "VOC10")])
@pytest.mark.parametrize("iou", [0.3, 0.5, 0.75])
@pytest.mark.parametrize("strict", [True, False])
def test_voc_ap_of_twenty_classes_equals_py_faster_rcnn(voc12, theirs, ours, iou, strict):
    # No detection of theirs has an IoU of exactly 0.3, 0.5 or 0.75, so both rules give the same.
    dataset, detections, expected = voc12
    metrics = evaluated(VOC(class_names=dataset.class_names, iou=(iou,), strict_iou=strict), dataset, detections)
    found, reference = metrics[ours if iou == 0.5 else f"{ours}@{iou}"], expected["results"][f"{theirs}@{iou}"]
    assert len(reference["per_class"]) == 20
    assert found["AP"] == pytest.approx(reference["per_class"], abs=1e-9)
    assert found["mAP"] == pytest.approx(reference["mAP_over_20"], abs=1e-9)


RECIPE = """
DATA: {NAME: %s, TEST: %s, %s: {%s}}
EVALUATORS: [%s]
EVALUATION: {VOC: {IOU: [0.3, 0.5, 0.75], STRICT_IOU: true}}
"""


def by_command_line(tmp_path, detections, *fields):
    """The metrics that ``detkit eval --detections`` writes."""
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "results.json"
    recipe.write_text(RECIPE % fields)
    assert main(["eval", "--config", str(recipe), "--detections", str(detections), "--output", str(out)]) == 0
    return json.loads(out.read_text())["metrics"]


def test_the_command_line_gives_the_same_voc_ap(shared, tmp_path):
    folder, root = shared / "data/oracles/voc12_yolo_dets", shared / "data/voc2012_20cls/VOC2012"
    metrics = by_command_line(tmp_path, folder / "results", "VOC", "trainval", "VOC", f"ROOT: {root}", "VOC")
    for name, reference in json.loads((folder / "expected_voc_eval.json").read_text())["results"].items():
        grid, iou = name.split("@")
        found = metrics[{"voc07_11pt": "VOC07", "area": "VOC10"}[grid] + ("" if iou == "0.5" else f"@{iou}")]
        assert found["AP"] == pytest.approx(reference["per_class"], abs=1e-9)
        assert found["mAP"] == pytest.approx(reference["mAP_over_20"], abs=1e-9)


def test_the_command_line_gives_the_same_coco_numbers(shared, tmp_path):
    folder = shared / "data/oracles/coco_fakebbox100"
    truth = f"ANNOTATIONS: {folder / 'gt_instances_100.json'}"
    metrics = by_command_line(tmp_path, folder / "dets_results.json", "COCO", "all", "COCO", truth, "COCO")
    assert metrics["COCO"] == pytest.approx(json.loads((folder / "expected.json").read_text())["vals"], abs=1e-6)


def corner_file(file, names):
    """Labels and rows of numbers of ``class numbers ...`` lines."""
    rows = [line.split() for line in file.read_text().splitlines() if line.strip()]
    return [names.index(r[0]) for r in rows], [[float(v) for v in r[1:]] for r in rows]


@pytest.fixture(scope="module")
def case1(shared):
    """7 images; x y w h, where x + w is the last pixel: that program adds 1 to x + w - x."""
    folder = shared / "data/oracles/voc_ap_testcase1"
    samples, detections = [], []
    for file in sorted((folder / "gts").glob("*.txt")):
        labels, rows = corner_file(file, ["object"])
        samples.append(sample(file.stem, [[x, y, x + w + 1, y + h + 1] for x, y, w, h in rows], labels))
        labels, rows = corner_file(folder / "dets" / file.name, ["object"])
        boxes = [[x, y, x + w + 1, y + h + 1] for _, x, y, w, h in rows]
        detections.append(Detections.of(Boxes.of(boxes), [r[0] for r in rows], labels))
    return samples, detections, json.loads((folder / "expected.json").read_text())


@pytest.mark.parametrize(("theirs", "ours"), [("11point", "VOC07"), ("every_point", "VOC10")])
@pytest.mark.parametrize("iou", [0.1, 0.3, 0.5, 0.75])
def test_ap_of_seven_images_equals_the_published_case(case1, theirs, ours, iou):
    samples, detections, expected = case1
    metrics = evaluated(VOC(class_names=["object"], iou=(iou,)), samples, detections)
    found = metrics[ours if iou == 0.5 else f"{ours}@{iou}"]
    assert found["mAP"] == pytest.approx(expected[theirs][str(iou)], abs=1e-9)


@pytest.fixture(scope="module")
def cartucho(shared):
    """Inclusive corners; its report prints percents with two digits."""
    folder = shared / "data/oracles/cartucho85"
    report = (folder / "expected_output.txt").read_text()
    files = sorted((folder / "ground-truth").glob("*.txt"))
    both = [*files, *(folder / "detection-results").glob("*.txt")]
    names = sorted({line.split()[0] for f in both for line in f.read_text().splitlines() if line.strip()})
    samples, detections = [], []
    for file in files:
        rows = [line.split() for line in file.read_text().splitlines() if line.strip()]
        difficult = [r[-1] == "difficult" for r in rows]
        boxes = [[float(r[1]), float(r[2]), float(r[3]) + 1, float(r[4]) + 1] for r in rows]
        samples.append(sample(file.stem, boxes, [names.index(r[0]) for r in rows], difficult))
        labels, rows = corner_file(folder / "detection-results" / file.name, names)
        boxes = [[x1, y1, x2 + 1, y2 + 1] for _, x1, y1, x2, y2 in rows]
        detections.append(Detections.of(Boxes.of(boxes), [r[0] for r in rows], labels))
    voc = VOC(class_names=names)
    return voc, evaluated(voc, samples, detections)["VOC10"], report


def test_area_ap_of_686_objects_equals_the_report_to_its_digits(cartucho):
    _, metrics, report = cartucho
    expected = {name: float(value) for value, name in re.findall(r"([\d.]+)% = (\S+) AP", report)}
    assert len(expected) == 30
    known = {name: 100 * ap for name, ap in metrics["AP"].items() if ap is not None}
    assert known == pytest.approx(expected, abs=0.005 + 1e-9)
    assert 100 * metrics["mAP"] == pytest.approx(float(re.search(r"mAP = ([\d.]+)%", report)[1]), abs=0.005 + 1e-9)


def test_precision_and_recall_after_each_detection_equal_the_report(cartucho):
    voc, _, report = cartucho
    blocks = list(re.finditer(r"= (\S+) AP \n Precision: \[(.*?)\]\n Recall :\[(.*?)\]", report))
    assert len(blocks) == 30
    for block in blocks:
        recall, precision = voc.matches(0.5)[voc.class_names.index(block[1])].curve()
        for ours, theirs in ((precision, block[2]), (recall, block[3])):
            assert ours == pytest.approx([float(v) for v in re.findall(r"[\d.]+", theirs)], abs=0.005 + 1e-9)


def moved(truths, rng):
    """Detections that pycocotools reads: each box moved and scaled, some missed, some twice, some of another class."""
    categories = sorted({truth["category_id"] for truth in truths})
    for truth in truths:
        x, y, width, height = truth["bbox"]
        for _ in range(rng.integers(0, 3)):
            sides = np.array([width, height]) * np.exp(rng.normal(0, 0.12, 2))
            corner = np.array([x, y]) + np.array([width, height]) * rng.normal(0, 0.06, 2)
            other = rng.random() < 0.1
            yield {
                "image_id": truth["image_id"],
                "category_id": int(rng.choice(categories)) if other else truth["category_id"],
                "bbox": [round(float(v), 2) for v in (*corner, *sides)],
                "score": round(float(rng.random()), 3),
            }


def test_the_twelve_numbers_of_photographs_equal_pycocotools(shared, tmp_path):
    # 939 objects, whose outlines have a half to all of their box, and 10 crowds.
    folder, results = shared / "data/coco_train128", tmp_path / "results.json"
    file = folder / "annotations/instances_train2017.json"
    detections = list(moved(json.loads(file.read_text())["annotations"], np.random.default_rng(5)))
    results.write_text(json.dumps(detections))
    with contextlib.redirect_stdout(io.StringIO()):
        truths = coco.COCO(str(file))
        reference = cocoeval.COCOeval(truths, truths.loadRes(str(results)), "bbox")
        reference.evaluate()
        reference.accumulate()
        reference.summarize()
    metrics = by_command_line(tmp_path, results, "COCO", "all", "COCO", f"ANNOTATIONS: {file}", "COCO")
    assert metrics["COCO"] == pytest.approx(dict(zip(NUMBERS, reference.stats.tolist())), abs=1e-9)


def test_the_twelve_numbers_equal_coco_to_six_digits(shared):
    folder = shared / "data/oracles/coco_fakebbox100"
    truth = json.loads((folder / "gt_instances_100.json").read_text())
    categories = {c["id"]: k for k, c in enumerate(sorted(truth["categories"], key=lambda c: c["id"]))}
    by_image = defaultdict(list)
    for entry in truth["annotations"]:
        by_image[entry["image_id"]].append(entry)
    samples = []
    for image in truth["images"]:
        own = by_image[image["id"]]
        boxes = [[x, y, x + w, y + h] for x, y, w, h in (e["bbox"] for e in own)]
        crowd = [bool(e["iscrowd"]) for e in own]
        samples.append(sample(str(image["id"]), boxes, [categories[e["category_id"]] for e in own], crowd=crowd))
    dataset = Loaded(samples, tuple(c["name"] for c in truth["categories"]))
    dataset.category_ids, dataset.image_numbers = tuple(categories), tuple(int(s.image_id) for s in samples)
    detections = read_detections(folder / "dets_results.json", dataset)
    assert (len(dataset), sum(len(s.annotations) for s in dataset), sum(map(len, detections))) == (100, 830, 734)
    numbers = evaluated(COCO(class_names=dataset.class_names), dataset, detections)["COCO"]
    assert numbers == pytest.approx(json.loads((folder / "expected.json").read_text())["vals"], abs=1e-6)
