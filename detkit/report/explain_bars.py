"""The bars of an explanation: the score of each class, and the shares of a score."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from detkit.detection.explanation import Explanation
from detkit.detection.units import Unit
from detkit.visualize import Labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.font_manager import FontProperties

MOVED, TAKEN, AGAINST, NEUTRAL = "#1971c2", "#ffd43b", "#c92a2a", "#868e96"
"""Colours of the moved box, of boxes that it suppresses, of what speaks against the class, and of the bias."""
MOST_CLASSES = 12
"""Classes that have a bar."""


def draw_scores(axes: Axes, found: Explanation, labels: Labels, font: FontProperties) -> None:
    """Draws the score of each class relative to its threshold, with the probability if it is known."""
    shown = [one for one in found.classes if math.isfinite(one.score)][:MOST_CLASSES]
    places = np.arange(len(shown))
    known = all(one.probability is not None for one in shown)
    colors = [MOVED if one.score >= one.threshold else AGAINST for one in shown]
    thresholds, scores = (np.array([getattr(one, name) for one in shown]) for name in ("threshold", "score"))
    axes.barh(places, scores - thresholds, left=thresholds, color=colors, height=0.5)
    axes.vlines(thresholds, places - 0.4, places + 0.4, color="black", linewidth=2.5, label="shown from here on")
    axes.set_yticks(places, [labels.names[one.label] for one in shown], fontproperties=font)
    axes.invert_yaxis()
    axes.use_sticky_edges = False
    axes.margins(x=0.12)
    if known and shown:
        right = axes.secondary_yaxis("right")
        right.set_yticks(places, [f"{one.probability:.0%}" for one in shown])
        right.set_ylabel("probability")
        right.tick_params(length=0)
    axes.set_title("score of each class, from its threshold on", fontsize=11)
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.06), frameon=False, fontsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def draw_shares(axes: Axes, found: Explanation, name: str, font: FontProperties) -> None:
    """Draws what each feature adds to the score of the class ``name``, from the bias to the sum."""
    shares = found.shares
    if shares is None:
        axes.text(0.5, 0.5, "this score is no sum over features", ha="center", va="center", transform=axes.transAxes)
        axes.axis("off")
        return
    named = sum(one.share for one in shares.largest if one.share > 0)
    named_against = sum(one.share for one in shares.largest if one.share < 0)
    support = [one for one in shares.largest if one.share > 0]
    against = [one for one in shares.largest if one.share < 0]
    bars = [("bias", shares.bias)]
    bars += [(short_name(one.unit), one.share) for one in support]
    bars += [(f"{shares.num_support - len(support)} more for it", shares.support - named)]
    bars += [(short_name(one.unit), one.share) for one in against]
    bars += [(f"{shares.num_against - len(against)} more against it", shares.against - named_against)]
    bars += [(f"{shares.output} of {name}", shares.total)]
    places, values = np.arange(len(bars)), np.array([value for _, value in bars])
    starts = np.concatenate([[0.0], np.cumsum(values[:-1])])
    starts[-1] = 0.0
    colors = [NEUTRAL, *(MOVED if v >= 0 else AGAINST for v in values[1:-1]), "black"]
    axes.bar(places, values, bottom=starts, color=colors, width=0.75)
    for place, start, value in zip(places, starts, values, strict=True):
        axes.annotate(
            f"{value:+.2f}",
            (place, max(start, start + value)),
            (0, 2),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set_xticks(places, [text for text, _ in bars], rotation=35, ha="right", fontproperties=font, fontsize=9)
    axes.use_sticky_edges = False
    axes.margins(x=0.02, y=0.12)
    axes.set_title(f"what each feature adds to the {shares.output} (weight x value)", fontsize=11)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def short_name(unit: Unit) -> str:
    """Layer and number of a unit, and its position in a map of several cells."""
    height, width = unit.grid
    if height * width == 1:
        return f"{unit.layer} {unit.number}"
    return f"{unit.layer} {unit.number}: {unit.channel} @ {unit.cell // width},{unit.cell % width}"
