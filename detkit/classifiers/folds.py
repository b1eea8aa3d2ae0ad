"""The accuracy of models on folds of images that they have not learnt from."""

from __future__ import annotations

import numpy as np

from detkit.classifiers.mining import Miner


def image_folds(num_images: int, folds: int, rng: np.random.Generator) -> np.ndarray:
    """(num_images,) int64 fold of each image, drawn at random; the folds' sizes differ by one at most."""
    return rng.permutation(num_images) % folds


def held_out(miner: Miner, fold: np.ndarray) -> dict[str, float | None]:
    """The accuracy of models on held-out folds: each is trained on the final cache without one fold, and tested on it.

    Source: rcnn_train.m, whose folds serve to score the training set itself.

    Args:
        miner: after mining.
        fold: (P + n,) fold of the image of each positive and each cached negative, in the order of
            ``Miner.examples``.

    Returns:
        ``truths_found``: the share of positives with a margin above 0; ``negatives_refused``: the share of cached
        negatives with a margin of at most 0. A fold is left out if the other folds lack positives or negatives; a share
        is None if no fold is left.
    """
    examples, num_positives = miner.examples().numpy(), len(miner.positives)
    is_positive = np.arange(len(examples)) < num_positives
    margins = np.full(len(examples), np.nan)
    for own in (fold == number for number in np.unique(fold)):
        count = int((is_positive & ~own).sum())
        if 0 < count < int((~own).sum()):
            weight, bias, _ = miner.train(examples[~own], count)
            margins[own] = examples[own] @ weight + bias
    told = ~np.isnan(margins)
    sides = {"truths_found": (is_positive, margins > 0), "negatives_refused": (~is_positive, margins <= 0)}
    return {name: float(right[of & told].mean()) if (of & told).any() else None for name, (of, right) in sides.items()}
