"""The settings of the run."""

from __future__ import annotations

from detkit.report.page.blocks import Block, Section, Text
from detkit.report.page.inputs import Inputs


def settings(inputs: Inputs) -> Section:
    """The section with oddities and every key of the config."""
    blocks: list[Block] = [Text(line) for line in inputs.notices]
    blocks.append(Text(inputs.config.text(), literal=True))
    return Section("config", "Config", "Every key that holds, defaults included.", blocks, is_open=False)
