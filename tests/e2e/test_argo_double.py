"""The double of Argo's controller keeps the rules that other tests rely on; in memory, so always run.

The figures are those of the real controller, seen in Argo 4.1.2: texts, labels, what the first PUT changes.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from policy.cluster.protocol import (
    CLUSTER_WORKFLOW_TEMPLATES,
    WORKFLOW_TEMPLATES,
    WORKFLOWS,
)
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject, JsonValue
from tests.e2e.argo.executing import NotMadeError, executors
from tests.e2e.argo.expressions import filled
from tests.e2e.argo.playing import (
    NAMESPACE,
    TASK,
    Field,
    container,
    controlled,
    json_of,
    making,
    memory,
)
from tests.e2e.argo.pods import PODS
from tests.e2e.argo.shapes import Phase, read_workflow
from tests.e2e.product import until


@pytest.fixture
def field() -> Iterator[Field]:
    """Give an empty cluster."""
    with memory() as made:
        yield made


@pytest.fixture
def with_pods(field: Field) -> Iterator[list[str]]:
    """Run the double; the test is the kubelet."""
    with controlled(field) as said:
        yield said


@pytest.fixture
def without_pods(field: Field) -> Iterator[list[str]]:
    """Run the double, with tasks that finish by themselves."""
    with controlled(field, finish_after=TASK) as said:
        yield said


def parameters(value: JsonValue) -> JsonObject:
    """Return arguments with one parameter."""
    return {"parameters": [{"name": "n", "value": value}]}


@pytest.mark.usefixtures("without_pods")
def test_a_held_workflow_stays_untouched(field: Field) -> None:
    """The hold label keeps it away; once that is gone the Workflow runs, from then on."""
    field.submit("held", held=True)
    before = field.object("held")
    field.submit("other")
    field.becomes("other", Phase.SUCCEEDED)
    assert field.object("held") == before
    field.patch("held", metadata={"labels": {well_known.INSTANCE_ID: None}})
    assert field.becomes("held", Phase.SUCCEEDED).status.started_at is not None


@pytest.mark.usefixtures("without_pods")
def test_a_status_that_the_holder_left_is_taken_over(field: Field) -> None:
    """Its phase and message are those of the queue, and are gone when it runs."""
    field.submit("held", held=True)
    field.patch("held", status={"phase": "Pending", "message": "queued by lockkeeper: position 1 of 1"})
    field.patch("held", metadata={"labels": {well_known.INSTANCE_ID: None}})
    field.becomes("held", Phase.SUCCEEDED)


def test_what_it_cannot_decode_it_leaves_alone(field: Field, without_pods: list[str]) -> None:
    """And says so; the others run."""
    field.submit("odd", parallelism=1, priority="high")
    field.submit("even")
    field.becomes("even", Phase.SUCCEEDED)
    assert "status" not in field.object("odd")
    assert any("Expected `int | null`, got `str`" in line for line in without_pods)


@pytest.mark.usefixtures("without_pods")
def test_a_retried_workflow_runs_again(field: Field) -> None:
    """Retry is an update that takes the completed label and the phase away."""
    field.submit("again")
    first = field.becomes("again", Phase.SUCCEEDED)
    status = {**json_of(first.status), "nodes": None, "phase": None, "finishedAt": None}
    field.patch("again", metadata={"labels": {well_known.COMPLETED: None}}, status=status)
    second = field.becomes("again", Phase.SUCCEEDED)
    assert second.status.started_at == first.status.started_at
    assert second.is_completed


def test_with_an_instance_id_it_sees_those_alone(field: Field) -> None:
    """Installations with several controllers part them so."""
    field.submit("theirs", held=True)
    field.submit("nobodys")
    with controlled(field, finish_after=TASK, instance_id=well_known.HOLD_VALUE):
        field.becomes("theirs", Phase.SUCCEEDED)
    assert "status" not in field.object("nobodys")


def test_the_first_put_writes_the_spec_anew(field: Field) -> None:
    """Whoever compares specs at an update has to see through this."""
    call: JsonObject = {"name": "one", "template": "leaf"}
    steps: JsonObject = {"name": "main", "steps": [[{**call, "arguments": parameters(5)}]]}
    leaf: JsonObject = {"name": "leaf", "script": {"image": "python", "source": "1"}}
    field.submit("new", steps, {**leaf, "synchronization": {"mutex": {"name": "lost"}}})
    with controlled(field):
        until(lambda: "status" in field.object("new"), "it is not taken up")
    empty: JsonObject = {"inputs": {}, "outputs": {}, "metadata": {}}
    script: JsonObject = {"image": "python", "source": "1", "name": "", "resources": {}}
    templates: list[JsonValue] = [
        {**empty, "name": "main", "steps": [[{**call, "arguments": parameters("5")}]]},
        {**empty, "name": "leaf", "script": script, "synchronization": {}},
    ]
    assert field.object("new")["spec"] == {"entrypoint": "main", "arguments": {}, "templates": templates}
    metadata = field.workflow("new").metadata
    assert metadata.labels == {well_known.PHASE: "Running", well_known.COMPLETED: "false"}
    assert metadata.annotations == {"workflows.argoproj.io/pod-name-format": "v2"}


@pytest.mark.usefixtures("with_pods")
def test_it_completes_when_its_pod_has_succeeded(field: Field) -> None:
    """The Pod is owned by the Workflow, labelled, and labelled as done with at the end."""
    field.submit("one")
    pod = field.pod("one")
    metadata = pod["metadata"]
    assert isinstance(metadata, dict)
    assert metadata["labels"] == {"workflows.argoproj.io/workflow": "one", well_known.COMPLETED: "false"}
    assert pod["spec"] == {
        "restartPolicy": "Never",
        "containers": [{"name": "main", "image": "busybox", "command": ["true"]}],
    }
    field.play("one", "Running")
    field.becomes("one", Phase.RUNNING)
    field.play("one", "Succeeded")
    done = field.becomes("one", Phase.SUCCEEDED)
    assert done.is_completed
    assert done.status.finished_at is not None
    until(
        lambda: field.pods()["one"].metadata.labels[well_known.COMPLETED] == "true", "the Pod is not labelled"
    )
    field.cluster.delete(WORKFLOWS, "one", namespace=NAMESPACE)
    until(lambda: not field.pods(), "the Pod outlives its owner")


@pytest.mark.usefixtures("with_pods")
def test_a_pod_that_fails_fails_it(field: Field) -> None:
    """There are no retries."""
    field.submit("bad")
    field.pod("bad")
    field.play("bad", "Failed")
    node = next(iter(field.workflow("bad").status.nodes), "")
    until(lambda: field.workflow("bad").is_completed, "it does not end")
    assert field.workflow("bad").status.phase is Phase.FAILED
    assert node in field.workflow("bad").status.message


@pytest.mark.usefixtures("with_pods")
def test_a_pod_that_is_deleted_is_an_error(field: Field) -> None:
    """As when a node is drained."""
    field.submit("gone")
    field.pod("gone")
    until(lambda: field.workflow("gone").status.phase is Phase.RUNNING, "it does not run")
    field.cluster.delete(PODS, "gone", namespace=NAMESPACE)
    until(lambda: field.workflow("gone").status.phase is Phase.ERROR, "nobody noticed")
    (node,) = field.workflow("gone").status.nodes.values()
    assert node.message == "pod deleted"


@pytest.mark.usefixtures("with_pods")
def test_calls_are_made_once_in_order(field: Field) -> None:
    """Through steps, DAGs and other objects' templates; one that calls itself is not entered again."""
    for resource in (WORKFLOW_TEMPLATES, CLUSTER_WORKFLOW_TEMPLATES):
        field.create(resource, "library", spec={"templates": [container("far")]})
    far: JsonObject = {"name": "library", "template": "far"}
    tasks: list[JsonValue] = [
        {"name": "a", "template": "leaf"},
        {"name": "b", "template": "main"},
        {"name": "c", "templateRef": far, "dependencies": ["a"]},
        {"name": "d", "templateRef": {**far, "clusterScope": True}, "depends": "a && c.Succeeded"},
    ]
    main: JsonObject = {"name": "main", "steps": [[{"name": "x", "template": "inner"}]]}
    field.submit("tree", main, {"name": "inner", "dag": {"tasks": tasks}}, container("leaf"))
    order: list[str] = []
    for _ in range(3):
        until(lambda: len(field.pods()) > len(order), "no further Pod")
        (name,) = set(field.pods()) - set(order)
        order.append(name)
        assert set(field.pods()) == set(order), "one at a time"
        field.play(name, "Succeeded")
    nodes = field.becomes("tree", Phase.SUCCEEDED).status.nodes.values()
    assert sorted((node.name, node.type) for node in nodes) == [
        ("tree", "Steps"),
        ("tree[0].x", "DAG"),
        ("tree[0].x.a", "Pod"),
        ("tree[0].x.c", "Pod"),
        ("tree[0].x.d", "Pod"),
    ]


