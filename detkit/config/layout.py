"""The keys of a config: slots for components, sections for settings, and a few single keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from detkit.config.ranges import Filled, Fraction, NonNegative, Positive
from detkit.config.schema import Field, fields_of
from detkit.errors import ConfigError
from detkit.registry import (
    BACKBONES,
    BOX_HEADS,
    CLASSIFIERS,
    DATASETS,
    EVALUATORS,
    OBJECTIVES,
    PROPOSAL_GENERATORS,
    REGION_EXTRACTORS,
    REGION_SAMPLERS,
    STAGES,
    Registry,
)

Tree = dict[str, "Field | Tree"]
DEFAULT = "default"
"""What stands in EVALUATORS for those that the data set names."""


@dataclass(frozen=True, kw_only=True)
class DataKeys:
    """The keys of DATA beside those of the data set.

    Args:
        root: folder of the data set. Its kind is recognised, which sets NAME and the ROOT of that data set. If NAME is
            set later or in the same place, this is only the ROOT of that data set.
        finetune: split or splits for fine-tuning the network.
        train: split or splits for training classifiers and box heads.
        val: split or splits for choosing settings, for stages that need one; empty for none.
        test: split or splits for detection and evaluation.
        train_difficult: whether training uses or ignores difficult objects.
        on_bad: "stop" raises an error at a broken image or annotation; "skip" leaves the image out and counts it.
        max_bad: largest share of a role's images that may be left out. A run with more is refused; one image is always
            allowed.
    """

    root: str = ""
    finetune: str | list[str] = "trainval"
    train: str | list[str] = "trainval"
    val: str | list[str] = ""
    test: str | list[str] = "test"
    train_difficult: Literal["use", "ignore"] = "use"
    on_bad: Literal["stop", "skip"] = "stop"
    max_bad: Annotated[float, Fraction] = 0.1


@dataclass(frozen=True, kw_only=True)
class PretrainDataKeys:
    """The keys of PRETRAIN_DATA beside those of the data set.

    Args:
        train: split for training the backbone.
        val: split for measuring its accuracy; empty for none.
        on_bad: "stop" raises an error at a broken image; "skip" leaves it out.
        max_bad: largest share of a role's images that may be left out. A run with more is refused; one image is always
            allowed.
    """

    train: str = "train"
    val: str = "val"
    on_bad: Literal["stop", "skip"] = "stop"
    max_bad: Annotated[float, Fraction] = 0.1


@dataclass(frozen=True, kw_only=True)
class ProposalKeys:
    """The keys of PROPOSALS beside those of the generator.

    Args:
        train_max_boxes: number of proposals of an image, drawn at random, that classifiers and box heads learn from; 0
            takes all, as the paper does.
    """

    train_max_boxes: Annotated[int, NonNegative] = 0


@dataclass(frozen=True, kw_only=True)
class BackboneKeys:
    """The keys of BACKBONE beside those of the network.

    Args:
        weights: a .safetensors, .pth or .caffemodel file, ``torchvision:NAME``, ``timm:NAME`` or ``random``; empty
            pre-trains the network on PRETRAIN_DATA.
    """

    weights: str = ""


@dataclass(frozen=True, kw_only=True)
class ClassifierKeys:
    """The keys of CLASSIFIER beside those of the classifier.

    Args:
        layer: the backbone layer that it reads; empty takes the last.
    """

    layer: str = ""


@dataclass(frozen=True, kw_only=True)
class BoxHeadKeys:
    """The keys of BOX_HEAD beside those of the head.

    Args:
        layer: the backbone layer that it reads; empty takes the last.
    """

    layer: str = "pool5"


@dataclass(frozen=True, kw_only=True)
class RuntimeKeys:
    """Device, threads and processes of a run. They are never part of a hash.

    Args:
        device: auto, cpu, cuda or cuda:N.
        workers: number of threads that decode and warp, and of processes that find proposals; -1 takes one per core,
            less one (at least one), 0 none.
        threads: number of threads of the network; 0 leaves it to torch.
        batch: number of crops in one network pass.
        report: whether a run writes report.html at its end; `detkit report` writes it at any time.
        tensorboard: whether training also writes TensorBoard's event files, to tensorboard/ in the run's folder; needs
            the extra `detkit[tensorboard]`.
    """

    device: str = "auto"
    workers: int = -1
    threads: Annotated[int, NonNegative] = 0
    batch: Annotated[int, Positive] = 64
    report: bool = True
    tensorboard: bool = False


@dataclass(frozen=True, kw_only=True)
class ComputeKeys:
    """How the network computes. The resolved values are part of every hash.

    Args:
        dtype: dtype of the network; auto takes bfloat16 if the device is fast at it, else float32.
        compile: whether extraction uses torch.compile.
    """

    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: bool = False


@dataclass(frozen=True, kw_only=True)
class FeatureKeys:
    """How features are stored.

    Args:
        store: "disk" stores features as float16, for all stages that read them; "stream" stores none and computes them
            each time that they are read.
        roles: roles (TRAIN, TEST) whose features are stored; features of other roles are computed each time.
        layers: layers that are stored for every region; empty stores what the classifier and the box head read.
    """

    store: Literal["disk", "stream"] = "disk"
    roles: tuple[Literal["TRAIN", "TEST"], ...] = ("TRAIN",)
    layers: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DiagnosisKeys:
    """Settings of `detkit diagnose`. They change no result of a run.

    Args:
        similar_classes: groups of class names; classes of one group are similar in Hoiem's analysis. Empty takes VOC's
            groups if all classes are VOC's, else none.
    """

    similar_classes: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Slot:
    """A config key that selects one registered component by NAME.

    Args:
        registry: the registry of the names.
        default: the name if no file sets it.
        keys: other keys beside NAME.
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
    "OBJECTIVE": Slot(OBJECTIVES, "RegionSoftmax"),
    "CLASSIFIER": Slot(CLASSIFIERS, "LinearSVM", ClassifierKeys),
    "BOX_HEAD": Slot(BOX_HEADS, "Ridge", BoxHeadKeys),
}
SECTIONS: Mapping[str, Callable[..., Any]] = {
    "RUNTIME": RuntimeKeys,
    "COMPUTE": ComputeKeys,
    "FEATURES": FeatureKeys,
    "DIAGNOSIS": DiagnosisKeys,
}


