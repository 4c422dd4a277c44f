"""References that lead nowhere are found wherever they are written, and what exists is not called missing."""

from typing import Final

import pytest

from policy.core.lock_graph.run_sources import template_owner
from policy.core.lock_graph.unknown_references import Missing, UnknownReference, unknown_references
from policy.core.lock_model.template_bodies import all_bodies
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.template_keys import ObjectKind
from policy.core.policies.snapshot import Document
from tests.policy.core.builders import NAMESPACE, snapshot, spec_of, template_object
from tests.policy.core.lock_graph.graphs import calling, calling_other, dag, leaf, steps

SHARED: Final = template_object(
    "shared", {"entrypoint": "gone-too", "templates": [leaf("part"), dag("whole", calling("lost"))]}
)
OWN: Final = 'template "x" of Workflow it'
THEIRS: Final = 'template "x" of WorkflowTemplate shared'


def _unknown(
    spec: JsonObject,
    *documents: Document,
    kind: ObjectKind = ObjectKind.WORKFLOW,
    namespace: str = NAMESPACE,
) -> list[UnknownReference]:
    read = spec_of(spec)
    find = snapshot(SHARED, *documents).library.find(namespace)
    return list(unknown_references(template_owner(kind, "it", read), all_bodies(read), find, namespace))


def _main(*tasks: JsonObject, **more: JsonValue) -> JsonObject:
    return {"entrypoint": "m", "templates": [dag("m", *tasks), leaf("t")], **more}


def _inline(template: JsonObject) -> JsonObject:
    return {"name": "in", "inline": template}


@pytest.mark.parametrize(
    ("spec", "pointer", "what", "missing"),
    [
        ({"entrypoint": "x"}, "/spec/entrypoint", OWN, Missing.NAME),
        ({"onExit": "x"}, "/spec/onExit", OWN, Missing.NAME),
        ({"hooks": {"a/b": {"template": "x"}}}, "/spec/hooks/a~1b/template", OWN, Missing.NAME),
        (_main(calling("x")), "/spec/templates/0/dag/tasks/0/template", OWN, Missing.NAME),
        (_main(calling("t", onExit="x")), "/spec/templates/0/dag/tasks/0/onExit", OWN, Missing.NAME),
        (
            _main(calling("t", hooks={"late": {"template": "x", "expression": "true"}})),
            "/spec/templates/0/dag/tasks/0/hooks/late/template",
            OWN,
            Missing.NAME,
        ),
        (
            _main(_inline({"steps": [[calling("x")]]})),
            "/spec/templates/0/dag/tasks/0/inline/steps/0/0/template",
            OWN,
            Missing.NAME,
        ),
        (
            {"entrypoint": "t", "templates": [leaf("t"), steps("never-called", [calling("x")])]},
            "/spec/templates/1/steps/0/0/template",
            OWN,
            Missing.NAME,
        ),
        (
            {"entrypoint": "m", "templates": [steps("m", [calling_other("shared", "x")])]},
            "/spec/templates/0/steps/0/0/templateRef/template",
            THEIRS,
            Missing.TEMPLATE,
        ),
        (
            {"hooks": {"exit": {"templateRef": {"name": "shared", "template": "x"}}}},
            "/spec/hooks/exit/templateRef/template",
            THEIRS,
            Missing.TEMPLATE,
        ),
        (
            _main(calling_other("gone", "x", cluster=True)),
            "/spec/templates/0/dag/tasks/0/templateRef",
            "ClusterWorkflowTemplate gone",
            Missing.OBJECT,
        ),
        (
            _main(calling_other("shared", "part", cluster=True)),
            "/spec/templates/0/dag/tasks/0/templateRef",
            "ClusterWorkflowTemplate shared",
            Missing.OBJECT,
        ),
        (
            {"workflowTemplateRef": {"name": "gone"}, "entrypoint": "x", "onExit": "y"},
            "/spec/workflowTemplateRef",
            "WorkflowTemplate gone",
            Missing.OBJECT,
        ),
        (
            {"workflowTemplateRef": {"name": "shared"}, "entrypoint": "x"},
            "/spec/entrypoint",
            THEIRS,
            Missing.TEMPLATE,
        ),
        (
            {"workflowTemplateRef": {"name": "shared"}, "onExit": "x"},
            "/spec/onExit",
            THEIRS,
            Missing.TEMPLATE,
        ),
    ],
)
def test_what_does_not_exist_is_found_where_it_is_written(
    spec: JsonObject, pointer: str, what: str, missing: Missing
) -> None:
    """And what is missing: a name of the object itself, a template of another one, or that object."""
    (unknown,) = _unknown(spec)
    assert (unknown.pointer, unknown.what, unknown.missing) == (pointer, what, missing)


@pytest.mark.parametrize("kind", [ObjectKind.WORKFLOW_TEMPLATE, ObjectKind.CLUSTER_WORKFLOW_TEMPLATE])
def test_a_template_object_is_told_of_its_own_first_and_last_template(kind: ObjectKind) -> None:
    """It is what every Workflow of it would run."""
    spec: JsonObject = {
        "entrypoint": "mian",
        "onExit": "nope",
        "hooks": {"exit": {"template": "bye"}},
        "templates": [leaf("main")],
    }
    found = [each.pointer for each in _unknown(spec, kind=kind)]
    assert found == ["/spec/entrypoint", "/spec/onExit", "/spec/hooks/exit/template"]
    assert _unknown({"templates": [leaf("main")]}, kind=kind) == []


