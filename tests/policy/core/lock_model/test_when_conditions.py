"""Conditions are read once, checked, and written so that Argo can evaluate them wherever a lock is taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.lock_model.when_conditions import MAX_LENGTH, WhenCondition, parse_condition


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("workflow.parameters.env == 'prod'", "workflow.parameters.env == 'prod'"),
        ('{{= workflow.parameters.env == "prod" }}', "workflow.parameters.env == 'prod'"),
        ("{{workflow.parameters.env}} == prod", "workflow.parameters.env == 'prod'"),
        ("'{{workflow.parameters.env}}' == 'prod'", "workflow.parameters.env == 'prod'"),
        ("{{inputs.parameters.my-env}} != dev-1", "inputs.parameters['my-env'] != 'dev-1'"),
        ("{{inputs.parameters.size}} == 5", "inputs.parameters.size == '5'"),
        ("{{inputs.parameters.size}} > 5", "asFloat(inputs.parameters.size) > 5"),
        ("asInt(inputs.parameters.size) <= 5", "asInt(inputs.parameters.size) <= 5"),
        ("inputs.parameters['a-b'] in ['x', 'y']", "inputs.parameters['a-b'] in ['x', 'y']"),
        ("{{workflow.name}} in [a, b]", "workflow.name in ['a', 'b']"),
        ("lower(workflow.namespace) startsWith 'team'", "lower(workflow.namespace) startsWith 'team'"),
        (
            "workflow.name == 'a' || workflow.uid == 'b' && !(workflow.name matches '^c')",
            "(workflow.name == 'a') || ((workflow.uid == 'b') && !((workflow.name matches '^c')))",
        ),
        ("true", "true"),
    ],
)
def test_both_forms_become_an_expression(text: str, expression: str) -> None:
    """Argo's own language, and the simple form of a task's `when`, in which words need no quotes."""
    assert parse_condition(text).expression == expression


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is empty: give a condition"),
        ("workflow.parameters.env ==", "ends too early"),
        ("workflow.parameters.env", "workflow.parameters.env is a text where a truth is expected"),
        (
            "workflow.parameters.n > 5",
            (
                "workflow.parameters.n is a text and 5 a number: parameters are texts, so put the other in "
                "quotes, or compare asInt(...) with a number"
            ),
        ),
        ("workflow.name > workflow.uid", "> compares numbers: write asInt(workflow.name)"),
        ("{{workflow.name}} > big", "'big' is no number, and < and > compare numbers"),
        ("asInt(5) == 5", "5 is a number where a text is expected"),
        ("(workflow.name == 'a'", "'the end' stands where ')' is expected"),
        ("workflow.name == 'a')", "')' is not expected there"),
        ("workflow.name == 'it\"s'", "'it\"s' has characters that a condition cannot hold"),
        ("workflow.name == 'a' %", "cannot be read from '%' on"),
        ("{{workflow.parameters.env}} = prod", "cannot be read from '= prod' on: compare with =="),
        ("!" * 40 + "true", "is nested more than 20 deep"),
        ("x" * (MAX_LENGTH + 1), "is longer than 1000 characters"),
    ],
)
def test_what_argo_could_not_evaluate_is_refused_with_the_reason(text: str, why: str) -> None:
    """Argo would end every Workflow that the rule selects with an error."""
    with pytest.raises(ValueError, match=r"\w") as raised:
        parse_condition(text)
    assert str(raised.value) == why


@pytest.mark.parametrize("path", ["env", "tasks.a.status", "workflow.labels.a", "inputs.parameters", "item"])
def test_a_variable_that_is_not_known_wherever_a_lock_is_taken_is_refused(path: str) -> None:
    """The message names those that are."""
    with pytest.raises(
        ValueError, match=r"is not known where locks are taken: use workflow\.parameters\.NAME"
    ):
        parse_condition(f"{path} == 'a'")


def test_the_parameters_that_a_condition_needs_are_known() -> None:
    """Without them it could not be evaluated, so injection looks whether they are there."""
    found = parse_condition(
        "workflow.parameters.env == 'a' && inputs.parameters['b-c'] != workflow.parameters.d"
    )
    assert found.workflow_parameters == {"env", "d"}
    assert found.inputs == {"b-c"}


def test_a_condition_is_written_into_a_key_and_into_a_choice() -> None:
    """As argo-verified V.8 has it: a key that depends on it, and two tasks of which one runs."""
    condition = parse_condition("{{workflow.parameters.env}} == prod")
    assert condition.key("db") == "{{= workflow.parameters.env == 'prod' ? 'db' : 'db-unlimited'}}"
    assert condition.holds == "{{= workflow.parameters.env == 'prod' }}"
    assert condition.fails == "{{= !(workflow.parameters.env == 'prod') }}"


@given(st.text(alphabet="workflw.paetsinu['] ={}!&|<>()a1\"\\", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing but ValueError comes out, and what is read can be read again to the same."""
    try:
        found = parse_condition(text)
    except ValueError:
        return
    assert isinstance(found, WhenCondition)
    assert parse_condition(found.expression) == found
