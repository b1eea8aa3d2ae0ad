"""An exported model beside torch: seconds a region and AP, in float32 and with its convolutions in int8.

python benchmarks/exported.py --model RUN/model --root VOC2012 --split test --images 30 --regions 60
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from onnxruntime import InferenceSession, SessionOptions
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from detkit.data import voc
from detkit.data.images import read_image
from detkit.detection.detector import Detector
from detkit.detection.load import load
from detkit.detection.postprocess import finish, select
from detkit.detection.region_graph import RegionGraph
from detkit.evaluation.voc import VOC
from detkit.report.onnx_file import write_onnx
from detkit.structures import Boxes, Detections, Proposals
from detkit.system.memory import keep_freed_memory

BATCH = 64
CALIBRATED_ON, CROPS_OF_EACH = 20, 16
"""Photographs that the ranges of int8 are taken from, and crops of each."""

Answers = Callable[[np.ndarray, np.ndarray], list[np.ndarray]]
"""(N, 3, S, S) crops and (N, 4) boxes -> scores (N, K) and boxes (N, K, 4)."""


class Crops(CalibrationDataReader):
    """Crops of photographs, as the quantiser asks for them."""

    def __init__(self, batches: Iterator[dict[str, np.ndarray]]) -> None:
        self.batches = batches

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next crops; None behind the last."""
        return next(self.batches, None)


def crops_of(detector: Detector, image: np.ndarray, boxes: Boxes) -> np.ndarray:
    """(N, 3, S, S) float32, preprocessed."""
    prepared = detector.network.extractor.prepare(image, boxes, np.zeros(len(boxes), bool))
    pixels, valid = (torch.from_numpy(prepared[key]) for key in ("crops", "valid"))
    return detector.network.backbone.preprocessing(pixels, valid).contiguous().numpy()


def batches(detector: Detector, photographs: voc.VOC) -> Iterator[dict[str, np.ndarray]]:
    """Random regions of some photographs."""
    rng = np.random.default_rng(0)
    for sample in [photographs[i] for i in range(min(CALIBRATED_ON, len(photographs)))]:
        image = read_image(sample.path)
        boxes = detector.generator.propose(image).boxes
        boxes = boxes[rng.permutation(len(boxes))[:CROPS_OF_EACH]]
        yield {"crops": crops_of(detector, image, boxes), "boxes": boxes.numpy()}


def answers_of(file: Path) -> Answers:
    """What onnxruntime makes of crops, on one thread."""
    options = SessionOptions()
    options.intra_op_num_threads = 1
    session = InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda crops, boxes: session.run(None, {"crops": crops, "boxes": boxes})


def answers_of_torch(graph: RegionGraph) -> Answers:
    """What torch makes of them."""

    @torch.inference_mode()
    def answer(crops: np.ndarray, boxes: np.ndarray) -> list[np.ndarray]:
        pixels = torch.from_numpy(crops).contiguous(memory_format=torch.channels_last)
        return [t.numpy() for t in graph(pixels, torch.from_numpy(boxes))]

    return answer


def found(detector: Detector, proposals: Proposals, scores: np.ndarray, refined: np.ndarray) -> Detections:
    """The detections that a split is evaluated on, without the cap over the split."""
    rows, labels, kept = select(torch.from_numpy(scores), detector.settings)
    boxes = Boxes(torch.from_numpy(refined)[rows, labels])
    return finish(boxes, kept, labels, rows, proposals.image_size, detector.settings)


def main() -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--root", required=True)
    parser.add_argument("--calibrate", default="train")
    parser.add_argument("--split", default="test")
    parser.add_argument("--images", type=int, default=30)
    parser.add_argument("--regions", type=int, default=0, help="random ones of each photograph; 0 for all")
    args = parser.parse_args()
    keep_freed_memory()  # as the command line does
    torch.set_num_threads(1)
    detector = load(args.model, device="cpu", dtype="float32")
    given = {"root": args.root, "classes": detector.class_names, "on_bad": "stop", "needs_images": True}
    test, calibration = (voc.VOC(splits=(split,), **given) for split in (args.split, args.calibrate))
    with tempfile.TemporaryDirectory() as folder:
        whole, clean, small = (Path(folder, f"{name}.onnx") for name in ("float32", "clean", "int8"))
        write_onnx(whole, detector)
        quant_pre_process(str(whole), str(clean), skip_symbolic_shape=True)
        quantize_static(
            str(clean),
            str(small),
            Crops(batches(detector, calibration)),
            op_types_to_quantize=["Conv"],
            per_channel=True,
            reduce_range=True,  # processors without VNNI add pairs of products in 16 bits
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8,
        )
        runs = {
            "torch, float32": answers_of_torch(RegionGraph(detector).eval()),
            "onnxruntime, float32": answers_of(whole),
            "onnxruntime, int8 convolutions": answers_of(small),
        }
        sizes = {"torch, float32": 0, "onnxruntime, float32": whole.stat().st_size}
        sizes["onnxruntime, int8 convolutions"] = small.stat().st_size
        measure(detector, test, runs, sizes, args.images, args.regions)


def measure(
    detector: Detector, test: voc.VOC, runs: dict[str, Answers], sizes: dict[str, int], most: int, few: int
) -> None:
    """Runs all on the same crops in turn, batch by batch, and prints what they took and found."""
    rng = np.random.default_rng(0)
    seconds, regions = dict.fromkeys(runs, 0.0), 0
    evaluators = {name: VOC(class_names=detector.class_names) for name in runs}
    apart = dict.fromkeys(runs, 0.0)
    for i in range(min(most, len(test))):
        image = read_image(test[i].path)
        proposals = detector.generator.propose(image)
        if few:
            boxes = proposals.boxes[rng.permutation(len(proposals))[:few]]
            proposals = Proposals.unranked(boxes, proposals.image_size)
        crops, rows = crops_of(detector, image, proposals.boxes), proposals.boxes.numpy()
        parts: dict[str, list[list[np.ndarray]]] = {name: [] for name in runs}
        for start in range(0, len(rows), BATCH):
            for name, answers in runs.items():
                begin = time.process_time()
                parts[name].append(answers(crops[start : start + BATCH], rows[start : start + BATCH]))
                seconds[name] += time.process_time() - begin
        regions += len(rows)
        first = None
        for name, own in parts.items():
            scores, refined = (np.concatenate(p) for p in zip(*own, strict=True))
            first = scores if first is None else first
            apart[name] = max(apart[name], float(np.abs(scores - first).max()))
            evaluators[name].add(test[i], found(detector, proposals, scores, refined))
        table = {n: {k: v["mAP"] for k, v in evaluators[n].compute().items()} for n in runs}
        print(json.dumps({"photographs": i + 1, "regions": regions, "seconds": seconds, "mAP": table}), flush=True)
    print(f"| {regions:,} regions of {i + 1} photographs, one thread | ms a region | score apart | MB | mAP |")
    print("|---|---|---|---|---|")
    for name, taken in seconds.items():
        ap = next(iter(table[name].values()))
        size = f"{sizes[name] / 1e6:.1f}" if sizes[name] else ""
        print(f"| {name} | {1000 * taken / regions:.2f} | {apart[name]:.2g} | {size} | {100 * ap:.1f} |")


if __name__ == "__main__":
    main()
