"""The conditions under which the API server asks about a Workflow, as the chart registers them.

No webhook answers here and failurePolicy is Fail, so a write that is asked about is refused, and says so.
"""

import re
from collections.abc import Iterator
from threading import Event
from time import monotonic
from typing import Final

import msgspec
import pytest

from policy.cluster.errors import ClusterError, Unavailable
from policy.cluster.protocol import (
    CLUSTER_WORKFLOW_TEMPLATES,
    CRON_WORKFLOWS,
    NAMESPACES,
    WORKFLOW_TEMPLATES,
    WORKFLOWS,
    MergePatch,
    Patch,
    Resource,
)
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject, JsonValue
from tests.e2e.argo.installing import ACCOUNT
from tests.e2e.charted import GOVERNED, NAMESPACE, RELEASE, Release, Site, chart_site
from tests.e2e.helm import VERSIONS
from tests.patience import PATIENCE

pytestmark = pytest.mark.e2e

ASKED: Final = 'failed calling webhook "validate.lockkeeper.dev"'
NODES: Final[JsonObject] = {
    f"node-{number}": {"phase": "Running", "message": "m" * 200} for number in range(2_000)
}
"""Half a megabyte; Argo compresses only beyond one."""
TEMPLATES: Final[list[JsonValue]] = [
    {"name": f"step-{number}", "container": {"image": "i" * 200, "args": ["a" * 100] * 3}}
    for number in range(500)
]
STORED: Final[JsonObject] = {"templates": [{"name": "main"}]}
STAYING: Final = (
    *(well_known.CRON_WORKFLOW, well_known.CREATOR, well_known.CREATOR_EMAIL, well_known.CREATOR_NAME),
    "workflows.argoproj.io/workflow-template",
    "workflows.argoproj.io/cluster-workflow-template",
    "workflows.argoproj.io/resubmitted-from-workflow",
    "workflows.argoproj.io/workflow-event-binding",
)
"""Labels of Argo's that stay as they are while a Workflow runs: a policy may select by them."""
ENDING: Final = "deleted-and-kept"


def labels(**values: str | None) -> JsonObject:
    """Return metadata with our marks and Argo's as labels."""
    names = {
        "hold": well_known.INSTANCE_ID,
        "completed": well_known.COMPLETED,
        "phase": well_known.PHASE,
        "reservation": well_known.RESERVATION,
    }
    return {"metadata": {"labels": {names[name]: value for name, value in values.items()}}}


ARGOS: Final[dict[str, tuple[JsonObject, JsonObject]]] = {
    "Argo writes progress": ({}, {"status": {"phase": "Running", "nodes": {"a": {"phase": "Running"}}}}),
    "Argo writes half a megabyte of it": ({"spec": {"templates": TEMPLATES}}, {"status": {"nodes": NODES}}),
    "Argo stores what it runs": (
        {},
        {"status": {"storedTemplates": {"a": {}}, "storedWorkflowTemplateSpec": STORED}},
    ),
    "Argo writes a spec in its own spelling": (
        {"spec": {"templates": TEMPLATES}},
        {"spec": {"arguments": {}, "templates": [*TEMPLATES, {"name": "last", "inputs": {}}]}},
    ),
    "Argo marks it as finished": (
        {},
        {**labels(completed="true", phase="Succeeded"), "status": {"phase": "Succeeded"}},
    ),
}
"""Likewise, of Argo's controller alone."""

