"""The stage that learns box heads."""

from __future__ import annotations

from detkit.box_heads.base import BoxHead
from detkit.progress import progress
from detkit.regions.source import FeatureSource
from detkit.registry import STAGES
from detkit.run.stage import Context
from detkit.stages.learner import Learner
from detkit.system.seeding import rng_for

BOX_HEAD = "box_head.safetensors"


@STAGES.register()
class Regress(Learner):
    """One box regressor per class on a layer's features. Source: R-CNN, appendix C."""

    slot, file = "BOX_HEAD", BOX_HEAD

    def fit(self, component: BoxHead, source: FeatureSource, context: Context) -> None:
        """Learns from the features."""
        with progress("regress", source.index.num_classes, "class") as bar:
            component.fit(source, rng_for(context.config.SEED, "regress"), progress=bar)
