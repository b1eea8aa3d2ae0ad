"""What every region extractor keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detkit.backbones.tiny import TinyNet
from detkit.config.schema import fields_of, given_of
from detkit.regions.base import RegionExtractor, RegionInputs
from detkit.structures import Boxes
from detkit.system.seeding import torch_seed
from detkit.testing.expect import expect, expect_given, expect_same

SIDE = 48
LAYERS = ["pool5", "fc7"]


def _new(make: Any) -> RegionExtractor:
    made: RegionExtractor = make(input_size=SIDE)
    return made


def _backbone() -> TinyNet:
    with torch_seed(0, "contract"):
        return TinyNet(input_size=SIDE, width=8, fc_dim=16).eval()


def _images() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in ((40, 60), (30, 30), (50, 20))]


def _boxes(image: np.ndarray, num: int) -> Boxes:
    height, width = image.shape[:2]
    corners = np.random.default_rng(0).uniform(0, 1, (num, 2, 2)) * (width - 2, height - 2)
    return Boxes.of(np.hstack([corners.min(1), corners.max(1) + 2]))


def _run(extractor: RegionExtractor, prepared: Sequence[RegionInputs], pad_to: int = 0) -> dict[str, Tensor]:
    with torch.no_grad():
        return extractor.forward(_backbone(), prepared, LAYERS, pad_to)


def the_builder_gives_the_side_of_a_crop(make: Any) -> None:
    """Or nothing."""
    given = given_of(make.component)
    expect_given(make.component, given, given & {"input_size"})


def prepared_regions_are_arrays_and_the_image_is_left_as_it_was(make: Any) -> None:
    """``prepare`` runs in threads, without torch modules."""
    extractor, image = _new(make), _images()[0]
    before = image.copy()
    prepared = extractor.prepare(image, _boxes(image, 3), np.ones(3, bool))
    for name, value in prepared.items():
        expect(isinstance(value, np.ndarray), f"prepare: {name} is {type(value).__name__}, expected an array")
    expect((image == before).all(), "prepare changed the image")
    expect(isinstance(extractor.per_image, bool), "per_image is neither True nor False")


def rows_are_the_regions_of_all_images_in_order(make: Any) -> None:
    """With an image of no region among them."""
    extractor = _new(make)
    described = extractor.describe(_backbone().layers)
    prepared = [
        extractor.prepare(image, _boxes(image, n), np.zeros(n, bool))
        for image, n in zip(_images(), (3, 0, 2), strict=True)
    ]
    joined = _run(extractor, prepared, pad_to=4)
    apart = [_run(extractor, [p], pad_to=4) for p in prepared]
    for name in LAYERS:
        shape = (5, described[name].dim)
        found = joined[name]
        expect(
            found.shape == shape and found.dtype == torch.float32,
            f"{name}: {found.dtype} {tuple(found.shape)}, expected float32 {shape}",
        )
        expect_same(found, torch.cat([a[name] for a in apart]), f"{name} of images together and apart")


def no_images_and_no_regions_give_no_rows(make: Any) -> None:
    """(0, D)."""
    extractor = _new(make)
    empty = extractor.prepare(_images()[0], Boxes.of([]), np.zeros(0, bool))
    for prepared in ([], [empty]):
        shape = tuple(_run(extractor, prepared)["fc7"].shape)
        expected = (0, extractor.describe(_backbone().layers)["fc7"].dim)
        expect(shape == expected, f"forward gave {shape}, expected {expected}")


def filling_up_changes_nothing_but_rounding(make: Any) -> None:
    """Passes of three rows and one of all."""
    extractor, image = _new(make), _images()[0]
    prepared = [extractor.prepare(image, _boxes(image, 7), np.zeros(7, bool))]
    filled = _run(extractor, prepared, pad_to=3)
    for name, rows in _run(extractor, prepared).items():
        close = torch.allclose(filled[name], rows, rtol=1e-4, atol=1e-5)
        expect(close, f"{name} depends on how many rows a pass has")


def a_region_has_the_same_bits_in_any_company(make: Any) -> None:
    """In another order."""
    extractor, image = _new(make), _images()[0]
    boxes, flips = _boxes(image, 8), np.arange(8) % 2 == 1
    whole = _run(extractor, [extractor.prepare(image, boxes, flips)], pad_to=8)["fc7"]
    order = np.random.default_rng(1).permutation(8)
    other = extractor.prepare(image, boxes[torch.from_numpy(order)], flips[order])
    expect_same(_run(extractor, [other], pad_to=8)["fc7"], whole[order], "regions in another order")


def flips_change_the_marked_regions_only(make: Any) -> None:
    """Two of four."""
    extractor, image = _new(make), _images()[0]
    boxes, flips = _boxes(image, 4), np.array([True, False, True, False])
    plain = _run(extractor, [extractor.prepare(image, boxes, np.zeros(4, bool))], pad_to=4)["fc7"]
    mixed = _run(extractor, [extractor.prepare(image, boxes, flips)], pad_to=4)["fc7"]
    expect(torch.allclose(mixed[~flips], plain[~flips], rtol=1e-4, atol=1e-5), "a region that is not mirrored changed")
    expect(not torch.allclose(mixed[flips], plain[flips]), "mirrored regions are as before")


def the_extractor_for_training_has_the_same_marks_and_changes_nothing(make: Any) -> None:
    """``for_training`` gives another one or the same; ``feature_keys`` are config keys."""
    extractor, image = _new(make), _images()[0]
    boxes, flips = _boxes(image, 3), np.zeros(3, bool)
    before = extractor.prepare(image, boxes, flips)
    trained = extractor.for_training()
    expect(isinstance(trained, RegionExtractor), f"for_training gave {type(trained).__name__}")
    same = (trained.per_image, trained.hands_over_images) == (extractor.per_image, extractor.hands_over_images)
    expect(same, "per_image or hands_over_images of the extractor for training differ")
    prepared = trained.prepare(image, boxes, flips)
    expect(prepared.keys() == before.keys(), "for training other things are prepared")
    for name, rows in _run(trained, [prepared]).items():
        length = trained.describe(_backbone().layers)[name].dim
        expect(rows.shape[1] == length, f"for training {name} has {rows.shape[1]} features, described as {length}")
    after = extractor.prepare(image, boxes, flips)
    unchanged = all(np.array_equal(after[name], value) for name, value in before.items())
    expect(unchanged, "for_training changed the extractor itself")
    unknown = set(extractor.feature_keys) - fields_of(make.component).keys()
    expect(not unknown, f"feature_keys names {sorted(unknown)}, which are no config keys")


def gradients_reach_the_backbone(make: Any) -> None:
    """Fine-tuning uses the same path."""
    extractor, backbone, image = _new(make), _backbone(), _images()[0]
    prepared = [extractor.prepare(image, _boxes(image, 3), np.zeros(3, bool))]
    loss = extractor.forward(backbone, prepared, ["fc7"], 4)["fc7"].sum()
    expect(torch.autograd.grad(loss, backbone.conv1.weight)[0].abs().sum() > 0, "conv1 gets no gradient")


CHECKS = (
    the_builder_gives_the_side_of_a_crop,
    prepared_regions_are_arrays_and_the_image_is_left_as_it_was,
    rows_are_the_regions_of_all_images_in_order,
    no_images_and_no_regions_give_no_rows,
    filling_up_changes_nothing_but_rounding,
    a_region_has_the_same_bits_in_any_company,
    flips_change_the_marked_regions_only,
    the_extractor_for_training_has_the_same_marks_and_changes_nothing,
    gradients_reach_the_backbone,
)