ARGOS_TOLD: Final[dict[str, tuple[JsonObject, JsonObject]]] = {
    "Argo is told to hide it": ({}, labels(hold="nobody")),
    "Argo is told that it is finished": (labels(completed="false"), labels(completed="true")),
    "Argo is told to label it": ({}, {"metadata": {"labels": {"team": "a"}}}),
    "Argo is told to move it by a label of its own": (
        {"metadata": {"labels": {well_known.CRON_WORKFLOW: "a"}}},
        {"metadata": {"labels": {well_known.CRON_WORKFLOW: "b"}}},
    ),
    "Argo makes it run again": (
        {**labels(completed="true", phase="Failed"), "status": {"phase": "Failed"}},
        {**labels(completed=None, phase="Running"), "status": {"phase": "Running"}},
    ),
    "Argo is told to weigh it": ({}, {"metadata": {"annotations": {well_known.TASKS: "0"}}}),
}
"""What spec.workflowMetadata can make it write, and a retry that it might come to carry out itself."""

QUIET: Final[dict[str, tuple[JsonObject, JsonObject]]] = {
    "nothing changes": ({}, {}),
    **{
        f"Argo's label {key} changes": ({}, {"metadata": {"labels": {key: "other"}}})
        for key in sorted(well_known.CHANGING - {well_known.COMPLETED})
    },
    "an annotation of the user": ({}, {"metadata": {"annotations": {"note": "a"}}}),
    "a finalizer": ({}, {"metadata": {"finalizers": ["example.com/done"]}}),
    "it is stopped": ({}, {"spec": {"shutdown": "Stop"}}),
    "a stop becomes a termination": ({"spec": {"shutdown": "Stop"}}, {"spec": {"shutdown": "Terminate"}}),
    "it is suspended": ({}, {"spec": {"suspend": True}}),
    "it goes on": ({"spec": {"suspend": True}}, {"spec": {"suspend": None}}),
}
"""What was there besides an entry point, and the merge patch that nobody is asked about."""

TOLD: Final[dict[str, tuple[JsonObject, JsonObject]]] = {
    "a field of the spec is new": ({}, {"spec": {"parallelism": 3}}),
    "a field of the spec goes away": ({"spec": {"parallelism": 3}}, {"spec": {"parallelism": None}}),
    "something deep in the spec changes": (
        {"spec": {"arguments": {"parameters": [{"name": "a", "value": "1"}]}}},
        {"spec": {"arguments": {"parameters": [{"name": "a", "value": "2"}]}}},
    ),
    "a stop that Argo cannot decode": ({}, {"spec": {"shutdown": 5}}),
    "a pause that Argo cannot decode": ({}, {"spec": {"suspend": "yes"}}),
    "a stop hides another change": ({}, {"spec": {"shutdown": "Stop", "parallelism": 3}}),
    "the completed label goes away": (labels(completed="true"), labels(completed=None)),
    "the completed label says otherwise": (labels(completed="true"), labels(completed="false")),
    "it is said to be finished": ({}, labels(completed="true")),
    "a label that a policy may select by": ({}, {"metadata": {"labels": {"team": "a"}}}),
    **{
        f"Argo's label {key} goes away": (
            {"metadata": {"labels": {key: "a"}}},
            {"metadata": {"labels": {key: None}}},
        )
        for key in STAYING
    },
    **{f"Argo's label {key} is new": ({}, {"metadata": {"labels": {key: "a"}}}) for key in STAYING},
    "the labels go away": (labels(reservation="mine"), {"metadata": {"labels": None}}),
    "a status that is not Argo's": ({}, {"status": {"phase": "Succeeded"}}),
    "the status goes away": ({"status": {"phase": "Running"}}, {"status": None}),
    "a mark that is not known yet": ({}, {"metadata": {"annotations": {"lockkeeper.dev/new": "1"}}}),
    "the hold goes away": (labels(hold=well_known.HOLD_VALUE), labels(hold=None)),
    "the hold is replaced by another instance id": (labels(hold=well_known.HOLD_VALUE), labels(hold="prod")),
    "a reservation is claimed": ({}, labels(reservation="stolen")),
    **{
        f"the mark {mark} changes": ({}, {"metadata": {"annotations": {mark: "1"}}})
        for mark in (
            well_known.ORIGINAL_INSTANCE_ID,
            well_known.HOLDS,
            well_known.TASKS,
            well_known.PRIORITY,
            well_known.USER,
        )
    },
    "a stored spec is slipped in": ({}, {"status": {"storedWorkflowTemplateSpec": STORED}}),
    "a stored template changes": (
        {"status": {"storedTemplates": {"a": {"name": "a"}}}},
        {"status": {"storedTemplates": {"a": {"name": "b"}}}},
    ),
}
"""Likewise, and it is asked about."""

