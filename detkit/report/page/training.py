"""The course of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from detkit.report.page.blocks import Plot, Plots, Section
from detkit.report.page.inputs import FOREIGN, Inputs
from detkit.visualize.plots.lines import Line, over_steps


def training(inputs: Inputs) -> Section:
    """The section with losses and accuracies of each stage that trains a network."""
    title = "Training"
    if not inputs.training:
        missing = "no stage of this recipe has trained a network" if inputs.is_run else FOREIGN
        return Section("training", title, missing=missing)
    plots = []
    has_validation = False
    for stage, lines in inputs.training.items():
        names = dict.fromkeys(name for line in lines for name in line)
        losses = {_told(name): _line(lines, name) for name in names if "loss" in name}
        shares = {_told(name): _line(lines, name) for name in names if "accuracy" in name or "top1" in name}
        has_validation |= any(name.startswith("val") for name in names)
        for kind, drawn in (("loss", losses), ("accuracy", shares)):
            if drawn:
                title_of = f"{stage}: {kind}"
                figure = over_steps(title_of, drawn, xlabel="iteration", ylabel=kind, share=kind == "accuracy")
                ends = ", ".join(f"{name} {y[-1]:.3g}" for name, (_, y) in drawn.items())
                plots.append(Plot(f"{stage}_{kind}", figure, f"{kind} of {stage} over iterations; at the end {ends}"))
    caption = "Means over 20 steps: a loss that still falls at the end asks for more iterations"
    caption += "; one that falls while the validation's rises asks for fewer." if has_validation else "."
    return Section("training", title, blocks=[Plots(plots, caption)])


def _line(lines: Sequence[Mapping[str, float]], name: str) -> Line:
    own = [line for line in lines if isinstance(line.get(name), (int, float))]
    return [line["iteration"] for line in own], [line[name] for line in own]


def _told(name: str) -> str:
    """A name of the file for a reader: val_loss as validation loss."""
    words = name.split("_")
    return " ".join(["validation", *words[1:]] if words[0] == "val" else words)
