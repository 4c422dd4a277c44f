"""Names of locks are filled in as far as admission knows; equal texts mean the same lock."""

import msgspec
import pytest

from policy.core.lock_model.parameters import (
    as_written,
    bind_input,
    choices,
    depends_on,
    fill_tags,
    inputs_in,
    workflow_values,
)
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.workflow import Parameters
from tests.policy.core.builders import template_of


def _parameters(**values: object) -> Parameters:
    given = [{"name": name, "value": value} for name, value in values.items()]
    return msgspec.convert({"parameters": given}, Parameters)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("plain", "plain"),
        ("db-{{workflow.parameters.env}}", "db-prod"),
        ("{{ workflow.parameters.env }}", "prod"),
        ("{{=workflow.parameters.env}}", "prod"),
        ("{{workflow.namespace}}-{{item}}", "team-a-{{item}}"),
        (
            "{{=workflow.parameters.env == 'x' ? 'a' : 'b'}}",
            "{{=workflow.parameters.env == 'x' ? 'a' : 'b'}}",
        ),
    ],
)
def test_known_tags_are_filled_in_and_others_stay(text: str, filled: str) -> None:
    """Simple tags and expressions that are one tag; a condition is not evaluated."""
    assert fill_tags(text, workflow_values([_parameters(env="prod")], "team-a")) == filled


def test_the_first_arguments_win_and_only_known_values_count() -> None:
    """The Workflow's own come before its template's; a tag, a list or a novel is no value."""
    own = _parameters(env="prod", tag="{{x}}", many=[1], none=None, long="x" * 300, number=5, flag=True)
    values = workflow_values([own, None, _parameters(env="dev", more="m")], "n")
    assert values == {
        "workflow.namespace": "n",
        "workflow.parameters.env": "prod",
        "workflow.parameters.more": "m",
        "workflow.parameters.number": "5",
        "workflow.parameters.flag": "true",
    }


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{{= workflow.parameters.env == 'prod' ? 'prod' : 'unlimited'}}", ("prod", "unlimited")),
        ("a/{{=x ? 'b' : 'b'}}/c", ("a/b/c",)),
        ("{{=x ? y : 'b'}}", ("{{=x ? y : 'b'}}",)),
        ("plain", ("plain",)),
    ],
)
def test_a_choice_of_two_texts_has_two_outcomes(text: str, found: tuple[str, ...]) -> None:
    """A condition that injection writes can be checked for both of its keys."""
    assert choices(text) == found


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{{inputs.parameters.db}}-{{inputs.parameters.env}}", {"db", "env"}),
        ("{{=inputs.parameters['a-b'] + inputs.parameters.c}}", {"a-b", "c"}),
        ("{{workflow.parameters.db}}", set()),
        ("inputs.parameters.db", set()),
    ],
)
def test_the_inputs_that_a_text_depends_on_are_found(text: str, names: set[str]) -> None:
    """In tags and in expressions, by dot and by bracket."""
    assert inputs_in(text) == names


def _bound(argument: object, template: JsonObject, outer: dict[str, str] | None = None) -> str:
    return bind_input(template_of(template), "db", argument, outer or {}, "here")


def test_an_input_has_its_argument_else_its_own_value_else_its_default() -> None:
    """As Argo fills inputs in."""
    both: JsonObject = {"inputs": {"parameters": [{"name": "db", "value": "own", "default": "fallback"}]}}
    fallback: JsonObject = {"inputs": {"parameters": [{"name": "db", "default": "fallback"}]}}
    assert _bound("given", both) == "given"
    assert _bound(None, both) == "own"
    assert _bound(None, fallback) == "fallback"
    assert _bound(None, {}) == "{{inputs.parameters.db@here}}"
    assert _bound("x" * 300, both) == "{{inputs.parameters.db@here}}"


def test_a_value_is_written_as_the_outermost_caller_would_write_it() -> None:
    """Known ones are passed down; what only the run gives is distinguished by where it is given."""
    outer = {"inputs.parameters.name": "sales", "inputs.parameters.far": "{{item@there}}"}
    assert _bound("db-{{inputs.parameters.name}}", {}, outer) == "db-sales"
    assert _bound("{{inputs.parameters.far}}", {}, outer) == "{{item@there}}"
    assert _bound("{{item}}", {}) == "{{item@here}}"
    assert _bound("{{workflow.parameters.env}}", {}) == "{{workflow.parameters.env}}"
    assert _bound("{{workflow.outputs.parameters.x}}", {}) == "{{workflow.outputs.parameters.x@here}}"


def test_a_number_is_a_text_to_argo() -> None:
    """As Kubernetes stores it: without a fraction of nothing."""
    assert _bound(1.5, {}) == "1.5"
    assert _bound(2.0, {}) == "2"
    assert _bound(7, {}) == "7"


def test_fields_in_brackets_are_filled_in_expressions_only() -> None:
    """Argo's simple tags know no brackets."""
    values = {"item.my-env": "prod"}
    assert fill_tags("x-{{=item['my-env']}}", values) == "x-prod"
    assert fill_tags("x-{{item['my-env']}}", values) == "x-{{item['my-env']}}"
    assert depends_on("x-{{=item['my-env']}}-{{item}}-{{inputs.parameters.a}}-item") == {
        "item.my-env",
        "item",
        "inputs.parameters.a",
    }


def test_the_marks_of_where_values_were_given_are_not_shown() -> None:
    """A user reads what was written."""
    assert (
        as_written("ns/Mutex/{{inputs.parameters.a@x/y}}-{{item@z}}")
        == "ns/Mutex/{{inputs.parameters.a}}-{{item}}"
    )
