"""Which keys a config has: slots for components, sections for settings, and a few single keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from detkit.config.ranges import Filled, NonNegative, Positive
from detkit.config.schema import Field, fields_of
from detkit.registry import (
    BACKBONES,
    BOX_HEADS,
    CLASSIFIERS,
    DATASETS,
    EVALUATORS,
    PROPOSAL_GENERATORS,
    REGION_EXTRACTORS,
    REGION_SAMPLERS,
    STAGES,
    Registry,
)

Tree = dict[str, "Field | Tree"]


@dataclass(frozen=True, kw_only=True)
class DataKeys:
    """What DATA holds beside the data set itself.

    Args:
        finetune: split or splits that the network is fine-tuned on.
        train: split or splits for classifiers and box heads.
        test: split or splits that are detected and evaluated.
        train_difficult: whether difficult objects are learnt from.
        on_bad: stop at a broken image or annotation, or leave the image out and count it.
    """

    finetune: str | list[str] = "trainval"
    train: str | list[str] = "trainval"
    test: str | list[str] = "test"
    train_difficult: Literal["use", "ignore"] = "use"
    on_bad: Literal["stop", "skip"] = "stop"


@dataclass(frozen=True, kw_only=True)
class PretrainDataKeys:
    """What PRETRAIN_DATA holds beside the data set.

    Args:
        train: split that the backbone is trained on.
        val: split on which its accuracy is measured, or empty.
        on_bad: stop at a broken image, or leave it out.
    """

    train: str = "train"
    val: str = "val"
    on_bad: Literal["stop", "skip"] = "stop"


@dataclass(frozen=True, kw_only=True)
class ProposalKeys:
    """What PROPOSALS holds beside the generator.

    Args:
        train_max_boxes: classifiers and box heads learn from a random choice of this many proposals an image;
            0 takes all, as the paper.
    """

    train_max_boxes: Annotated[int, NonNegative] = 0


@dataclass(frozen=True, kw_only=True)
class BackboneKeys:
    """What BACKBONE holds beside the network.

    Args:
        weights: a .safetensors, .pth or .caffemodel file, ``torchvision:NAME``, ``random``, or empty: pre-train on
            PRETRAIN_DATA.
    """

    weights: str = ""


@dataclass(frozen=True, kw_only=True)
class ClassifierKeys:
    """What CLASSIFIER holds beside the classifier.

    Args:
        layer: the backbone layer that it reads; empty takes the last.
    """

    layer: str = ""


@dataclass(frozen=True, kw_only=True)
class BoxHeadKeys:
    """What BOX_HEAD holds beside the head.

    Args:
        layer: the backbone layer that it reads; empty takes the last.
    """

    layer: str = "pool5"


@dataclass(frozen=True, kw_only=True)
class RuntimeKeys:
    """Where and how wide to run; never part of a hash.

    Args:
        device: auto, cpu, cuda or cuda:N.
        workers: threads that decode and warp, processes that find proposals; -1 takes one per core but one (at least
            one), 0 none.
        threads: threads of the network; 0 leaves it to torch.
        batch: crops of one network pass.
    """

    device: str = "auto"
    workers: int = -1
    threads: Annotated[int, NonNegative] = 0
    batch: Annotated[int, Positive] = 64


@dataclass(frozen=True, kw_only=True)
class ComputeKeys:
    """How the network computes; part of every hash, as resolved.

    Args:
        dtype: auto takes bfloat16 where the processor is fast at it.
        compile: torch.compile for extraction.
    """

    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: bool = False


@dataclass(frozen=True, kw_only=True)
class FeatureKeys:
    """What becomes of features.

    Args:
        store: disk keeps features in float16 for all that read them; stream keeps none and computes them as they are
            read.
        roles: the roles (TRAIN, TEST) whose features are kept; those of the others are computed as they are read.
        layers: layers to keep for every region; empty keeps what the classifier and the box head read.
    """

    store: Literal["disk", "stream"] = "disk"
    roles: tuple[Literal["TRAIN", "TEST"], ...] = ("TRAIN",)
    layers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Slot:
    """A key under which one registered component is chosen by NAME.

    Args:
        registry: where the names come from.
        default: the name where no file sets it.
        keys: settings that stand beside NAME.
    """

    registry: Registry
    default: str
    keys: Callable[..., Any] | None = None


SLOTS: Mapping[str, Slot] = {
    "DATA": Slot(DATASETS, "VOC", DataKeys),
    "PRETRAIN_DATA": Slot(DATASETS, "ImageFolders", PretrainDataKeys),
    "PROPOSALS": Slot(PROPOSAL_GENERATORS, "SelectiveSearch", ProposalKeys),
    "BACKBONE": Slot(BACKBONES, "TorchvisionBackbone", BackboneKeys),
    "REGION_EXTRACTOR": Slot(REGION_EXTRACTORS, "WarpedCrops"),
    "REGION_SAMPLER": Slot(REGION_SAMPLERS, "FixedFraction"),
    "CLASSIFIER": Slot(CLASSIFIERS, "LinearSVM", ClassifierKeys),
    "BOX_HEAD": Slot(BOX_HEADS, "Ridge", BoxHeadKeys),
}
SECTIONS: Mapping[str, Callable[..., Any]] = {
    "RUNTIME": RuntimeKeys,
    "COMPUTE": ComputeKeys,
    "FEATURES": FeatureKeys,
}
DEFAULT_STAGES = [
    "Pretrain", "Propose", "Finetune", "Extract", "Classify", "Regress", "Calibrate", "Detect", "Evaluate"
]  # fmt: skip


def layout() -> Tree:
    """Every key with its type and default, from the signatures of all registered components and stages."""
    tree: Tree = {
        "PROJECT": Field(str, ""),
        "SEED": Field(Annotated[int, NonNegative], 3),
        "OUTPUT_DIR": Field(str, ""),
        "ARTIFACTS": Field(str, ""),
        "STAGES": Field(Annotated[list[str], Filled], list(DEFAULT_STAGES)),
        "EVALUATORS": Field(Annotated[list[str], Filled], ["VOC"]),
        "EVALUATION": _nodes(EVALUATORS),
    }
    for key, slot in SLOTS.items():
        beside = fields_of(slot.keys) if slot.keys else {}
        tree[key] = {"NAME": Field(str, slot.default), **beside, **_nodes(slot.registry)}
    for key, settings in SECTIONS.items():
        tree[key] = dict(fields_of(settings))
    for name in STAGES.names():
        for key, settings in STAGES.get(name).settings.items():
            tree[key] = dict(fields_of(settings))
    return tree


def _nodes(registry: Registry) -> Tree:
    return {name: dict(fields_of(registry.get(name))) for name in registry.names()}
