"""Values reach the names of locks through arguments, loops and inline templates, as Argo fills them in."""

import pytest

from policy.core.lock_graph.template_graph import MAX_ITEM_CALLS, MAX_VARIANTS
from policy.core.lock_model.parameters import as_written
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.template_keys import ObjectKind
from tests.policy.core.builders import NAMESPACE
from tests.policy.core.lock_graph.graphs import (
    LEAF,
    arguments,
    calling,
    dag,
    graph_of,
    held,
    inputs,
    leaf,
    mutexes,
    steps,
)


def _by_input(name: str = "one") -> JsonObject:
    return leaf(name, "deploy-{{inputs.parameters.env}}", inputs=inputs("env"))


def _names(*templates: JsonObject, **more: JsonValue) -> set[str]:
    graph = graph_of({"entrypoint": "main", "templates": list(templates), **more})
    names = [as_written(lock.name) for node in graph.nodes for lock in node.locks]
    return {name.removeprefix(f"{NAMESPACE}/Mutex/deploy-") for name in names}


@pytest.mark.parametrize(
    ("value", "loop"),
    [
        ("{{item}}", {"withItems": ["staging", "prod"]}),
        ("{{item.env}}", {"withItems": [{"env": "staging"}, {"env": "prod"}]}),
        ("{{=item['env']}}", {"withParam": '[{"env": "staging"}, {"env": "prod"}]'}),
        ("{{ item }}", {"withParam": '["staging", "prod"]'}),
        ("{{=item}}", {"withParam": "{{workflow.parameters.envs}}"}),
        ("{{item}}", {"withItems": ["staging", "{{workflow.parameters.last}}"]}),
    ],
)
def test_each_item_that_is_written_down_has_its_own_name(value: str, loop: JsonObject) -> None:
    """In steps and DAGs alike."""
    call = {**calling("one", arguments=arguments(env=value)), **loop}
    given = arguments(envs='["staging","prod"]', last="prod")
    assert _names(dag("main", call), _by_input(), arguments=given) == {"staging", "prod"}
    assert _names(steps("main", [call]), _by_input(), arguments=given) == {"staging", "prod"}


def test_an_item_that_its_condition_leaves_out_takes_no_lock() -> None:
    """So a deadlock that it would bring is none."""
    call = calling(
        "one", arguments=arguments(env="{{item}}"), withItems=["a", "prod"], when="{{item}} != prod"
    )
    assert _names(dag("main", call), _by_input()) == {"a"}


def test_items_are_followed_down_several_calls() -> None:
    """Nested loops give every pair, and a list may be passed as an argument."""
    low: JsonObject = calling(
        "one",
        arguments=arguments(env="{{inputs.parameters.zone}}-{{item}}"),
        withParam="{{inputs.parameters.list}}",
    )
    mid = steps("mid", [low], inputs=inputs("zone", "list"))
    top = calling("mid", arguments=arguments(zone="z{{item}}", list='["a","b"]'), withSequence={"count": "2"})
    assert _names(dag("main", top), mid, _by_input()) == {"z0-a", "z0-b", "z1-a", "z1-b"}


def test_hooks_of_steps_have_the_items_of_the_loop() -> None:
    """Those of DAG tasks have not: Argo runs them as the task is written, with the tag as text."""
    hook: JsonObject = {"exit": {"template": "one", "arguments": arguments(env="{{item}}")}}
    call = calling("plain", withItems=["a", "b"], hooks=hook)
    assert _names(steps("main", [call]), leaf("plain"), _by_input()) == {"a", "b"}
    assert _names(dag("main", call), leaf("plain"), _by_input()) == {"{{item}}"}


def test_an_exit_handler_without_arguments_has_those_of_the_run() -> None:
    """Of a task as of the Workflow."""
    bare = calling("plain", "bare", onExit="one")
    assert _names(dag("main", bare), leaf("plain"), _by_input(), arguments=arguments(env="run")) == {"run"}


def test_an_inline_template_is_filled_in_with_the_rest_of_its_task() -> None:
    """With the item of the loop, and with the inputs of the template that has it."""
    body: JsonObject = {**LEAF, "synchronization": mutexes("deploy-{{inputs.parameters.zone}}-{{item}}")}
    task: JsonObject = {"name": "each", "inline": body, "withItems": ["a", "b"]}
    outer = dag("mid", task, inputs=inputs("zone"))
    top = dag("main", calling("mid", arguments=arguments(zone="z")))
    assert _names(top, outer) == {"z-a", "z-b"}


