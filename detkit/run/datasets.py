"""The data sets of a config."""

from __future__ import annotations

from detkit.config.build import build
from detkit.config.node import Config
from detkit.data.base import Dataset
from detkit.data.left_out import refuse_many_left_out
from detkit.errors import DataError


class Datasets:
    """The data sets of a config's roles, each built once.

    Args:
        config: holds DATA and PRETRAIN_DATA.
        needs_images: False if only ground truths are read.
        on_bad: "stop" or "skip" at broken images; empty takes each slot's ON_BAD.
    """

    def __init__(self, config: Config, *, needs_images: bool = True, on_bad: str = "") -> None:
        self._config, self._needs_images, self._on_bad = config, needs_images, on_bad
        self._built: dict[tuple[str, tuple[str, ...]], Dataset] = {}

    def __call__(self, role: str) -> Dataset:
        """The data set of FINETUNE, TRAIN, VAL or TEST, or of PRETRAIN_DATA.TRAIN or PRETRAIN_DATA.VAL."""
        slot, splits = self.slot(role), self.splits(role)
        if (slot, splits) not in self._built:
            given = {"on_bad": self._on_bad or self._config[slot].ON_BAD, "needs_images": self._needs_images}
            self._built[slot, splits] = build(self._config, slot, splits=splits, **given)
            self._check_classes(slot)
            if not self._on_bad:
                self.refuse_many_left_out(role, self._built[slot, splits])
        return self._built[slot, splits]

    def refuse_many_left_out(self, role: str, dataset: Dataset) -> None:
        """Refuses a role's data set that left out a larger share of its images than MAX_BAD.

        Raises:
            DataError: if there are more; the message says how to allow it.
        """
        slot = self.slot(role)
        name = f"{slot} ({'+'.join(self.splits(role))})"
        refuse_many_left_out(dataset, name, slot, self._config[slot].MAX_BAD)

    def slot(self, role: str) -> str:
        """The config key of a role's data set: DATA or PRETRAIN_DATA."""
        return role.rpartition(".")[0] or "DATA"

    def splits(self, role: str) -> tuple[str, ...]:
        """The splits of a role."""
        splits = self._config[self.slot(role)][role.rpartition(".")[2]]
        return (splits,) if isinstance(splits, str) else tuple(splits)

    def _check_classes(self, slot: str) -> None:
        """A label means the same class in every split."""
        (first, names), *others = [(s, d.class_names) for (k, s), d in self._built.items() if k == slot]
        for splits, own in others:
            if own != names:
                raise DataError(
                    f"{slot}: the classes of {'+'.join(splits)} ({', '.join(own)}) are not those of {'+'.join(first)} "
                    f"({', '.join(names)}); list them in the config"
                )