OTHERS: Final = (WORKFLOW_TEMPLATES, CLUSTER_WORKFLOW_TEMPLATES, CRON_WORKFLOWS)
"""What else people write, and what a Workflow comes from."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Give a control plane with the chart on it, and the Workflows below from before."""
    with chart_site(tmp_path_factory.mktemp("site")) as site:
        for what, (before, _) in (QUIET | TOLD | ARGOS | ARGOS_TOLD).items():
            add(site, name_of(what), before)
        add(site, ENDING, {"metadata": {"finalizers": ["example.com/a"]}})
        site.cluster.delete(WORKFLOWS, ENDING, namespace=GOVERNED)
        for resource in OTHERS:
            add_other(site, resource, "before")
        Release(site.helm(VERSIONS[-1])).install()
        deadline = monotonic() + PATIENCE
        while not refused(site, name_of("nothing changes"), MergePatch({"spec": {"probe": "a"}})):
            assert monotonic() < deadline, "the webhooks are not in force"
            Event().wait(0.05)
        yield site


def name_of(what: str) -> str:
    """Return the name of the Workflow of a case."""
    return re.sub(r"[^a-z0-9]+", "-", what.lower())


def add(site: Site, name: str, content: JsonObject) -> JsonObject:
    """Create a Workflow of this name with this content, and return it."""
    spec, metadata = content.get("spec", {}), content.get("metadata", {})
    assert isinstance(spec, dict)
    assert isinstance(metadata, dict)
    workflow: JsonObject = {
        "apiVersion": WORKFLOWS.api_version,
        "kind": WORKFLOWS.kind,
        **content,
        "metadata": {"name": name, **metadata},
        "spec": {"entrypoint": "main", **spec},
    }
    return site.cluster.create(WORKFLOWS, workflow, namespace=GOVERNED)


def add_other(site: Site, resource: Resource, name: str) -> None:
    """Create a template or a CronWorkflow of this name."""
    spec: JsonObject = {"entrypoint": "main"}
    if resource == CRON_WORKFLOWS:
        spec = {"schedules": ["* * * * *"], "workflowSpec": spec}
    obj: JsonObject = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}}
    site.cluster.create(resource, {**obj, "spec": spec}, namespace=namespace_of(resource))


def namespace_of(resource: Resource) -> str:
    """Return where a resource is written."""
    return GOVERNED if resource.namespaced else ""


def refused(site: Site, name: str, patch: Patch, resource: Resource = WORKFLOWS) -> str:
    """Patch an object and return what the API server has against it, or nothing."""
    try:
        site.cluster.patch(resource, name, patch, namespace=namespace_of(resource))
    except ClusterError as error:
        return error.message
    return ""


@pytest.mark.parametrize("what", QUIET)
def test_it_is_not_asked_when(site: Site, what: str) -> None:
    """Argo writes each Workflow again and again, and people must be able to stop one while we are away."""
    assert refused(site, name_of(what), MergePatch(QUIET[what][1])) == ""


@pytest.mark.parametrize("what", TOLD)
def test_it_is_asked_when(site: Site, what: str) -> None:
    """What counts may have changed."""
    assert ASKED in refused(site, name_of(what), MergePatch(TOLD[what][1]))


