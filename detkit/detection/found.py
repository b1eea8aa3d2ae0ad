"""The detections of a detector together with their image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from torch import Tensor

from detkit.detection.calibration import ScoreKind
from detkit.errors import ConfigError
from detkit.structures import Detections
from detkit.visualize import Labels, draw_detections

if TYPE_CHECKING:
    import supervision


@dataclass(frozen=True, eq=False)
class Found(Detections):
    """Detections that can be drawn, cropped and converted for other libraries.

    Args:
        image: (H, W, 3) uint8 RGB.
        class_names: the K classes.
        score_kind: "margin" or "probability".
        probabilities: (N,) float32 probability that each is right; None if the model has learnt none.
    """

    image: np.ndarray
    class_names: tuple[str, ...]
    score_kind: ScoreKind
    probabilities: Tensor | None

    def __getitem__(self, rows: Tensor | slice) -> Found:
        chosen = super().__getitem__(rows)
        known = None if self.probabilities is None else self.probabilities[rows]
        return replace(self, **vars(chosen), probabilities=known)

    def draw(self, labels: Labels | None = None) -> Image.Image:
        """A picture of the image with each box, its class and its probability, or its score if none is known.

        Args:
            labels: ``Labels.of(class_names)``; several pictures can share it.
        """
        shown = self if self.probabilities is None else replace(self, scores=self.probabilities)
        return Image.fromarray(draw_detections(self.image, shown, labels or self.class_names))

    def crops(self) -> list[np.ndarray]:
        """A crop (h, w, 3) uint8 RGB for each box: all pixels that the box touches, at least one."""
        height, width = self.image.shape[:2]
        corners = self.boxes.numpy()
        low = np.floor(corners[:, :2]).astype(int).clip(0, [width - 1, height - 1])
        high = np.maximum(np.ceil(corners[:, 2:]).astype(int), low + 1)
        return [self.image[y1:y2, x1:x2] for (x1, y1), (x2, y2) in zip(low, high)]

    def to_dict(self) -> dict[str, Tensor]:
        """``boxes`` (N, 4), ``labels`` (N,) and ``scores`` (N,), as torchvision's detectors return them.

        Labels count from 0, in the order of ``class_names``. In torchvision's own models, 0 is background.
        """
        return {"boxes": self.boxes.tensor, "labels": self.labels, "scores": self.scores}

    def to_supervision(self) -> supervision.Detections:
        """The detections for the annotators, trackers and counters of the library supervision.

        Their confidence is the probability.

        Raises:
            ConfigError: if supervision is not installed.
        """
        try:
            from supervision import Detections as Supervised  # not detkit's to require
        except ImportError:
            raise ConfigError('to_supervision: supervision is not installed; pip install "supervision>=0.31"') from None
        known = self.scores if self.probabilities is None else self.probabilities
        names = np.array([self.class_names[label] for label in self.labels.tolist()], dtype=object)
        return Supervised(
            xyxy=self.boxes.numpy().copy(),
            confidence=known.numpy().copy(),
            class_id=self.labels.numpy().copy(),
            data={"class_name": names.astype(str)},
        )

    def plain(self) -> dict[str, Any]:
        """``score_kind`` and ``detections`` as JSON values: box, class, score, and probability if it is known."""
        rows: list[dict[str, Any]] = [
            {"box": [round(v, 2) for v in box], "class": self.class_names[label], "score": round(score, 5)}
            for box, label, score in zip(self.boxes.tensor.tolist(), self.labels.tolist(), self.scores.tolist())
        ]
        if self.probabilities is not None:
            for row, probability in zip(rows, self.probabilities.tolist()):
                row["probability"] = round(probability, 5)
        return {"score_kind": self.score_kind, "detections": rows}