def test_the_outer_loop_fills_in_an_inline_template_first() -> None:
    """Argo writes the item into the whole text of the task before it looks at loops inside."""
    inner: JsonObject = calling("one", arguments=arguments(env="{{item}}"), withItems=["low"])
    task: JsonObject = {"name": "each", "inline": {"steps": [[inner]]}, "withItems": ["a", "b"]}
    assert _names(dag("main", task), _by_input()) == {"a", "b"}


@pytest.mark.parametrize(
    "loop",
    [
        {"withParam": "{{tasks.a.outputs.result}}"},
        {"withSequence": {"count": "{{tasks.a.outputs.result}}"}},
        {"withItems": ["{{tasks.a.outputs.result}}"]},
    ],
)
def test_items_that_only_the_run_gives_stay_unknown(loop: JsonObject) -> None:
    """With the tag in the name, and one node."""
    call = {**calling("one", arguments=arguments(env="{{item}}")), **loop}
    (name,) = _names(dag("main", call), _by_input())
    assert name.startswith("{{")


def test_a_template_that_is_not_inline_has_no_item() -> None:
    """Argo leaves `{{item}}` in its text."""
    call = calling("one", withItems=["a", "b"])
    assert _names(dag("main", call), leaf("one", "deploy-{{item}}")) == {"{{item}}"}


def test_locks_that_depend_on_no_item_have_one_node() -> None:
    """A loop costs nothing where no name needs it."""
    call = calling(
        "one", arguments=arguments(env="prod", other="{{item}}"), withSequence={"count": "1000000"}
    )
    graph = graph_of({"entrypoint": "main", "templates": [dag("main", call), _by_input()]})
    assert len(graph.nodes) == len({"main", "one"})


def test_of_many_items_the_first_are_judged_and_the_rest_is_unknown() -> None:
    """The bounds of the graph hold for loops, too."""
    loop: JsonObject = {"arguments": arguments(env="{{item}}"), "withSequence": {"count": "1000000"}}
    names = _names(dag("main", {**calling("one"), **loop}), _by_input())
    assert {"0", "99"} <= names
    assert len(names) == MAX_VARIANTS + 1
    calls: list[JsonObject] = [{**calling("one", f"c{number}"), **loop} for number in range(200)]
    graph = graph_of({"entrypoint": "main", "templates": [dag("main", *calls), _by_input()]})
    assert sum(len(node.calls) for node in graph.nodes) <= MAX_ITEM_CALLS + len(calls)


def test_defaults_of_all_templates_are_filled_in_each() -> None:
    """By the inputs of the template that gets them."""
    call = calling("plain", arguments=arguments(env="{{item}}"), withItems=["a", "b"])
    defaults: JsonObject = {"synchronization": mutexes("deploy-{{inputs.parameters.env}}")}
    spec: JsonObject = {
        "entrypoint": "main",
        "templateDefaults": defaults,
        "templates": [dag("main", call), leaf("plain", inputs=inputs("env"))],
    }
    assert {"Mutex/deploy-a", "Mutex/deploy-b"} <= {
        name for names in held(graph_of(spec)).values() for name in names
    }


def test_locks_about_to_be_injected_are_filled_in_too() -> None:
    """A rule may name its lock by an input."""
    call = calling("plain", arguments=arguments(env="{{item}}"), withItems=["a", "b"])
    templates: list[JsonValue] = [dag("main", call), leaf("plain", inputs=inputs("env"))]
    added = {"/spec/templates/1": (f"{NAMESPACE}/Mutex/m-{{{{inputs.parameters.env}}}}",)}
    found = held(graph_of({"entrypoint": "main", "templates": templates}, added=added))
    assert found == {"plain[a]": ["Mutex/m-a"], "plain[b]": ["Mutex/m-b"]}


def test_templates_that_others_may_call_have_items_too() -> None:
    """Their loops are written down, whoever calls them."""
    spec: JsonObject = {
        "templates": [
            dag("main", calling("one", arguments=arguments(env="{{item}}"), withItems=["a", "b"])),
            _by_input(),
        ]
    }
    found = held(graph_of(spec, kind=ObjectKind.WORKFLOW_TEMPLATE))
    assert {"one[a]", "one[b]"} <= set(found)
