"""Which splits a folder has, and what to do where the one that is asked for is not there."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence

from detkit.errors import DataError
from detkit.registry import nearest


def stand_ins(split: str, known: Collection[str]) -> tuple[str, ...]:
    """The splits that are taken for a split of VOC's own names that is not there; empty where none can be.

    What is learnt from never holds what is tested: val stands for test only beside a train of its own, and then it is
    no part of trainval.

    Args:
        split: the name that is asked for.
        known: the splits that are there.
    """
    if split == "train" and "trainval" in known and "val" not in known:
        return ("trainval",)
    if split == "trainval" and "train" in known:
        return ("train", "val") if {"val", "test"} <= set(known) else ("train",)
    if split == "test" and {"train", "val"} <= set(known) and "trainval" not in known:
        return ("val",)
    return ()


def no_split(kind: str, split: str, where: str, known: Sequence[str], draw: str = "") -> DataError:
    """The error for a split that is not there; it gives the words that choose from those that are.

    Args:
        kind: the data set's name in the registry.
        split: the name that was asked for.
        where: what has no such split.
        known: the splits that are there.
        draw: the words that draw splits, if the data set can.
    """
    learnt = _first(known, ("train", "trainval"), ("train",))
    held_out = [name for name in known if name != learnt and (learnt, name) != ("trainval", "val")]
    judged = _first(held_out, ("test", "val"), ("test", "val", "eval", "dev"))
    if learnt and judged:
        words = f"Add: DATA.FINETUNE={learnt} DATA.TRAIN={learnt} DATA.TEST={judged}"
    else:
        words = "Set DATA.FINETUNE, DATA.TRAIN and DATA.TEST to splits that are there"
    if draw:
        words += f"{',' if learnt and judged else ''} or add {draw} to draw splits from all its images"
    there = ", ".join(known) or "nothing"
    return DataError(f"data set {kind}: no split {split!r} {where}.{nearest(split, known)} There is: {there}. {words}")


def _first(known: Sequence[str], names: Sequence[str], beginnings: Sequence[str]) -> str:
    """The first of these names that is known, else what begins in one of these ways."""
    named = [name for name in names if name in known]
    similar = [name for beginning in beginnings for name in known if name.lower().startswith(beginning)]
    return next(iter([*named, *similar]), "")


def drawn_splits(image_ids: list[str], val_fraction: float, test_fraction: float, seed: int) -> Mapping[str, list[str]]:
    """The splits of a flat folder: train, val, trainval, test and all, each in the order of ids.

    Each id is put in its place by a hash of seed and id, so that another image moves few of the others.
    """
    order = sorted(
        image_ids, key=lambda image_id: hashlib.sha256(f"{seed} {image_id}".encode(errors="replace")).digest()
    )
    num_test, num_val = round(test_fraction * len(order)), round(val_fraction * len(order))
    test, val, train = order[:num_test], order[num_test : num_test + num_val], order[num_test + num_val :]
    splits = {"train": train, "val": val, "trainval": train + val, "test": test, "all": order}
    return {name: sorted(ids) for name, ids in splits.items()}
