"""Label selectors as Kubernetes reads them: `matchLabels` and `matchExpressions`, all of which must hold."""

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Final, TypeAlias

import msgspec

from policy.core.objects.well_known import CHANGING
from policy.core.values.problems import Problem, too_many

Labels: TypeAlias = Mapping[str, str]
Predicate: TypeAlias = Callable[[Labels], bool]
_MAX_EXPRESSIONS: Final = 64
_MAX_VALUES: Final = 256
"""Bounds of a selector in the CRDs; without them the API server refuses their rules as too expensive."""


class Operator(StrEnum):
    """The operator of a requirement (apimachinery `LabelSelectorOperator`)."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class Requirement(msgspec.Struct, frozen=True, rename="camel"):
    """One entry of `matchExpressions`."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Labels) -> bool:
        """Return whether the labels meet this requirement; an absent key meets NotIn, as in Kubernetes."""
        match self.operator:
            case Operator.IN:
                return self.key in labels and labels[self.key] in self.values
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
        """Return whether every part of the selector holds for the labels."""
        for key, value in self.match_labels.items():  # Loops, because this runs for every quota of a review.
            if labels.get(key) != value:
                return False
        for requirement in self.match_expressions:  # noqa: SIM110 - as above
            if not requirement.matches(labels):
                return False
        return True

    def keys(self) -> list[str]:
        """Return the labels that it requires."""
        return [*self.match_labels, *(each.key for each in self.match_expressions)]

    def problems(self, path: str) -> list[Problem]:
        """Return what the CRDs refuse: values where an operator takes none, missing ones, or too many."""
        expressions = f"{path}.matchExpressions"
        found = too_many(self.match_expressions, _MAX_EXPRESSIONS, expressions)
        for index, requirement in enumerate(self.match_expressions[:_MAX_EXPRESSIONS]):
            where = f"{expressions}[{index}].values"
            found += too_many(requirement.values, _MAX_VALUES, where)
            takes_values = requirement.operator in (Operator.IN, Operator.NOT_IN)
            if takes_values and not requirement.values:
                found.append(Problem(where, f"operator {requirement.operator} needs at least one value"))
            if not takes_values and requirement.values:
                found.append(Problem(where, f"operator {requirement.operator} takes no values"))
        return found


def changing_problems(selector: LabelSelector, path: str) -> Iterator[Problem]:
    """Yield the labels of a selector of Workflows that Argo changes while they run.

    With such a label, a running Workflow would leave the policy that admitted it.
    """
    fields = [(f"{path}.matchLabels[{key}]", key) for key in selector.match_labels]
    fields += [
        (f"{path}.matchExpressions[{index}].key", each.key)
        for index, each in enumerate(selector.match_expressions[:_MAX_EXPRESSIONS])
    ]
    for field, key in fields:
        if key in CHANGING:
            fix = "select by another label"
            yield Problem(
                field, f"{key} changes while a Workflow runs, which would leave the policy by it: {fix}"
            )


def why_nothing(selector: LabelSelector) -> str:
    """Return why no labels at all can match a selector, or ""."""
    equal = [Requirement(key, Operator.IN, (value,)) for key, value in selector.match_labels.items()]
    by_key: dict[str, list[Requirement]] = {}
    for each in (*equal, *selector.match_expressions):
        by_key.setdefault(each.key, []).append(each)
    for key, required in by_key.items():
        lists = [each.values for each in required if each.operator is Operator.IN]
        # Where no list restricts the values, one value that is not named represents all others.
        unnamed = "".join(value for each in required for value in each.values) + "x"
        tried = min(lists, key=len) if lists else (unnamed,)
        candidates: list[Labels] = [{}, *({key: value} for value in tried)]
        if not any(all(each.matches(labels) for each in required) for labels in candidates):
            return f"no object can match all that it requires of the label {key}"
    return ""


EVERYTHING = LabelSelector()
