"""The splits of a folder, and what replaces a split that is missing."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from detkit.errors import ConfigError, DataError
from detkit.registry import nearest


def splits_taken(
    kind: str, split: str, known: Sequence[str], where: object, warnings: list[str], told: Sequence[str] = ()
) -> tuple[str, ...]:
    """The splits to read for a split: itself, or other splits that replace it, with a warning.

    Args:
        kind: the data set's name in the registry.
        split: the requested split.
        known: the splits that exist.
        where: the folder, for messages.
        warnings: gets a line if other splits replace it.
        told: the splits that a message offers, if not all of ``known``.

    Raises:
        DataError: if no split can replace it; the message says how to choose one that exists.
    """
    names = (split,) if split in known else _stand_ins(split, known)
    if not names:
        raise no_split(kind, split, f"in {where}", told or known, draw=f"DATA.{kind}.DRAW_SPLITS=true")
    if names != (split,):
        warnings.append(f"{where}: no split {split!r}; instead of it: {', '.join(names)}")
    return names


def _stand_ins(split: str, known: Collection[str]) -> tuple[str, ...]:
    """The splits that replace a missing split of VOC's names; empty if none can.

    Training images are never test images: val replaces test only if there is a train, and then val is no part of
    trainval. train2017 replaces train, and valid replaces val, if no other split has this meaning.

    Args:
        split: the requested split.
        known: the splits that exist.
    """
    meant = [_plain(name) for name in known]
    own = {plain: name for plain, name in zip(meant, known) if meant.count(plain) == 1}
    if split in own:
        return (own[split],)
    if split == "train" and "trainval" in own and "val" not in own:
        return (own["trainval"],)
    if split == "trainval" and "train" in own:
        return (own["train"], own["val"]) if {"val", "test"} <= set(own) else (own["train"],)
    if split == "test" and {"train", "val"} <= set(own) and "trainval" not in own:
        return (own["val"],)
    return ()


def _plain(name: str) -> str:
    """VOC's own name for a split that is called a little otherwise."""
    plain = name.lower().rstrip("0123456789")
    return {"valid": "val", "validation": "val", "training": "train", "testing": "test"}.get(plain, plain)


def no_split(kind: str, split: str, where: str, known: Sequence[str], draw: str = "") -> DataError:
    """The error for a split that does not exist; it says how to choose one that does.

    Args:
        kind: the data set's name in the registry.
        split: the requested split.
        where: what has no such split.
        known: the splits that exist.
        draw: the KEY=VALUE words that draw splits, if the data set can.
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


@dataclass(frozen=True)
class Fractions:
    """How splits are drawn.

    Args:
        section: the config section of these settings, for messages.
        val: share of the images in val.
        test: share of the images in test.
        seed: seed of the draw.

    Raises:
        ConfigError: if no image would be left to train on.
    """

    section: str
    val: float
    test: float
    seed: int

    def __post_init__(self) -> None:
        if self.val + self.test >= 1:
            raise ConfigError(
                f"{self.section}: VAL_FRACTION {self.val} and TEST_FRACTION {self.test} leave nothing to train on; "
                "their sum must be less than 1"
            )


def ids_of_split(
    kind: str,
    split: str,
    listed: Mapping[str, Sequence[str]],
    image_ids: Sequence[str],
    fractions: Fractions,
    where: str,
    warnings: list[str],
) -> list[str]:
    """The images of a split: its own, those of splits that replace it, or drawn ones if there is at most one split.

    Args:
        kind: the data set's name in the registry.
        split: the requested split.
        listed: the images of each split that exists.
        image_ids: all images.
        fractions: how splits are drawn.
        where: the folder, for messages.
        warnings: gets a line if other splits replace it, or if a single split is divided.

    Raises:
        DataError: if there is no such split; the message says how to choose one that exists.
    """
    if len(listed) < 2:
        drawn = drawn_splits(list(image_ids), fractions.val, fractions.test, fractions.seed)
        if split not in drawn:
            raise no_split(kind, split, f"of {where}, whose splits are drawn", list(drawn))
        for own in listed:
            line = f"{where}: {own!r} is its only split; train, val and test are drawn from it"
            warnings += [line] if line not in warnings else []
        return drawn[split]
    names = splits_taken(kind, split, list(listed), where, warnings)
    return list(dict.fromkeys(image_id for name in names for image_id in listed[name]))


def drawn_splits(image_ids: list[str], val_fraction: float, test_fraction: float, seed: int) -> Mapping[str, list[str]]:
    """The drawn splits of a flat folder: train, val, trainval, test and all, each in the order of ids.

    A hash of seed and id decides the split of an image, so that a new image changes the split of few others.
    """
    order = sorted(
        image_ids, key=lambda image_id: hashlib.sha256(f"{seed} {image_id}".encode(errors="replace")).digest()
    )
    num_test, num_val = round(test_fraction * len(order)), round(val_fraction * len(order))
    test, val, train = order[:num_test], order[num_test : num_test + num_val], order[num_test + num_val :]
    splits = {"train": train, "val": val, "trainval": train + val, "test": test, "all": order}
    return {name: sorted(ids) for name, ids in splits.items()}
