"""Drawn scenes as a data set."""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np

from detkit.config.ranges import NonNegative, Positive
from detkit.data.cache import cache_dir
from detkit.data.drawing import SHAPES, draw_framed, draw_scene
from detkit.data.listed import Entry, ListedDataset
from detkit.errors import ConfigError, DataError
from detkit.progress import progress
from detkit.registry import DATASETS, nearest
from detkit.structures import Annotations, Boxes

# Part of the key of stored scenes; another number draws them anew.
VERSION = 4
_SPLITS = ("train", "val", "test")


@DATASETS.register()
class Shapes(ListedDataset):
    """Drawn scenes of crosses, discs, squares and triangles. They need no download and no labelling.

    The splits are train, val and test. An image depends only on the seed, the split and its number, not on the number
    of images. Scenes are drawn once and stored as PNG files in the cache folder.

    Args:
        splits: names of splits, joined in this order.
        on_bad: "stop" raises an error at a broken image; "skip" leaves it out.
        train_images: number of images in train.
        val_images: number of images in val.
        test_images: number of images in test.
        width: smallest width of a scene in pixels, at least 64. The smallest height is three quarters of it; both are
            up to a quarter larger.
        max_shapes: largest number of shapes in a scene; the smallest is one.
        seed: seed of the scenes.
        framed: whether one shape fills each image, for pre-training.
        shuffle_labels: whether to shuffle the labels of train and val, but not of test. A detector that still scores
            well on test has not learnt from labels.

    Raises:
        ConfigError: if ``width`` is too small.
        DataError: if there is no such split, or the cache folder cannot be written.

    Example:
        >>> shapes = Shapes(splits=("test",), on_bad="stop", test_images=2)
        >>> len(shapes), shapes.class_names
        (2, ('cross', 'disc', 'square', 'triangle'))
    """

    class_names = SHAPES

    def __init__(
        self,
        *,
        splits: tuple[str, ...],
        on_bad: Literal["stop", "skip"],
        train_images: Annotated[int, Positive] = 120,
        val_images: Annotated[int, Positive] = 40,
        test_images: Annotated[int, Positive] = 60,
        width: Annotated[int, Positive] = 160,
        max_shapes: Annotated[int, Positive] = 4,
        seed: Annotated[int, NonNegative] = 0,
        framed: bool = False,
        shuffle_labels: bool = False,
    ) -> None:
        if width < 64:
            raise ConfigError(f"DATA.Shapes.WIDTH: {width} is too small; allowed: 64 or more")
        self.warnings = []
        self.width, self.max_shapes, self.seed, self.framed = width, max_shapes, seed, framed
        counts = dict(zip(_SPLITS, (train_images, val_images, test_images)))
        entries = []
        for split in splits:
            if split not in counts:
                raise DataError(
                    f"data set Shapes: no split {split!r}.{nearest(split, counts)} There is: train, val, test"
                )
            folder = self._drawn(split, counts[split])
            truths = json.loads((folder / "truths.json").read_text(encoding="utf-8"))
            if shuffle_labels and split != "test":
                _shuffle(truths, np.random.default_rng([seed, _SPLITS.index(split)]))
            for n, truth in enumerate(truths):
                annotations = Annotations.of(Boxes.of(truth["boxes"]), truth["labels"])
                path = folder / f"{n:06d}.png"
                entries.append(Entry(f"{split}_{n:06d}", path, functools.partial(_given, annotations)))
        self._open(entries, on_bad)

    def _drawn(self, split: str, count: int) -> Path:
        """The folder of a split's images, drawn where it does not exist; it appears whole or not at all."""
        key = json.dumps([VERSION, self.width, self.max_shapes, self.seed, self.framed, split, count])
        folder = cache_dir() / "shapes" / hashlib.sha256(key.encode()).hexdigest()[:12]
        if folder.is_dir():
            return folder
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            partial = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
            try:
                self._draw(partial, split, count)
                partial.rename(folder)
            except OSError:
                if not folder.is_dir():
                    raise
                # Another process was faster; its folder holds the same.
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        except OSError as error:
            raise DataError(
                f"{folder}: cannot keep the drawn scenes: {error.strerror or error}; set DETKIT_CACHE to a folder that "
                "can be written"
            ) from None
        return folder

    def _draw(self, folder: Path, split: str, count: int) -> None:
        truths = []
        with progress(f"draw {split}", count, "image") as bar:
            for n in range(count):
                rng = np.random.default_rng([self.seed, _SPLITS.index(split), int(self.framed), n])
                width, height = (int(side * rng.uniform(1, 1.25)) for side in (self.width, self.width * 3 // 4))
                if self.framed:
                    scene = draw_framed(rng, (height, width))
                else:
                    scene = draw_scene(rng, (height, width), int(rng.integers(1, self.max_shapes + 1)))
                _, png = cv2.imencode(".png", scene.pixels[..., ::-1])
                (folder / f"{n:06d}.png").write_bytes(png.tobytes())
                truths.append({"boxes": scene.boxes, "labels": scene.labels})
                bar.update()
        (folder / "truths.json").write_text(json.dumps(truths), encoding="utf-8")


def _shuffle(truths: list[dict[str, list[int]]], rng: np.random.Generator) -> None:
    """The labels of all shapes of a split change places."""
    labels = iter(rng.permutation([label for truth in truths for label in truth["labels"]]).tolist())
    for truth in truths:
        truth["labels"] = [next(labels) for _ in truth["labels"]]


def _given(annotations: Annotations, size: tuple[int, int]) -> Annotations:
    return annotations
