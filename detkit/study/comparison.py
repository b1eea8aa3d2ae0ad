"""Questions that compare the mean AP of settings."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

from detkit.config.node import Config
from detkit.errors import ConfigError
from detkit.evaluation.bootstrap import Interval
from detkit.study.answer import Answer, Cell, Table
from detkit.study.curve import curve
from detkit.study.lab import Lab
from detkit.study.measured import difference
from detkit.study.question import Question
from detkit.study.setting import Setting
from detkit.study.text import NOTHING, Text, joined
from detkit.study.verdict import MEAN_AP, Verdict

MISSING = Text("Not run: {label} ({why}).", "未运行：{label}（{why}）。")
LACKS = Text("The rest cannot be told: {why}.", "其余部分无法回答：{why}。")
NOT_RUN = Text("not run", "未运行")
NONE_RUN = Text("Nothing can be told with this recipe.", "用这个配方无法回答。")
HEADING = Text("mAP, % (VOC2007, IoU {iou:g})", "mAP，%（VOC2007，IoU {iou:g}）")
COLUMNS = (Text("setting", "设置"), Text("paper", "论文"), Text("here", "这里"))
DIFFERENCES = (Text("difference, paper", "论文的差值"), Text("difference here, 95 %", "这里的差值，95 %"))
NOTE = Text(
    "Differences are to the first line; intervals are of 1,000 draws of the evaluated images, the same for both.",
    "差值相对于第一行；区间来自对被评估图像的 1,000 次重抽样，两者使用同样的抽样。",
)


@dataclass(frozen=True)
class Claim:
    """The claim that one setting is better than another.

    Args:
        better: English label of the better setting.
        worse: English label of the other setting.
    """

    better: str
    worse: str


class Comparison(Question):
    """Settings in a table of mean AP; all are compared with the first.

    Attributes:
        said: what the paper says.
        claims: the claims about the settings.
        ious: IoU thresholds from which an object counts as found; there is a table for each, and the first decides the
            claims.
        axis: name of the quantity ``Setting.at``, if a picture is drawn.
    """

    said: Text
    claims: Sequence[Claim] = ()
    ious: Sequence[float] = (0.5,)
    axis: Text = NOTHING

    @abstractmethod
    def settings(self, config: Config) -> Sequence[Setting]:
        """The settings of the table's lines."""

    def claimed(self, config: Config) -> Sequence[Claim]:
        """The claims about the lines of the table."""
        return self.claims

    def answer(self, lab: Lab) -> Answer:
        """The table, a sentence for each claim that the runs can decide, and the settings that are missing."""
        settings, claims = self.settings(lab.config), self.claimed(lab.config)
        lab.make(settings)
        able = {s.label.en: s for s in settings if not lab.missing(s)}
        verdicts = [
            self._told(lab, able[claim.better], able[claim.worse])
            for claim in claims
            if {claim.better, claim.worse} <= able.keys()
        ]
        lacks = [
            MISSING.format(label=s.label, why=lab.missing(s).rstrip(".")) for s in settings if s.label.en not in able
        ]
        nothing = [] if verdicts or not claims else [NONE_RUN]
        answer = Answer(
            paragraph=joined([self.said, *(v.sentence for v in verdicts), *nothing, *lacks]),
            tables=[self.table(lab, settings, iou) for iou in self.ious],
            verdicts=verdicts,
            figures={"curve": curve(self.axis, *self._points(lab, settings))} if self.axis != NOTHING else {},
            settings=settings,
        )
        try:
            return self.extended(lab, answer)
        except ConfigError as error:
            return replace(answer, paragraph=answer.paragraph + LACKS.format(why=error))

    def extended(self, lab: Lab, answer: Answer) -> Answer:
        """The answer with additional parts of the question.

        Raises:
            ConfigError: if the recipe lacks what they need; the answer then says so.
        """
        return answer

    def table(self, lab: Lab, settings: Sequence[Setting], iou: float) -> Table:
        """A line for each setting; columns of the paper only if it has a figure."""
        published = any(s.paper is not None for s in settings) and iou == self.ious[0]
        rows = [self._row(lab, setting, settings[0], iou, published) for setting in settings]
        names = COLUMNS if published else (COLUMNS[0], COLUMNS[2])
        ends = DIFFERENCES if published else DIFFERENCES[1:]
        return Table(HEADING.format(iou=iou), [*names, *ends], rows, NOTE)

    def _row(self, lab: Lab, setting: Setting, first: Setting, iou: float, published: bool) -> list[Cell]:
        paper: list[Cell] = [setting.paper] if published else []
        apart: list[Cell] = []
        if published:
            known = setting is not first and setting.paper is not None and first.paper is not None
            apart.append(f"{(setting.paper or 0) - (first.paper or 0):+.1f}" if known else None)
        if lab.missing(setting):
            return [setting.label, *paper, NOT_RUN, *apart, None]
        told = setting is not first and not lab.missing(first)
        measured = lab.measured(setting, iou)
        found = difference(measured, lab.measured(first, iou)) if told else None
        return [setting.label, *paper, measured.mean_ap, *apart, None if found is None else interval_text(found)]

    def _told(self, lab: Lab, better: Setting, worse: Setting) -> Verdict:
        claim = Text("{better} over {worse}", "{better}优于{worse}").format(better=better.label, worse=worse.label)
        a, b = (lab.measured(s, self.ious[0]) for s in (better, worse))
        names = {"better": better.label, "worse": worse.label}
        return Verdict.of(claim, difference(a, b), MEAN_AP, a=a.mean_ap, b=b.mean_ap, **names)

    def _points(
        self, lab: Lab, settings: Sequence[Setting]
    ) -> tuple[list[tuple[float, Interval]], list[tuple[float, float]]]:
        """(at, mean AP here) and (at, the paper's mean AP) of the settings on the axis."""
        placed = [(s.at, s) for s in settings if s.at is not None]
        here = [(at, lab.measured(s, self.ious[0]).interval()) for at, s in placed if not lab.missing(s)]
        return here, [(at, s.paper) for at, s in placed if s.paper is not None]


def interval_text(interval: Interval) -> str:
    """A difference with its interval, "+1.2 [-0.3, +2.8]"."""
    return f"{interval.value:+.1f} [{interval.low:+.1f}, {interval.high:+.1f}]"
