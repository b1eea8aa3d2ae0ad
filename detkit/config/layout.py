"""Which keys a config has: slots for components, sections for settings, and a few single keys."""

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
    """What DATA holds beside the data set itself.

    Args:
        root: a folder of which the data set is recognised: NAME and that data set's ROOT follow. Where NAME is set
            later or beside it, this is the ROOT of that one.
        finetune: split or splits that the network is fine-tuned on.
        train: split or splits for classifiers and box heads.
        val: split or splits that settings are chosen on, for stages that ask for one; empty for none.
        test: split or splits that are detected and evaluated.
        train_difficult: whether difficult objects are learnt from.
        on_bad: stop at a broken image or annotation, or leave the image out and count it.
        max_bad: share of a role's images that may be left out, one image always; a run with more is refused.
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
    """What PRETRAIN_DATA holds beside the data set.

    Args:
        train: split that the backbone is trained on.
        val: split on which its accuracy is measured, or empty.
        on_bad: stop at a broken image, or leave it out.
        max_bad: share of a role's images that may be left out, one image always; a run with more is refused.
    """

    train: str = "train"
    val: str = "val"
    on_bad: Literal["stop", "skip"] = "stop"
    max_bad: Annotated[float, Fraction] = 0.1


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
        weights: a .safetensors, .pth or .caffemodel file, ``torchvision:NAME``, ``timm:NAME``, ``random``, or empty:
            pre-train on PRETRAIN_DATA.
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
        report: whether a run ends with its report.html; `detkit report` writes it at any time.
        tensorboard: whether trainings write TensorBoard's event files, too, into tensorboard/ of the run's folder;
            needs the extra `detkit[tensorboard]`.
    """

    device: str = "auto"
    workers: int = -1
    threads: Annotated[int, NonNegative] = 0
    batch: Annotated[int, Positive] = 64
    report: bool = True
    tensorboard: bool = False


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
    """How features are stored.

    Args:
        store: disk keeps features in float16 for all that read them; stream keeps none and computes them as they are
            read.
        roles: the roles (TRAIN, TEST) whose features are kept; those of the others are computed as they are read.
        layers: layers to keep for every region; empty keeps what the classifier and the box head read.
    """

    store: Literal["disk", "stream"] = "disk"
    roles: tuple[Literal["TRAIN", "TEST"], ...] = ("TRAIN",)
    layers: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DiagnosisKeys:
    """What `detkit diagnose` must be told; changes no result of a run.

    Args:
        similar_classes: groups of class names; classes of one group are similar in Hoiem's analysis. Empty takes VOC's
            groups where all classes are VOC's, else none.
    """

    similar_classes: tuple[tuple[str, ...], ...] = ()


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
