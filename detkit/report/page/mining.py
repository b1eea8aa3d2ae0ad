"""Hard negative mining."""

from __future__ import annotations

from detkit.report.page.blocks import Block, Gallery, Plot, Plots, Section, Table
from detkit.report.page.crops import crop, touching
from detkit.report.page.inputs import FOREIGN, Inputs
from detkit.visualize.plots.lines import over_steps

MOST_LINES = 6
PICTURES = 12


def mining(inputs: Inputs) -> Section:
    """The section with hard negatives and objective at each training, and the hardest negatives."""
    title, report = "Hard negative mining", inputs.mining
    if not inputs.is_run:
        return Section("mining", title, missing=FOREIGN)
    name = inputs.config.CLASSIFIER.NAME
    if inputs.train is None:
        return Section("mining", title, missing="no classifier has been learnt yet")
    if "mining" not in report:
        why = "an earlier version of detkit learnt its classifier and kept no record; --from classify learns it again"
        return Section(
            "mining",
            title,
            missing=why if "cached_negatives" in report else f"{name} keeps no record of hard negatives",
        )
    names = inputs.train.class_names
    trained = [k for k, own in enumerate(report["mining"]) if own["objectives"]]
    hardest = sorted(trained, key=lambda k: -report["cached_negatives"][k])[:MOST_LINES]
    plots = []
    for key, what in (("num_negatives", "hard negatives in the cache"), ("objectives", "objective")):
        drawn = {}
        for k in sorted(hardest):
            values = report["mining"][k][key]
            drawn[names[k]] = (list(range(1, len(values) + 1)), values)
        figure = over_steps(what, drawn, xlabel="training", ylabel=what)
        ends = ", ".join(f"{name} {y[-1]:.4g}" for name, (_, y) in drawn.items())
        plots.append(Plot(f"mining_{key}", figure, f"{what} by training; at the last one {ends}"))
    columns = ("positives", "cached_negatives", "trainings", "unconverged_trainings")
    rows = [
        [names[k], *(f"{report[column][k]:,}" for column in columns), _number(report["objective"][k])]
        for k in range(len(names))
    ]
    head = ["class", "positives", "hard negatives", "trainings", "not converged", "objective"]
    caption = (
        "What each class has learnt from; a training that has not converged asks for a higher CLASSIFIER."
        f"{name}.MAX_ITER."
    )
    few = f" Shown are the {MOST_LINES} classes with the most hard negatives." if len(trained) > MOST_LINES else ""
    blocks: list[Block] = [
        Plots(
            plots,
            f"The cache fills with regions that the model still takes for objects, and each training learns them.{few}",
        ),
        Table(head, rows, caption),
    ]
    if gallery := _hardest(inputs):
        blocks.append(gallery)
    return Section("mining", title, "A classifier learns from its objects and from the regions that fool it.", blocks)


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.4g}"


def _hardest(inputs: Inputs) -> Gallery | None:
    """The hard negatives of the highest margins, in turn one of each class."""
    assert inputs.train is not None
    places = {sample.image_id: i for i, sample in enumerate(inputs.train)}
    by_class = inputs.mining["hardest_negatives"]
    chosen = [(k, own[turn]) for turn in range(PICTURES) for k, own in enumerate(by_class) if turn < len(own)][
        :PICTURES
    ]
    pictures = []
    for k, one in chosen:
        if one["image_id"] not in places:
            continue
        sample, name = inputs.train[places[one["image_id"]]], inputs.train.class_names[k]
        alt = f"Region of image {sample.image_id} that {name} takes for an object, margin {one['margin']:.2f}"
        outlines = [*touching(sample, one["box"]), (one["box"], "orange")]
        pictures.append(crop(sample, outlines, alt, (f"not a {name}", f"margin {one['margin']:.2f}")))
    caption = (
        "Regions that count as background (orange) with the highest margins, objects near them in green; where one "
        "does show the class, the annotations lack an object."
    )
    return Gallery("Hardest negatives", caption, pictures) if pictures else None
