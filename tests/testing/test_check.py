"""``check_component`` passes what keeps its promises, and names the promise that a component breaks."""

import numpy as np
import pytest
import torch

from detkit.backbones.tiny import TinyNet
from detkit.box_heads.identity import Identity
from detkit.box_heads.ridge import Ridge
from detkit.classifiers.linear_svm import LinearSVM
from detkit.data.shapes import Shapes
from detkit.evaluation.voc import VOC
from detkit.proposals.sliding_window import SlidingWindow
from detkit.regions.fixed_fraction import FixedFraction
from detkit.regions.warped_crops import WarpedCrops
from detkit.run.stage import Reads
from detkit.stages.propose import Propose
from detkit.structures import Proposals
from detkit.testing import ContractError, check_component
from detkit.training.objective import Losses
from detkit.training.region_objective import RegionSoftmax


@pytest.mark.parametrize("component", [LinearSVM, Ridge, SlidingWindow, FixedFraction, RegionSoftmax, Propose])
def test_what_keeps_its_promises_passes(component):
    check_component(component)


def test_settings_are_handed_to_the_constructor():
    check_component(LinearSVM, c=0.1)
    with pytest.raises(ContractError, match="unexpected keyword"):
        check_component(FixedFraction, nonsense=1)


class DoubledBackground(LinearSVM):
    def score(self, features):
        return torch.cat([super().score(features), torch.zeros(len(features), 1)], 1)


class Forgetful(LinearSVM):
    def load(self, state):
        super().load({name: torch.zeros_like(value) for name, value in state.items()})


class Outside(SlidingWindow):
    def propose(self, image, image_id=""):
        found = super().propose(image, image_id)
        boxes = type(found.boxes)(found.boxes.tensor + 1)
        return Proposals(boxes, found.objectness, found.image_size)


class Moody(SlidingWindow):
    def propose(self, image, image_id=""):
        found = super().propose(image, image_id)
        return Proposals(found.boxes, found.objectness + np.random.random(), found.image_size)


class Wandering(Identity):
    def refine(self, features, boxes, labels):
        return type(boxes)(boxes.tensor + 1)


class Ignored(FixedFraction):
    def draw(self, index, rng, *, iteration=0, seed=0):
        super().draw(index, rng)
        return np.arange(3, dtype=np.int64)


class Smeared(WarpedCrops):
    def forward(self, backbone, inputs, layers, pad_to=0):
        return {name: rows - rows.mean(0) for name, rows in super().forward(backbone, inputs, layers, pad_to).items()}


class Slanted(TinyNet):
    def advance(self, maps, layers):
        return {name: rows + maps.mean() for name, rows in super().advance(maps, layers).items()}


class Mean(RegionSoftmax):
    def losses(self, backbone, batch):
        found = super().losses(backbone, batch)
        share = batch.total / len(batch.targets["labels"])
        return Losses({name: term * share for name, term in found.terms.items()}, found.right)


class Counting(VOC):
    def compute(self):
        self.calls = getattr(self, "calls", 0) + 1
        return {**super().compute(), "calls": {"calls": self.calls}}


class Odd(Shapes):
    def fingerprint(self, *, truths=True):
        return super().fingerprint(truths=False)


class Mute(Propose):
    gives = ""


class Elsewhere(Propose):
    def reads(self, config, role):
        return Reads(settings=("PROPOSALL.*",))


@pytest.mark.parametrize(
    ("component", "told"),
    [
        (DoubledBackground, r"scores are float32 without background column: score gave .* \(0, 3\) for 0 rows"),
        (Forgetful, "scores survive state and load: score after load: the numbers differ"),
        (Outside, "boxes lie inside the image and have an area: a box of the image .* lies beyond it"),
        (Moody, "the answer depends on the image alone: asked again: the same image got other proposals"),
        (Wandering, "boxes of a class without examples stay"),
        (Ignored, "draws follow the generator: ten other generators gave the same rows"),
        (Smeared, "rows are the regions of all images in order: pool5 of images together and apart"),
        (Slanted, "advance is the own pooling and what follows it|a row does not depend on its neighbours"),
        (Mean, "losses of parts of a batch add up: the loss class is"),
        (Counting, "computing twice changes nothing"),
        (Odd, "opened again it is the same: the fingerprint does not tell annotations"),
        (Elsewhere, "what it needs and reads is declared: reads names PROPOSALL.*, which is no key of a config"),
        (Mute, "it has a kind a version and a summary: gives: expected a word"),
        (dict, "derives from no base class of a component; expected one of Dataset, ProposalGenerator"),
    ],
)
def test_a_broken_promise_is_named(component, told):
    with pytest.raises(ContractError, match=told):
        check_component(component)
