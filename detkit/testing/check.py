"""The check of a component's contract, for authors of components."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from detkit.backbones.base import Backbone
from detkit.box_heads.base import BoxHead
from detkit.classifiers.base import Classifier
from detkit.data.base import Dataset
from detkit.evaluation.base import Evaluator
from detkit.proposals.base import ProposalGenerator
from detkit.regions.base import RegionExtractor, RegionSampler
from detkit.run.stage import Stage
from detkit.testing import (
    backbones,
    box_heads,
    classifiers,
    datasets,
    evaluators,
    objectives,
    proposals,
    region_extractors,
    region_samplers,
    stages,
)
from detkit.testing.expect import ContractError
from detkit.training.objective import Objective

Make = Callable[..., Any]
Check = Callable[[Make], None]

CHECKS: dict[type, tuple[Check, ...]] = {
    Dataset: datasets.CHECKS,
    ProposalGenerator: proposals.CHECKS,
    Backbone: backbones.CHECKS,
    RegionExtractor: region_extractors.CHECKS,
    RegionSampler: region_samplers.CHECKS,
    Classifier: classifiers.CHECKS,
    BoxHead: box_heads.CHECKS,
    Objective: objectives.CHECKS,
    Evaluator: evaluators.CHECKS,
    Stage: stages.CHECKS,
}
"""What each kind of component must keep, by its base class."""


def checks_of(component: type) -> tuple[Check, ...]:
    """The checks of a component's kind. Each takes a function that makes the component; its name is the checked fact.

    Raises:
        ContractError: if the component has none of the base classes.
    """
    for base, checks in CHECKS.items():
        if issubclass(component, base):
            return checks
    bases = ", ".join(base.__name__ for base in CHECKS)
    raise ContractError(f"{component.__name__}: derives from no base class of a component; expected one of {bases}")


def check_component(component: type, **settings: Any) -> None:
    """Checks that a component keeps the contract of its base class: shapes, dtypes, zero rows, state, determinism.

    Each check makes a new component. All checks take seconds, and need no data, no network connection and no GPU.

    Args:
        component: the class.
        settings: arguments of its constructor that replace the defaults.

    Raises:
        ContractError: if a check fails; it names the component, the check and the finding.
    """

    def make(**given: Any) -> Any:
        return component(**given, **settings)

    make.component = component  # type: ignore[attr-defined]
    make.settings = settings  # type: ignore[attr-defined]
    for check in checks_of(component):
        fact = check.__name__.replace("_", " ")
        try:
            check(make)
        except ContractError as error:
            raise ContractError(f"{component.__name__}: {fact}: {error}") from error
        except Exception as error:  # whatever a part of somebody else raises where it must not
            raise ContractError(f"{component.__name__}: {fact}: {type(error).__name__}: {error}") from error