@pytest.mark.usefixtures("with_pods")
def test_terminating_ends_its_pods(field: Field) -> None:
    """`argo terminate` and `argo stop` are a patch of the spec."""
    field.submit("long")
    field.pod("long")
    field.patch("long", spec={"shutdown": "Terminate"})
    field.becomes("long", Phase.FAILED, "Stopped with strategy 'Terminate'")
    until(lambda: not field.pods(), "the Pod goes on")


@pytest.mark.usefixtures("with_pods")
def test_others_may_write_at_the_same_time(field: Field) -> None:
    """Every PUT that comes too late is made anew on what is there."""
    field.submit("busy")
    for number in range(50):
        field.patch("busy", metadata={"annotations": {"count": str(number)}})
    field.play("busy", "Succeeded")
    for number in range(50, 100):
        field.patch("busy", metadata={"annotations": {"count": str(number)}})
    done = field.becomes("busy", Phase.SUCCEEDED)
    assert done.metadata.annotations is not None
    assert done.metadata.annotations["count"] == "99"


@pytest.mark.usefixtures("without_pods")
def test_a_workflow_of_a_template_runs_what_that_says(field: Field) -> None:
    """What is meant is kept in the status, under the name that Argo gives it."""
    template: JsonObject = {"entrypoint": "main", "templates": [container("main")], "priority": 1}
    field.create(WORKFLOW_TEMPLATES, "library", spec=template)
    field.create(WORKFLOWS, "user", spec={"workflowTemplateRef": {"name": "library"}, "priority": 2})
    done = field.becomes("user", Phase.SUCCEEDED)
    assert done.status.stored_workflow_template_spec == {**template, "priority": 2}


