"""The graph has every template that a run reaches, each once, with its locks, and reports what is missing."""

import sys
from types import FrameType
from typing import Final

from policy.core.lock_graph.template_graph import MAX_EXTRA_NODES, MAX_VARIANTS
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.template_keys import ObjectKind
from tests.policy.core.builders import NAMESPACE, template_object
from tests.policy.core.lock_graph.graphs import (
    LEAF,
    arguments,
    calling,
    calling_other,
    dag,
    graph_of,
    held,
    inputs,
    leaf,
    mutexes,
    outline,
    steps,
)

SHARED: Final = template_object(
    "shared", {"templates": [dag("work", calling("part")), leaf("part", "a"), leaf("unused")]}
)
EVERYWHERE: Final = template_object(
    "base", {"templates": [leaf("clean", "b")]}, kind="ClusterWorkflowTemplate", namespace=None
)


def test_every_kind_of_call_is_followed() -> None:
    """Entrypoint, exit handler, hooks of run, step and task, steps, tasks, inline, and other objects.

    An exit hook beside an onExit is never run.
    """
    spec: JsonObject = {
        "entrypoint": "main",
        "onExit": "bye",
        "hooks": {"exit": {"template": "a"}, "running": {"template": "b", "expression": "x"}},
        "templates": [
            dag(
                "main",
                calling("work", "t", onExit="bye", hooks={"exit": {"template": "a"}}),
                {"name": "in", "inline": steps("", [calling("b")])},
                calling_other("shared", "work"),
            ),
            steps("work", [calling("a", hooks={"exit": {"template": "b", "expression": "x"}})]),
            leaf("a"),
            leaf("b"),
            leaf("bye"),
            leaf("never"),
        ],
    }
    hooked = calling_other("base", "clean", cluster=True)
    spec["hooks"] = {**dict(spec["hooks"]), "late": {"templateRef": hooked["templateRef"]}}  # type: ignore[arg-type]  # it is a dict
    graph = graph_of(spec, SHARED, EVERYWHERE)
    assert outline(graph) == sorted(
        [
            "run -entrypoint entrypoint-> main",
            "run -exit handler onExit-> bye",
            "run -hook running?-> b",
            "run -hook late?-> base.clean",
            "main -task t-> work",
            "main -exit handler onExit-> bye",
            "main -task in-> /spec/templates/0/dag/tasks/1/inline",
            "/spec/templates/0/dag/tasks/1/inline -step call-b-> b",
            "main -task call-shared-> shared.work",
            "shared.work -task call-part-> shared.part",
            "work -step call-a-> a",
            "work -exit handler exit?-> b",
        ]
    )
    assert held(graph) == {"shared.part": ["Mutex/a"], "base.clean": ["Mutex/b"]}


def test_a_workflow_runs_the_spec_merged_with_its_template() -> None:
    """Names are looked up in the template, own fields win, lists of locks replace those of their kind."""
    base = template_object(
        "base",
        {
            "entrypoint": "first",
            "onExit": "bye",
            "synchronization": {**mutexes("low"), "semaphores": [{"database": {"key": "s"}}]},
            "hooks": {"exit": {"template": "first"}},
            "templates": [leaf("first", "one"), leaf("second"), leaf("bye")],
        },
    )
    spec: JsonObject = {
        "workflowTemplateRef": {"name": "base"},
        "entrypoint": "second",
        "synchronization": mutexes("high"),
        "hooks": {"exit": {"template": "second"}},
    }
    graph = graph_of(spec, base)
    assert outline(graph) == [
        "run -entrypoint entrypoint-> base.second",
        "run -exit handler onExit-> base.bye",
    ]
    assert held(graph) == {"run": ["Database/s", "Mutex/high"]}


def test_template_defaults_reach_every_template_of_the_run() -> None:
    """Those of other objects too; a template's own list of a kind replaces the default one."""
    spec: JsonObject = {
        "entrypoint": "main",
        "templateDefaults": {"synchronization": mutexes("default")},
        "templates": [dag("main", calling_other("shared", "part"), calling("own")), leaf("own", "x")],
    }
    assert held(graph_of(spec, SHARED)) == {
        "main": ["Mutex/default"],
        "shared.part": ["Mutex/a"],
        "own": ["Mutex/x"],
    }


