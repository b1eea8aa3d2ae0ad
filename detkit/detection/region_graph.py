"""A detector's computation on crops as one module that can be exported as a graph."""

from __future__ import annotations

from dataclasses import fields

import torch
from torch import Tensor, nn

from detkit.detection.detector import Detector
from detkit.detection.postprocess import Postprocess
from detkit.errors import ModelError

AFTERWARDS = (
    "top_per_image",
    "top_per_class",
    "nms_iou",
    "one_class_per_region",
    "refine_above",
    "rescore",
    "vote_slope",  # changes nothing without votes, which the graph does not hold
)
"""Settings that the graph holds, or that a program applies to what it gives."""

KEEP = "detect with detkit instead (detkit detect, detkit.load)"


class RegionGraph(nn.Module):
    """Network, classifier and box head in one module, from crops to scores and boxes.

    Features are rounded to float16 in between, as in the training of classifier and box head.

    Args:
        detector: a detector that works on crops, in float32 on the CPU.

    Raises:
        ModelError: if a component of the model cannot be exported; the message names it.
    """

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        refuse_other_parts(detector)
        scorer = detector.scorer
        linear = scorer.classifier.linear()
        assert linear is not None, "checked above"
        self.backbone, self.layers = detector.network.backbone, scorer.layers
        self.num_classes, self.score_kind = len(detector.class_names), detector.score_kind
        self.classifier_layer, self.box_layer, self.box_head = (
            scorer.classifier_layer,
            scorer.box_layer,
            scorer.box_head,
        )
        self.refine_above = detector.settings.refine_above
        self.register_buffer("weight", linear.weight)
        self.register_buffer("bias", linear.bias)

    def forward(self, crops: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (N, K) and the box of each class (N, K, 4), not clipped.

        Args:
            crops: (N, 3, S, S) float32, preprocessed.
            boxes: (N, 4) float32, the regions that were cropped: x1, y1, x2, y2 in pixels of the image.
        """
        features = {name: f.half().float() for name, f in self.backbone(crops, self.layers).items()}
        scores = features[self.classifier_layer] @ self.weight.T + self.bias
        if self.score_kind == "probability":
            scores = torch.softmax(scores, 1)[:, : self.num_classes]
        own = features[self.box_layer] if self.box_head.reads_features else boxes[:, :0]
        moved = self.box_head.every_class(own, boxes)
        assert moved is not None, "checked above"
        if self.refine_above is not None:
            moved = torch.where((scores > self.refine_above)[:, :, None], moved, boxes[:, None])
        return scores, moved


def refuse_other_parts(detector: Detector) -> None:
    """Refuses a detector that needs more than one pass over crops.

    Raises:
        ModelError: if a component needs more; the message names it.
    """
    scorer, extractor = detector.scorer, detector.network.extractor
    if extractor.warp() is None:
        raise ModelError(
            f"region extractor {type(extractor).__name__}: with its settings the network does not see one crop of each "
            f"region, and the graph takes that; train with plain WarpedCrops, or {KEEP}"
        )
    if scorer.classifier.linear() is None:
        name = type(scorer.classifier).__name__
        raise ModelError(f"classifier {name}: its scores are no linear map of features that it tells; {KEEP}")
    dim = detector.network.layers[scorer.box_layer].dim if scorer.box_head.reads_features else 0
    if scorer.box_head.every_class(torch.zeros(1, dim), torch.tensor([[0.0, 0.0, 1.0, 1.0]])) is None:
        name = type(scorer.box_head).__name__
        raise ModelError(f"box head {name}: it does not tell where each class moves a box (every_class); {KEEP}")
    for setting in fields(Postprocess):
        value = getattr(detector.settings, setting.name)
        if setting.name not in AFTERWARDS and value != setting.default:
            raise ModelError(
                f"POSTPROCESS.{setting.name.upper()}: {value}: is more than one pass over crops, thresholds and "
                f"suppression, all that a program does behind the graph; train with {setting.default}, or {KEEP}"
            )
