"""The stage that finds proposals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from detkit.config.build import build
from detkit.config.node import Config
from detkit.proposals.pool import propose_many
from detkit.registry import STAGES
from detkit.run.artifacts import content_of
from detkit.run.shards import ImageShards
from detkit.run.stage import Context, Stage
from detkit.stages.common import (
    PROPOSALS,
)


@STAGES.register()
class Propose(Stage):
    """Proposals of every image of every split that the recipe uses. Source: R-CNN, section 2.1."""

    derived = {"files": "PROPOSALS"}
    shared = True

    def sections(self, config: Config) -> tuple[str, ...]:
        """The generator."""
        return ("PROPOSALS.*",)

    def roles(self, config: Config) -> tuple[str, ...]:
        """The roles that some stage reads."""
        reads = {"FINETUNE": {"Finetune"}, "TRAIN": {"Extract", "Classify", "Regress"}, "TEST": {"Detect", "Evaluate"}}
        return tuple(role for role, stages in reads.items() if stages & set(config.STAGES))

    def reads_truths(self, role: str) -> bool:
        """Proposals come from pixels alone."""
        return False

    def extra(self, config: Config, role: str) -> dict[str, Any]:
        """The content of files that the generator reads."""
        files = build(config, "PROPOSALS").files()
        return {"files": content_of(files)} if files else {}

    def run(self, context: Context) -> None:
        """Writes proposals.safetensors: boxes, objectness, offsets."""
        shards = ImageShards(context.folder, Path(PROPOSALS).stem, len(context.dataset(context.role)))
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
        items = [(dataset[i].image_id, dataset[i].path) for i in missing]
        workers = context.workers + 1 if context.workers else 0
        with context.progress("propose", len(own), "image", done=len(own) - len(missing)) as bar:
            for at, found in propose_many(build(context.config, "PROPOSALS"), items, workers):
                shards.save(missing[at], {"boxes": found.boxes.tensor, "objectness": found.objectness})
                bar.update()
