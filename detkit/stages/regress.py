"""The stage that learns box heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from detkit.box_heads.base import BoxHead
from detkit.box_heads.linear import NORM_ROWS_STORED
from detkit.progress import progress
from detkit.regions.source import FeatureSource, LinearHead
from detkit.registry import STAGES
from detkit.run.cost import Cost
from detkit.run.kinds import BOX_HEAD, BOX_HEAD_FILE
from detkit.run.stage import Context
from detkit.stages.features import is_stored
from detkit.stages.learner import Learner
from detkit.stages.readers import layers_read
from detkit.system.seeding import rng_for

if TYPE_CHECKING:
    from detkit.report.measure import Probe
    from detkit.run.plan import Step


@STAGES.register()
class Regress(Learner):
    """One box regressor per class on a layer's features. Source: R-CNN, appendix C.

    Example:
        >>> Regress.gives, sorted(Regress.settings)
        ('box_head', [])
    """

    gives = BOX_HEAD
    slot, file = "BOX_HEAD", BOX_HEAD_FILE

    def fit(
        self, components: Sequence[BoxHead], source: FeatureSource, heads: Mapping[str, LinearHead], context: Context
    ) -> None:
        """Fits the box head on the features, and gives it the network's box head if there is one."""
        [box_head] = components  # there is one, because the stage has no one_pass
        with progress("regress", source.index.num_classes, "class") as bar:
            box_head.fit(source, rng_for(context.config.SEED, "regress"), head=heads.get("box"), progress=bar)

    def estimate(self, probe: Probe, step: Step) -> Cost:
        """The time of the features for the mean norm; the rest depends on the examples."""
        if self.slot not in layers_read(step.config, step.role):
            return Cost()
        solving = "solving the regressors, which depends on the number of examples"
        if is_stored(step.config, step.role):
            return Cost(None, unknown=solving)
        seconds = probe.feature_seconds(step.config, step.role) * probe.share_of_sample(step.role, NORM_ROWS_STORED)
        return Cost(seconds, unknown=f"the features of its examples, computed once more, and {solving}")
