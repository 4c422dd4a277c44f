"""Label selectors mean what Kubernetes means by them."""

from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.objects.label_selectors import EVERYTHING, LabelSelector, Operator, Requirement
from policy.core.values.problems import Problem

KEYS = ("a", "b", "c")
VALUES = ("", "x", "y")

labels_ = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES))
requirements = st.builds(
    Requirement,
    key=st.sampled_from(KEYS),
    operator=st.sampled_from(Operator),
    values=st.lists(st.sampled_from(VALUES), max_size=2).map(tuple),
)
selectors = st.builds(
    LabelSelector,
    match_labels=st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=2),
    match_expressions=st.lists(requirements, max_size=3).map(tuple),
)


def _meets(requirement: Requirement, labels: Mapping[str, str]) -> bool:
    """Evaluate one requirement by the table of the Kubernetes documentation."""
    value = labels.get(requirement.key)
    return {
        Operator.IN: value is not None and value in requirement.values,
        Operator.NOT_IN: value is None or value not in requirement.values,
        Operator.EXISTS: value is not None,
        Operator.DOES_NOT_EXIST: value is None,
    }[requirement.operator]


@given(selectors, labels_)
def test_a_selector_matches_where_each_of_its_parts_does(
    selector: LabelSelector, labels: dict[str, str]
) -> None:
    """All four operators and matchLabels equal a naive oracle, on absent keys and empty values too."""
    wanted = selector.match_labels.items() <= labels.items()
    expected = wanted and all(_meets(each, labels) for each in selector.match_expressions)
    assert selector.matches(labels) == expected


@given(labels_)
def test_the_empty_selector_matches_everything(labels: dict[str, str]) -> None:
    """An absent selector selects all."""
    assert EVERYTHING.matches(labels)


def test_a_selector_is_read_as_kubernetes_writes_it() -> None:
    """The wire names are matchLabels, matchExpressions, key, operator and values."""
    written = b"""{"matchLabels": {"team": "etl"}, "matchExpressions": [
        {"key": "tier", "operator": "NotIn", "values": ["test"]},
        {"key": "old", "operator": "DoesNotExist"}]}"""
    selector = msgspec.json.decode(written, type=LabelSelector)
    assert selector.matches({"team": "etl"})
    assert not selector.matches({"team": "etl", "tier": "test"})
    assert not selector.matches({"team": "etl", "old": ""})
    assert not selector.matches({"tier": "prod"})


def test_an_unknown_operator_is_refused() -> None:
    """Kubernetes' field selectors have Gt and Lt; label selectors do not."""
    with pytest.raises(msgspec.ValidationError, match="Gt"):
        msgspec.convert({"key": "a", "operator": "Gt", "values": ["1"]}, Requirement)


@pytest.mark.parametrize("operator", [Operator.IN, Operator.NOT_IN])
def test_a_set_operator_without_values_is_a_problem(operator: Operator) -> None:
    """Kubernetes refuses In and NotIn without values, so we do, and say where."""
    selector = LabelSelector(
        match_expressions=(Requirement("a", Operator.EXISTS), Requirement("a", operator))
    )
    assert selector.problems("spec.selector") == [
        Problem("spec.selector.matchExpressions[1].values", f"operator {operator} needs at least one value")
    ]


@pytest.mark.parametrize("operator", [Operator.EXISTS, Operator.DOES_NOT_EXIST])
def test_an_existence_operator_with_values_is_a_problem(operator: Operator) -> None:
    """Kubernetes refuses Exists and DoesNotExist with values, so we do, and say where."""
    selector = LabelSelector(match_expressions=(Requirement("a", operator, ("x",)),))
    assert selector.problems("spec.selector") == [
        Problem("spec.selector.matchExpressions[0].values", f"operator {operator} takes no values")
    ]


@given(selectors)
def test_a_selector_has_a_problem_for_each_requirement_that_kubernetes_refuses(
    selector: LabelSelector,
) -> None:
    """`problems` counts exactly the requirements whose values and operator disagree."""
    sets = (Operator.IN, Operator.NOT_IN)
    wrong = [each for each in selector.match_expressions if (each.operator in sets) != bool(each.values)]
    assert len(selector.problems("spec")) == len(wrong)
