"""The stage that finds proposals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from detkit.config.build import build
from detkit.config.node import Config
from detkit.proposals.pool import propose_many
from detkit.registry import STAGES
from detkit.run.artifacts import content_of
from detkit.run.cost import Cost
from detkit.run.kinds import PROPOSALS, PROPOSALS_FILE
from detkit.run.shards import ImageShards
from detkit.run.stage import Context, Reads, Stage
from detkit.system.processes import num_cores

if TYPE_CHECKING:
    from detkit.report.measure import Probe
    from detkit.run.plan import Step

BOX_BYTES = 20
"""Four coordinates and an objectness in float32."""


@STAGES.register()
class Propose(Stage):
    """Proposals of every image of a split. Source: R-CNN, section 2.1.

    Example:
        >>> Propose.gives, sorted(Propose.settings)
        ('proposals', [])
    """

    gives = PROPOSALS
    shared = True

    def roles(self, config: Config) -> tuple[str, ...]:
        """The test split, if no later stage needs proposals."""
        return ("TEST",)

    def reads(self, config: Config, role: str) -> Reads:
        """The generator, the files that it reads, and the images."""
        files = build(config, "PROPOSALS").files()
        content = {"PROPOSALS.*": lambda: content_of(files)} if files else {}
        return Reads(settings=("PROPOSALS.*",), content=content, images=(role,))

    def estimate(self, probe: Probe, step: Step) -> Cost:
        """The time and size of all proposals, from those of a few images."""
        workers = probe.run.workers
        processes = min(workers + 1, num_cores()) if workers else 1
        count = len(step.data[step.role])
        sampled = f"proposals of {len(probe.proposed.samples)} images stand for all {count}"
        seconds = probe.proposed.seconds * count / processes
        return Cost(seconds, round(BOX_BYTES * probe.boxes(step.role)), unknown=sampled)

    def run(self, context: Context) -> None:
        """Writes the boxes, objectness and offsets."""
        shards = ImageShards(context.folder, Path(PROPOSALS_FILE).stem, len(context.dataset(context.role)))
        if not shards.path.is_file():
            self._propose(context, shards)
            context.world.wait()
            if context.world.is_first:
                shards.merge()
        if context.world.is_first:
            shards.remove()

    def _propose(self, context: Context, shards: ImageShards) -> None:
        dataset = context.dataset(context.role)
        own = context.world.own(range(len(dataset)))
        missing = shards.missing(own)
        samples = [dataset[i] for i in missing]
        items = [(sample.image_id, sample.path, sample.orientation) for sample in samples]
        workers = context.workers + 1 if context.workers else 0
        with context.progress("propose", len(own), "image", done=len(own) - len(missing)) as bar:
            for at, found in propose_many(build(context.config, "PROPOSALS"), items, workers):
                shards.save(missing[at], {"boxes": found.boxes.tensor, "objectness": found.objectness})
                bar.update()