@pytest.mark.parametrize(
    ("tasks", "found"),
    [
        ([calling("t", "a"), calling("t", "b", dependencies=["a", "aa"])], ["1/dependencies/1: aa"]),
        ([calling("t", "a"), calling("t", "b", depends="a.Succeeded && !c.Failed || (d)")],
         ["1/depends: c", "1/depends: d"]),
        ([calling("t", "a"), calling("t", "b", depends="a&&a.Skipped||!a.Failed")], []),
        ([calling("t", "a-1"), calling("t", "b", depends="(a-1.AnySucceeded)")], []),
        ([calling("t", "b", dependencies=["{{x}}"]), calling("t", "c", depends="{{y}}.Succeeded")], []),
        ([calling("t", "b", depends="b and a.Succeeded")], ["0/depends: and", "0/depends: a"]),
    ],
)  # fmt: skip
def test_tasks_wait_only_for_tasks_of_their_dag(tasks: list[JsonObject], found: list[str]) -> None:
    """By `dependencies` and in any `depends`; names that only the run has are not judged."""
    start = "/spec/templates/0/dag/tasks/"
    unknown = _unknown(_main(*tasks))
    assert [f"{each.pointer.removeprefix(start)}: {each.name}" for each in unknown] == found
    assert {each.missing for each in unknown} <= {Missing.NAME}


@pytest.mark.parametrize(("target", "found"), [("a", []), ("a b", ["b"]), ("{{inputs.parameters.of}}", [])])
def test_the_target_of_a_dag_is_one_of_its_tasks(target: str, found: list[str]) -> None:
    """Several have blanks between them."""
    body: JsonObject = {"name": "m", "dag": {"target": target, "tasks": [calling("t", "a")]}}
    unknown = _unknown({"entrypoint": "m", "templates": [body, leaf("t")]})
    assert [(each.pointer, each.name) for each in unknown] == [
        ("/spec/templates/0/dag/target", name) for name in found
    ]


def test_names_that_only_the_run_gives_are_not_called_unknown() -> None:
    """A parameterised name may be anything."""
    tasks: list[JsonObject] = [
        calling("{{item}}"),
        calling_other("{{x}}", "y"),
        calling_other("shared", "{{y}}"),
        {"name": "none"},
    ]
    assert _unknown(_main(*tasks, onExit="{{workflow.parameters.last}}")) == []
    assert _unknown({"workflowTemplateRef": {"name": "{{x}}"}, "entrypoint": "x"}) == []


def test_names_of_a_run_are_those_of_the_template_that_it_refers_to() -> None:
    """The Workflow has no templates itself, and what the template lacks is for its own review to tell."""
    spec: JsonObject = {"workflowTemplateRef": {"name": "shared"}, "onExit": "part"}
    assert _unknown(spec) == []
    assert _unknown({**spec, "entrypoint": "whole", "hooks": {"exit": {"template": "part"}}}) == []


def test_a_template_object_may_refer_to_itself_before_it_is_stored() -> None:
    """As it is about to be stored: by then the new template is there, and the old one is not."""
    other = template_object("it", {"templates": [leaf("before")]})

    def spec(called: str) -> JsonObject:
        return {"templates": [steps("m", [calling_other("it", called)]), leaf("after")]}

    assert _unknown(spec("after"), kind=ObjectKind.WORKFLOW_TEMPLATE) == []
    (unknown,) = _unknown(spec("before"), other, kind=ObjectKind.WORKFLOW_TEMPLATE)
    assert (unknown.name, unknown.missing) == ("before", Missing.NAME)


def test_what_a_cluster_template_refers_to_in_namespaces_is_not_judged() -> None:
    """It is used in many of them."""
    spec: JsonObject = {"templates": [steps("m", [calling_other("shared", "x")], [calling_other("no", "x")])]}
    assert _unknown(spec, kind=ObjectKind.CLUSTER_WORKFLOW_TEMPLATE, namespace="") == []


def test_the_containers_of_a_set_wait_only_for_others_of_it() -> None:
    """Argo validates them as it does the tasks of a DAG."""
    nodes: list[JsonValue] = [
        {"name": "a", "image": "x"},
        {"name": "b", "image": "x", "dependencies": ["a", "aa"]},
        {"name": "c", "image": "x", "dependencies": ["{{inputs.parameters.x}}"]},
    ]
    body: JsonObject = {"containerSet": {"containers": nodes}}
    inline = steps("m", [_inline(body)])
    found = _unknown({"entrypoint": "s", "templates": [{"name": "s", **body}, inline]})
    where = "containerSet/containers/1/dependencies/1"
    assert [(each.pointer, each.what) for each in found] == [
        (f"/spec/templates/0/{where}", 'container "aa" of s'),
        (f"/spec/templates/1/steps/0/0/inline/{where}", 'container "aa"'),
    ]
