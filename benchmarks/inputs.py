"""Images and regions to measure on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detkit.config import load_config
from detkit.data.images import image_size
from detkit.regions.index import RegionIndex
from detkit.run.datasets import Datasets
from detkit.structures import Boxes, Proposals, Sample

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Setting:
    """How a benchmark runs.

    Args:
        quick: few and small: shows that it works, its figures mean nothing.
        data: a VOC folder, or None for drawn shapes of about 500 x 375 pixels.
        threads: of the network.
        weights: of the recipe's network, for the streamed run and mining on photographs; empty for random ones.
        recipe: of the streamed run on photographs; None for squeezenet_svm.yaml.
    """

    quick: bool
    data: Path | None
    threads: int
    weights: str
    recipe: Path | None = None

    @property
    def repeats(self) -> int:
        """Counted runs of each side."""
        return 1 if self.quick else 3

    def paths(self, count: int) -> list[Path]:
        """Image files; the first ones, again from the start where there are fewer."""
        if self.data is not None:
            found = sorted((self.data / "JPEGImages").glob("*.jpg"))
        else:
            recipe = ROOT / "projects" / "rcnn" / "quick.yaml"
            config = load_config(recipe, ["DATA.Shapes.WIDTH=450", "DATA.Shapes.TRAIN_IMAGES=32"])
            found = [sample.path for sample in Datasets(config)("TRAIN")]
        return [found[i % len(found)] for i in range(count)]


def boxes_of(size: tuple[int, int], count: int, rng: np.random.Generator) -> Boxes:
    """Boxes as selective search gives them: sides from 20 pixels to the whole image, evenly in their logarithm."""
    limit = np.array([size[1], size[0]])
    sides = np.exp(rng.uniform(np.log(20), np.log(limit), size=(count, 2)))
    start = rng.uniform(0, 1, size=(count, 2)) * (limit - sides)
    return Boxes.of(np.hstack([start, start + sides]))


def index_of(paths: Sequence[Path], boxes: int) -> RegionIndex:
    """The regions of images without ground truths."""
    rng = np.random.default_rng(0)
    samples = [Sample(f"{i:06d}", path, image_size(path), None) for i, path in enumerate(paths)]
    proposals = [Proposals.unranked(boxes_of(s.size, boxes, rng), s.size) for s in samples]
    return RegionIndex.build(samples, proposals, 1, with_truths=False)