@pytest.mark.usefixtures("without_pods")
def test_a_template_that_is_nowhere_is_an_error(field: Field) -> None:
    """The text is Argo's."""
    call: JsonObject = {"name": "x", "templateRef": {"name": "nowhere", "template": "y"}}
    field.submit("lost", {"name": "main", "steps": [[call]]})
    field.becomes("lost", Phase.ERROR, 'workflowtemplates.argoproj.io "nowhere" not found')
    field.submit("void", entrypoint="nothing")
    field.becomes("void", Phase.ERROR, "invalid spec: template name 'nothing' undefined")


@pytest.mark.usefixtures("without_pods")
def test_a_suspended_workflow_runs_and_does_nothing(field: Field) -> None:
    """It has started, so its deadline would tick; that is why Lockkeeper holds by a label.

    Nor does it end when it is told to: as Argo, it looks at that after whether it is suspended.
    """
    field.submit("waits", suspend=True)
    assert field.becomes("waits", Phase.RUNNING).status.nodes == {}
    field.patch("waits", spec={"shutdown": "Terminate"})
    field.submit("later")
    field.becomes("later", Phase.SUCCEEDED)
    assert field.workflow("waits").status.phase is Phase.RUNNING
    field.patch("waits", spec={"shutdown": None})
    field.patch("waits", spec={"suspend": None})
    field.becomes("waits", Phase.SUCCEEDED)


@pytest.mark.usefixtures("without_pods")
def test_one_that_was_ended_while_held_never_runs(field: Field) -> None:
    """It fails as soon as it is let go."""
    field.submit("held", held=True, shutdown="Stop")
    field.patch("held", metadata={"labels": {well_known.INSTANCE_ID: None}})
    assert field.becomes("held", Phase.FAILED, "Stopped with strategy 'Stop'").status.nodes == {}


@pytest.mark.usefixtures("with_pods")
def test_tasks_without_dependencies_run_side_by_side(field: Field) -> None:
    """Those that depend on them follow when all are done."""
    tasks: list[JsonValue] = [{"name": name, "template": "leaf"} for name in ("a", "b")]
    tasks.append({"name": "c", "template": "leaf", "depends": "a && b"})
    field.submit("wide", {"name": "main", "dag": {"tasks": tasks}}, container("leaf"))
    until(lambda: len(field.pods()) == 2, "they do not run side by side")
    first, second = field.pods()
    field.play(first, "Succeeded")
    until(lambda: _phases(field, "wide").count(Phase.SUCCEEDED) == 1, "its end is not seen")
    assert len(field.pods()) == 2
    field.play(second, "Succeeded")
    until(lambda: len(field.pods()) == 3, "the last does not follow")
    (last,) = set(field.pods()) - {first, second}
    field.play(last, "Succeeded")
    field.becomes("wide", Phase.SUCCEEDED)


def _phases(field: Field, name: str) -> list[Phase]:
    return [node.phase for node in field.workflow(name).status.nodes.values()]


