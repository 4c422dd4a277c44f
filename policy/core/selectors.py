"""Label selectors as Kubernetes reads them: `matchLabels` and `matchExpressions`, all of which must hold."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TypeAlias

import msgspec

from policy.core.problems import Problem

Labels: TypeAlias = Mapping[str, str]
Predicate: TypeAlias = Callable[[Labels], bool]


class Operator(StrEnum):
    """How a requirement compares (apimachinery `LabelSelectorOperator`)."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class Requirement(msgspec.Struct, frozen=True, rename="camel"):
    """One line of `matchExpressions`."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Labels) -> bool:
        """Tell whether the labels meet this requirement; an absent key meets NotIn, as in Kubernetes."""
        match self.operator:
            case Operator.IN:
                return labels.get(self.key) in self.values if self.key in labels else False
            case Operator.NOT_IN:
                return self.key not in labels or labels[self.key] not in self.values
            case Operator.EXISTS:
                return self.key in labels
            case Operator.DOES_NOT_EXIST:
                return self.key not in labels


class LabelSelector(msgspec.Struct, frozen=True, rename="camel"):
    """A selector over labels; the empty selector matches everything."""

    match_labels: dict[str, str] = {}
    match_expressions: tuple[Requirement, ...] = ()

    def matches(self, labels: Labels) -> bool:
        """Tell whether every part of the selector holds for the labels."""
        for key, value in self.match_labels.items():  # Loops, because this runs for every quota of a review.
            if labels.get(key) != value:
                return False
        for requirement in self.match_expressions:  # noqa: SIM110 - as above
            if not requirement.matches(labels):
                return False
        return True

    def problems(self, path: str) -> list[Problem]:
        """Return what Kubernetes would refuse: values where none belong, or none where some are needed."""
        found = []
        for index, requirement in enumerate(self.match_expressions):
            where = f"{path}.matchExpressions[{index}].values"
            takes_values = requirement.operator in (Operator.IN, Operator.NOT_IN)
            if takes_values and not requirement.values:
                found.append(Problem(where, f"operator {requirement.operator} needs at least one value"))
            if not takes_values and requirement.values:
                found.append(Problem(where, f"operator {requirement.operator} takes no values"))
        return found


EVERYTHING = LabelSelector()