def layout() -> Tree:
    """Every key with its type and default, from the signatures of all registered components and stages."""
    tree: Tree = {
        "PROJECT": Field(list[str], []),
        "SEED": Field(Annotated[int, NonNegative], 3),
        "OUTPUT_DIR": Field(str, ""),
        "ARTIFACTS": Field(str, ""),
        "STAGES": Field(list[Any], []),
        "EVALUATORS": Field(Annotated[list[str], Filled], [DEFAULT]),
        "EVALUATION": _nodes(EVALUATORS),
    }
    for key, slot in SLOTS.items():
        beside = fields_of(slot.keys) if slot.keys else {}
        tree[key] = {"NAME": Field(str, slot.default), **beside, **_nodes(slot.registry)}
    for key, settings in SECTIONS.items():
        tree[key] = dict(fields_of(settings))
    _add_sections_of_stages(tree)
    return tree


def _add_sections_of_stages(tree: Tree) -> None:
    """Adds the sections that registered stages bring; several stages may bring the same one."""
    brought: dict[str, Callable[..., Any]] = {}
    for name in STAGES.names():
        for key, settings in STAGES.get(name).settings.items():
            if brought.get(key, settings) is not settings or (key in tree and key not in brought):
                raise ConfigError(
                    f"stage {name}: its section {key} is there already with other keys; give it another name, or take "
                    "the settings of the one that is there"
                )
            brought[key] = settings
            tree[key] = dict(fields_of(settings))


def _nodes(registry: Registry) -> Tree:
    return {name: dict(fields_of(registry.get(name))) for name in registry.names()}