def test_conditions_parameters_and_items_are_filled_in(field: Field, without_pods: list[str]) -> None:
    """As far as conditional locks need them."""
    given: JsonObject = {"parameters": [{"name": "p", "value": "{{item}}-{{workflow.parameters.env}}"}]}
    yes = "{{= workflow.parameters.env != 'dev' }}"
    tasks: list[JsonValue] = [
        {"name": "each", "template": "leaf", "withItems": ["x", "y"], "arguments": given},
        {"name": "no", "template": "leaf", "when": "'{{workflow.parameters.env}}' == 'dev'"},
        {"name": "after", "template": "leaf", "depends": "no.Succeeded"},
        {"name": "yes", "template": "leaf", "depends": "no", "when": yes},
    ]
    leaf = container("leaf", inputs={"parameters": [{"name": "p", "default": "none"}]})
    arguments: JsonObject = {"parameters": [{"name": "env", "value": "prod"}]}
    field.submit("all", {"name": "main", "dag": {"tasks": tasks}}, leaf, arguments=arguments)
    nodes = field.becomes("all", Phase.SUCCEEDED).status.nodes.values()
    assert {node.name: node.phase for node in nodes} == {
        "all": Phase.SUCCEEDED,
        "all.each(0:x)": Phase.SUCCEEDED,
        "all.each(1:y)": Phase.SUCCEEDED,
        "all.no": Phase.SKIPPED,
        "all.after": Phase.OMITTED,
        "all.yes": Phase.SUCCEEDED,
    }
    assert without_pods == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("workflow.parameters.env == 'prod' ? 'db' : 'unlimited'", "db"),
        ("workflow.parameters['env'] == 'dev' || !(1 < 2) ? 'db' : 'unlimited'", "unlimited"),
        ("inputs.parameters.n >= 3 && true", "true"),
    ],
)
def test_expressions_are_evaluated(text: str, value: str) -> None:
    """What is not known stays as it stands."""
    values = {"workflow.parameters.env": "prod", "inputs.parameters.n": "10"}
    assert filled(f"a {{{{={text}}}}} b", values) == f"a {value} b"
    unknown = "{{=sprig.upper('x')}} {{inputs.parameters.m}}"
    assert filled(unknown, values) == unknown


@pytest.mark.usefixtures("with_pods")
def test_a_resource_template_makes_a_workflow_and_waits_for_it(field: Field) -> None:
    """The executor makes it as the account of its Pod, and owned by the Workflow that the step is of."""
    users: list[str] = []

    def create(obj: JsonObject, namespace: str, user: str) -> str:
        users.append(user)
        return read_workflow(field.cluster.create(WORKFLOWS, obj, namespace=namespace)).metadata.name

    manifest: JsonObject = {
        "apiVersion": WORKFLOWS.api_version,
        "kind": WORKFLOWS.kind,
        "metadata": {"name": "child"},
        "spec": {"entrypoint": "main", "templates": [container("main")]},
    }
    with executors(field.cluster, create, subresource="") as said:
        field.submit("parent", making("main", manifest), serviceAccountName="runner")
        field.play("parent", "Running")
        field.play("child", "Running")
        field.becomes("parent", Phase.RUNNING)
        field.play("child", "Succeeded")
        field.becomes("parent", Phase.SUCCEEDED)
    assert said == []
    assert users == [f"system:serviceaccount:{NAMESPACE}:runner"]
    metadata = field.object("child")["metadata"]
    assert isinstance(metadata, dict)
    owner: JsonObject = {
        "apiVersion": WORKFLOWS.api_version,
        "kind": WORKFLOWS.kind,
        "name": "parent",
        "uid": field.workflow("parent").metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    assert metadata["ownerReferences"] == [owner]


@pytest.mark.usefixtures("with_pods")
def test_a_resource_template_fails_with_what_it_cannot_make(field: Field) -> None:
    """As `argoexec` does, which tries again only what may pass by itself."""

    def create(*_: object) -> str:
        raise NotMadeError("denied")

    with executors(field.cluster, create, subresource="") as said:
        field.submit("parent", making("main", {"metadata": {"name": "child"}}))
        field.play("parent", "Running")
        until(lambda: field.workflow("parent").status.phase is Phase.FAILED, "it does not fail")
    assert said == [f"{NAMESPACE}/parent: denied"]


@pytest.mark.usefixtures("without_pods")
def test_every_example_of_argo_comes_to_an_end(field: Field, corpus: Path) -> None:
    """Whatever real users write, the double neither stops over it nor forgets it."""
    kinds = {each.kind: each for each in (WORKFLOW_TEMPLATES, CLUSTER_WORKFLOW_TEMPLATES, WORKFLOWS)}
    manifests = [
        document
        for file in (corpus / "examples").rglob("*.yaml")
        for document in yaml.load_all(file.read_bytes(), Loader=yaml.CSafeLoader)
        if document is not None and _is_named(document["metadata"])
    ]
    for kind, resource in kinds.items():
        for manifest in manifests:
            if manifest["kind"] == kind:
                namespace = NAMESPACE if resource.namespaced else ""
                field.cluster.create(resource, manifest, namespace=namespace)
    unfinished = f"{well_known.COMPLETED}!=true"
    until(lambda: not field.cluster.list(WORKFLOWS, labels=unfinished).items, "some never end")
    assert len(field.cluster.list(WORKFLOWS).items) > 190


def _is_named(metadata: JsonObject) -> bool:
    return "name" in metadata or "generateName" in metadata