def test_each_template_of_a_template_object_may_be_called() -> None:
    """A reference to it names one; a CronWorkflow runs its entrypoint."""
    spec: JsonObject = {"entrypoint": "a", "templates": [leaf("a"), leaf("b")]}
    graph = graph_of(spec, kind=ObjectKind.WORKFLOW_TEMPLATE)
    assert outline(graph) == ["run -template a-> a", "run -template b-> b"]
    assert outline(graph_of(spec, kind=ObjectKind.CRON_WORKFLOW)) == ["run -entrypoint entrypoint-> a"]


def test_locks_about_to_be_injected_count() -> None:
    """By the pointer of the body in the object under review, each name once."""
    spec: JsonObject = {"entrypoint": "a", "templates": [leaf("a", "x")]}
    added = {"/spec/templates/0": (f"{NAMESPACE}/Mutex/x", f"{NAMESPACE}/Mutex/y")}
    assert held(graph_of(spec, added=added)) == {"a": ["Mutex/x", "Mutex/y"]}


def test_names_that_only_the_run_gives_are_not_followed() -> None:
    """A parameterised name cannot be followed."""
    tasks: list[JsonObject] = [
        calling("{{item}}"),
        calling_other("{{x}}", "y"),
        calling_other("x", "{{y}}"),
        {"name": "none"},
    ]
    graph = graph_of({"entrypoint": "m", "templates": [dag("m", *tasks)]})
    assert [edge.target for edge in graph.nodes[0].calls] == [None] * 4


def test_recursion_ends_by_itself() -> None:
    """Through steps, and between objects that refer to each other."""
    there = template_object("there", {"templates": [dag("ping", calling_other("back", "pong"))]})
    back = template_object("back", {"templates": [dag("pong", calling_other("there", "ping"))]})
    spec: JsonObject = {
        "entrypoint": "m",
        "templates": [steps("m", [calling("m", when="x"), calling_other("there", "ping")])],
    }
    assert outline(graph_of(spec, there, back)) == [
        "back.pong -task call-there-> there.ping",
        "m -step call-m?-> m",
        "m -step call-there-> there.ping",
        "run -entrypoint entrypoint-> m",
        "there.ping -task call-back-> back.pong",
    ]


def _by_input(name: str, lock: str) -> JsonObject:
    return leaf(name, lock, inputs=inputs("db", "other"))


def test_a_name_that_depends_on_an_input_is_followed_down_the_calls() -> None:
    """One node for each value; inputs that no name depends on create none."""
    spec: JsonObject = {
        "entrypoint": "main",
        "arguments": arguments(env="prod"),
        "templates": [
            dag(
                "main",
                calling("mid", "one", arguments=arguments(name="sales", other="1")),
                calling("mid", "two", arguments=arguments(name="stock", other="2")),
                calling("load", "three", arguments=arguments(db="{{workflow.parameters.env}}")),
                calling(
                    "load",
                    "four",
                    arguments=arguments(db="{{item}}"),
                    withParam="{{tasks.one.outputs.result}}",
                ),
            ),
            dag("mid", calling("load", arguments=arguments(db="{{inputs.parameters.name}}", other="x"))),
            _by_input("load", "db-{{inputs.parameters.db}}"),
        ],
    }
    item = "{{item@Workflow it/spec/templates/0/dag/tasks/3}}"
    assert held(graph_of(spec)) == {
        "load[sales]": ["Mutex/db-sales"],
        "load[stock]": ["Mutex/db-stock"],
        "load[prod]": ["Mutex/db-prod"],
        f"load[{item}]": [f"Mutex/db-{item}"],
    }