def test_what_is_deleted_and_kept_by_a_finalizer_is_asked_about_like_any_other(site: Site) -> None:
    """Argo goes on with it. What lets it go is asked about no more than ever."""
    changes: tuple[JsonObject, ...] = (
        {"spec": {"parallelism": 1000}},
        {"status": {"storedTemplates": {"a": {"name": "a"}}}},
        {"metadata": {"annotations": {well_known.TASKS: "0"}}},
        labels(completed="true"),
    )
    for change in changes:
        assert ASKED in refused(site, ENDING, MergePatch(change))
    free: tuple[JsonObject, ...] = ({"spec": {"shutdown": "Stop"}}, {"metadata": {"finalizers": None}})
    for change in free:
        assert refused(site, ENDING, MergePatch(change)) == ""


@pytest.mark.parametrize("what", ARGOS)
def test_it_is_not_asked_about_argo_when(site: Site, what: str) -> None:
    """Its controller is known by its account."""
    assert "patched" in as_argo(site, name_of(what), ARGOS[what][1])


@pytest.mark.parametrize("what", ARGOS_TOLD)
def test_it_is_asked_about_argo_when(site: Site, what: str) -> None:
    """What a template told it to write is not its own."""
    assert ASKED in as_argo(site, name_of(what), ARGOS_TOLD[what][1])


@pytest.mark.parametrize("resource", OTHERS, ids=lambda resource: resource.kind)
def test_templates_and_crons_are_asked_about_when_their_spec_is_new(site: Site, resource: Resource) -> None:
    """Those of the whole cluster too. What else is written to them is nobody's business here."""
    with pytest.raises(Unavailable, match=ASKED):
        add_other(site, resource, "new")
    note = MergePatch({"metadata": {"annotations": {"note": "a"}, "finalizers": ["example.com/done"]}})
    assert refused(site, "before", note, resource) == ""
    assert ASKED in refused(site, "before", MergePatch({"spec": {"workflowMetadata": {}}}), resource)


def test_argo_writes_what_it_has_scheduled_without_asking(site: Site) -> None:
    """Into the CronWorkflow itself, at every run."""
    status: JsonObject = {"status": {"lastScheduledTime": "2026-01-31T08:00:00Z", "active": []}}
    assert "patched" in as_argo(site, "before", status, kind="cronworkflow")


def as_argo(site: Site, name: str, patch: JsonObject, *, kind: str = "workflow") -> str:
    """Patch an object as Argo's controller does, and return what kubectl says."""
    file = site.folder / f"{name}.json"
    file.write_bytes(msgspec.json.encode(patch))
    where = ("-n", GOVERNED, "patch", kind, name, "--type=merge", f"--patch-file={file}")
    done = site.kubectl.run(*where, f"--as={ACCOUNT}", "--as-group=system:masters")
    return done.stdout + done.stderr


def test_every_create_is_asked_about(site: Site) -> None:
    """Whatever it looks like."""
    with pytest.raises(Unavailable, match=ASKED):
        add(site, "new", {})


def test_our_controller_lets_go_without_being_asked_about(site: Site) -> None:
    """It has decided already, and a queue must not stand still because the webhook is away."""
    name = name_of("the hold goes away")
    controller = f"--as=system:serviceaccount:{NAMESPACE}:{RELEASE}-controller"
    patch = f'[{{"op": "remove", "path": "/metadata/labels/{well_known.INSTANCE_ID.replace("/", "~1")}"}}]'
    command = ("-n", GOVERNED, "patch", "workflow", name, "--type=json", f"--patch={patch}")
    somebody = site.kubectl.run(*command, "--as=somebody", "--as-group=system:masters")
    assert ASKED in somebody.stderr
    assert "patched" in site.kubectl.said(*command, controller)


def test_a_namespace_cannot_be_taken_out_by_its_labels(site: Site) -> None:
    """The label that the selector goes by is the API server's, and it puts it right again."""
    label: JsonObject = {"metadata": {"labels": {well_known.NAMESPACE_NAME: NAMESPACE}}}
    site.cluster.patch(NAMESPACES, GOVERNED, MergePatch(label))
    with pytest.raises(Unavailable, match=ASKED):
        add(site, "hidden", {})
