"""Sharing of region features between runs of one network."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from detkit.backbones.shapes import network_layers
from detkit.config.yaml_file import value_text
from detkit.run.artifacts import digest_of
from detkit.run.kinds import FEATURES
from detkit.run.plan import Step
from detkit.run.runner import Run
from detkit.stages.readers import layers_read


def of_one_network(runs: Mapping[str, Run]) -> list[list[str]]:
    """Groups of runs that store features of the same regions from the same network; other runs are left out."""
    groups: dict[str, list[str]] = {}
    for identity, run in runs.items():
        if any(step.stage.gives == FEATURES for step in run.steps):
            described = {name: value for name, value in _extraction(run).description.items() if name != "content"}
            groups.setdefault(digest_of(described), []).append(identity)
    return list(groups.values())


def _extraction(run: Run) -> Step:
    """The first step that stores features."""
    return next(step for step in run.steps if step.stage.gives == FEATURES)


def shared_features(runs: Sequence[Run]) -> list[str]:
    """Overrides that store the test split's features, too, and all layers if the runs do not store the same ones."""
    words = ["FEATURES.ROLES=[TRAIN, TEST]"]
    kept = {json.dumps(_extraction(run).content, sort_keys=True) for run in runs}
    if len(kept) > 1:
        configs = [run.config for run in runs]
        read = {layer for c in configs for role in ("TRAIN", "TEST") for layer in layers_read(c, role).values()}
        read.update(layer for c in configs for layer in c.FEATURES.LAYERS)
        words.append(f"FEATURES.LAYERS={value_text([x for x in network_layers(configs[0]) if x in read])}")
    return words