def test_the_entrypoint_receives_the_arguments_of_the_run_by_name() -> None:
    """Argo hands spec.arguments to the first template; they replace a default of its input."""
    template = leaf("main", "{{inputs.parameters.db}}", inputs=inputs(db="other"))
    spec: JsonObject = {"entrypoint": "main", "arguments": arguments(db="sales"), "templates": [template]}
    assert held(graph_of(spec)) == {"main[sales]": ["Mutex/sales"]}
    assert held(graph_of({**spec, "arguments": {}})) == {"main[other]": ["Mutex/other"]}


def test_the_arguments_of_a_template_object_are_unknown() -> None:
    """Arguments of a template are only proposals, and so are defaults of its inputs."""
    template = leaf("main", "{{inputs.parameters.db}}-{{workflow.parameters.env}}", inputs=inputs(db="d"))
    spec: JsonObject = {"arguments": arguments(env="prod"), "templates": [template]}
    ((name,),) = held(graph_of(spec, kind=ObjectKind.WORKFLOW_TEMPLATE)).values()
    assert name == (
        "Mutex/{{inputs.parameters.db@WorkflowTemplate it/spec/templates/0}}-{{workflow.parameters.env}}"
    )


def test_recursion_that_counts_has_an_end() -> None:
    """Each round has another value; the graph stops distinguishing them."""
    more = arguments(db="{{inputs.parameters.db}}x")
    templates: list[JsonValue] = [
        dag(
            "m",
            calling("m", when="x", arguments=more),
            inputs=inputs("db"),
            mutexes=("{{inputs.parameters.db}}",),
        )
    ]
    graph = graph_of({"entrypoint": "m", "arguments": arguments(db="a"), "templates": templates})
    assert graph.complete
    assert MAX_VARIANTS <= len(graph.nodes) <= MAX_VARIANTS + 2


def _calls_made(count: int) -> int:
    """Return how many functions run while a graph of this many templates is resolved."""
    half = count // 2
    tasks = [calling(f"s{number}") for number in range(half)]
    templates = [
        dag("main", *tasks),
        *(steps(f"s{number}", [calling(f"l{number}"), calling(f"l{number // 2}")]) for number in range(half)),
        *(leaf(f"l{number}", f"m{number}") for number in range(half)),
    ]
    spec: JsonObject = {"entrypoint": "main", "templates": list(templates)}
    made = 0

    def count_call(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal made
        made += event == "call"

    sys.setprofile(count_call)
    try:
        graph = graph_of(spec)
    finally:
        sys.setprofile(None)
    assert len(graph.nodes) == 2 * half + 1
    return made


def test_five_thousand_templates_take_ten_times_the_steps_of_five_hundred() -> None:
    """Steps are counted, not seconds: the graph is linear in what is written."""
    assert _calls_made(5_000) <= 10.5 * _calls_made(500)


def test_a_chain_of_five_thousand_calls_is_followed_to_its_end() -> None:
    """The walk does not recurse."""
    chain = [dag(f"t{number}", calling(f"t{number + 1}")) for number in range(5_000)]
    spec: JsonObject = {"entrypoint": "t0", "templates": [*chain, {"name": "t5000", **LEAF}]}
    assert len(graph_of(spec).nodes) == 5_001


def test_a_small_object_has_no_large_graph() -> None:
    """Values that differ in every call are followed up to a bound over all bodies together."""
    count = 60
    made: list[JsonValue] = [
        steps(
            f"t{number}",
            [
                calling(
                    f"t{number + step}",
                    f"s{step}",
                    arguments=arguments(x=f"{{{{inputs.parameters.x}}}}{step}"),
                )
                for step in (1, 2, 3)
            ],
            inputs=inputs("x"),
            synchronization=mutexes("lock-{{inputs.parameters.x}}"),
        )
        for number in range(count)
    ]
    graph = graph_of({"entrypoint": "t0", "templates": made, "arguments": arguments(x="v")})
    bodies, nodes = len({node.pointer for node in graph.nodes}), len(graph.nodes)
    assert bodies == count
    assert nodes <= count + MAX_EXTRA_NODES + 3 * count  # Beyond the bound each call has one node.
