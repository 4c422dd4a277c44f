"""A retry removes nodes and has others run again: what Argo's releases do passes, and nothing more does."""

import base64
import gzip
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec
import pytest

from policy.core.admission.update_status import retry_faults
from policy.core.decision.decision import Code
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.semantic_equality import Parts
from policy.core.objects.status_nodes import LONGEST, MOST_OBJECTS, MOST_REWRITTEN, nodes_in

FINISHED: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC).isoformat().replace("+00:00", "Z")
NODES: Final[dict[str, JsonObject]] = {
    "w": {
        "id": "w",
        "name": "w",
        "type": "DAG",
        "phase": "Failed",
        "message": "child failed",
        "finishedAt": FINISHED,
        "children": ["a", "b", "s"],
        "outboundNodes": ["b"],
    },
    "a": {"id": "a", "name": "w.a", "type": "Pod", "phase": "Succeeded", "outputs": {"exitCode": "0"}},
    "b": {"id": "b", "name": "w.b", "type": "Pod", "phase": "Failed", "inputs": {"parameters": []}},
    "s": {
        "id": "s",
        "name": "w.s",
        "type": "Suspend",
        "phase": "Succeeded",
        "outputs": {"parameters": [{"name": "go", "value": "yes"}]},
    },
    "k": {"id": "k", "name": "w.k", "type": "Skipped", "phase": "Skipped", "message": "when"},
    "x": {"id": "x", "name": "w.onExit", "type": "Pod", "phase": "Succeeded"},
}
STORED: Final[JsonObject] = {"entrypoint": "main", "shutdown": "Stop", "parallelism": 3}
OVER: Final[JsonObject] = {
    "phase": "Failed",
    "message": "child failed",
    "startedAt": FINISHED,
    "finishedAt": FINISHED,
    "progress": "2/3",
    "nodes": {**NODES},
    "storedTemplates": {"t": {"name": "t"}},
    "storedWorkflowTemplateSpec": STORED,
    "persistentVolumeClaims": [{"name": "work", "persistentVolumeClaim": {"claimName": "w-work"}}],
    "conditions": [{"type": "PodRunning", "status": "False"}, {"type": "Completed", "status": "True"}],
    "resourcesDuration": {"cpu": 5},
    "synchronization": {"mutex": {"holding": []}},
    "artifactRepositoryRef": {"configMap": "artifacts", "key": "default"},
    "artifactGCStatus": {"notSpecified": True},
    "taskResultsCompletionStatus": {"a": True, "b": True},
}


def retried(phase: str) -> JsonObject:
    """Return what `FormulateRetryWorkflow` makes of the status (workflow/util/util.go)."""
    again: JsonObject = {"startedAt": "2026-03-02T12:00:00Z", "finishedAt": None, "message": ""}
    nodes_left: JsonObject = {
        "w": {**NODES["w"], **again, "phase": "Running", "children": ["a", "s"], "outboundNodes": []},
        "a": NODES["a"],
        "s": {
            **NODES["s"],
            **again,
            "phase": "Running",
            "outputs": {"parameters": [{"name": "go", "valueFrom": {"supplied": {}}}]},
        },
        "k": {**NODES["k"], **again},
    }
    removed = ("message", "finishedAt", "persistentVolumeClaims")
    rest = {key: value for key, value in OVER.items() if key not in removed}
    return {
        **rest,
        "phase": phase,
        "startedAt": "2026-03-02T12:00:00Z",
        "nodes": nodes_left,
        "storedWorkflowTemplateSpec": {"entrypoint": "main", "parallelism": 3},
        "conditions": [{"type": "PodRunning", "status": "False"}, {"type": "Completed", "status": "False"}],
    }


def parts(status: JsonObject) -> Parts:
    """Return a status as the webhook decodes it."""
    return msgspec.json.decode(msgspec.json.encode(status), type=dict[str, msgspec.Raw])


def packed(nodes: JsonValue) -> str:
    """Return nodes as Argo compresses them (`CompressEncodeString`, util/file/fileutil.go)."""
    return base64.b64encode(gzip.compress(msgspec.json.encode(nodes))).decode()


def stowed(status: JsonObject) -> JsonObject:
    """Return a status whose nodes are many: Argo compresses them."""
    rest = {key: value for key, value in status.items() if key != "nodes"}
    return {**rest, "compressedNodes": packed(status["nodes"])}


def offloaded(status: JsonObject) -> JsonObject:
    """Return a status whose nodes are more still: Argo keeps them in its database."""
    rest = {key: value for key, value in status.items() if key != "nodes"}
    return {**rest, "offloadNodeStatusVersion": "fnv:1234"}


def faults(old: JsonObject, new: JsonObject, *, server: bool = False) -> list[str]:
    """Return the fields that a retry forges."""
    found = list(retry_faults(parts(old), parts(new), server=server))
    assert {each.code for each in found} <= {Code.FORGED_STATUS}
    return [each.field for each in found]


def same(status: JsonObject) -> JsonObject:
    """Return the status as it is."""
    return status


@pytest.mark.parametrize("phase", ["", "Running"])
@pytest.mark.parametrize("before", [same, stowed, offloaded])
@pytest.mark.parametrize("after", [same, stowed, offloaded])
def test_what_argo_makes_of_a_status_passes(
    phase: str, before: Callable[[JsonObject], JsonObject], after: Callable[[JsonObject], JsonObject]
) -> None:
    """Releases up to 4.0 set Running, later ones nothing; nodes may be stored otherwise than they were."""
    assert faults(before(OVER), after(retried(phase)), server=after is offloaded) == []


@pytest.mark.parametrize("before", [same, stowed])
def test_only_argo_server_moves_nodes_into_argos_database(
    before: Callable[[JsonObject], JsonObject],
) -> None:
    """A second retry could then bring any nodes, because those of before could not be read."""
    assert faults(before(OVER), offloaded(retried(""))) == ["status.offloadNodeStatusVersion"]
    assert faults(offloaded(OVER), offloaded(retried(""))) == []


def test_a_retry_of_everything_passes() -> None:
    """It leaves no node."""
    assert faults(OVER, {**retried(""), "nodes": {}}) == []
    assert faults(OVER, {key: value for key, value in retried("").items() if key != "nodes"}) == []


def test_a_status_in_argos_spelling_is_the_same() -> None:
    """Its Go types drop what is empty."""
    again = retried("")
    del again["synchronization"]
    assert faults({**OVER, "synchronization": {}}, again) == []


CHANGED: Final[dict[str, tuple[JsonObject, str]]] = {
    "a lock of another Workflow": (
        {"synchronization": {"mutex": {"holding": [{"mutex": "m"}]}}},
        "synchronization",
    ),
    "no artifact store any more": ({"artifactRepositoryRef": None}, "artifactRepositoryRef"),
    "claims": ({"persistentVolumeClaims": [{"name": "other"}]}, "persistentVolumeClaims"),
    "an artifact store": ({"artifactRepositoryRef": {"configMap": "mine"}}, "artifactRepositoryRef"),
    "collected artifacts": ({"artifactGCStatus": {"podsRecouped": {"p": True}}}, "artifactGCStatus"),
    "results": ({"taskResultsCompletionStatus": {"b": False}}, "taskResultsCompletionStatus"),
    "a condition": ({"conditions": [{"type": "PodRunning", "status": "True"}]}, "conditions"),
    "conditions of another type": ({"conditions": "none"}, "conditions"),
    "progress": ({"progress": "3/3"}, "progress"),
    "outputs": ({"outputs": {"parameters": [{"name": "a"}]}}, "outputs"),
    "templates": ({"storedTemplates": {"t": {"name": "u"}}}, "storedTemplates"),
    "tasks of the stored spec": (
        {"storedWorkflowTemplateSpec": {**STORED, "parallelism": 9}},
        "storedWorkflowTemplateSpec",
    ),
    "no stored spec any more": ({"storedWorkflowTemplateSpec": None}, "storedWorkflowTemplateSpec"),
    "something that is not known yet": ({"new": 1}, "new"),
    "a phase of one that waits": ({"phase": "Pending"}, "phase"),
}


@pytest.mark.parametrize("what", CHANGED)
def test_nothing_else_of_the_status_may_change(what: str) -> None:
    """Argo continues from all of it."""
    change, field = CHANGED[what]
    assert faults(OVER, {**retried(""), **change}) == [f"status.{field}"]


FORGED: Final[dict[str, tuple[str, JsonObject]]] = {
    "a new node": ("new", {"type": "Pod", "phase": "Succeeded"}),
    "a failed step that succeeded": ("b", {**NODES["b"], "phase": "Succeeded"}),
    "a step that was skipped": ("b", {**NODES["b"], "phase": "Skipped"}),
    "other inputs": ("b", {**NODES["b"], "phase": "Running", "inputs": {"parameters": [{"name": "a"}]}}),
    "other outputs": ("a", {**NODES["a"], "outputs": {"exitCode": "1"}}),
    "another type": ("b", {**NODES["b"], "type": "Suspend"}),
    "another template": ("a", {**NODES["a"], "templateName": "other"}),
    "another child": ("w", {**NODES["w"], "phase": "Running", "children": ["a", "new"]}),
    "children of another type": ("w", {**NODES["w"], "phase": "Running", "children": "abs"}),
    "a lock that it waits for": ("b", {**NODES["b"], "synchronizationStatus": {"waiting": "m"}}),
}


@pytest.mark.parametrize("stored", [same, stowed])
@pytest.mark.parametrize("what", FORGED)
def test_nothing_else_of_a_node_may_change(what: str, stored: Callable[[JsonObject], JsonObject]) -> None:
    """The reason names the node, compressed or not."""
    name, node = FORGED[what]
    again = retried("")
    nodes = again["nodes"]
    assert isinstance(nodes, dict)
    forged: JsonObject = {**again, "nodes": {**nodes, name: node}}
    assert faults(stored(OVER), stored(forged)) == [f"status.nodes[{name}]"]


@pytest.mark.parametrize(
    "text",
    [
        "no base64",
        base64.b64encode(b"no gzip").decode(),
        base64.b64encode(b"\x28\xb5\x2f\xfd\x00").decode(),
        packed("no nodes"),
        packed({"a": []}),
        base64.b64encode(gzip.compress(b"{}") + b"more").decode(),
        base64.b64encode(gzip.compress(b" " * (LONGEST + 1))).decode(),
        packed({f"n{number}": {} for number in range(MOST_OBJECTS)}),
    ],
    ids=["text", "bytes", "zstd", "a string", "lists", "a tail", "too long", "too many"],
)
def test_unreadable_nodes_do_not_replace_readable_ones(text: str) -> None:
    """So no user hides invented nodes in them."""
    rest = {key: value for key, value in retried("").items() if key != "nodes"}
    assert faults(OVER, {**rest, "compressedNodes": text}) == ["status.compressedNodes"]
    # Argo wrote those that were there.
    assert (
        faults({**rest, "phase": "Failed", "compressedNodes": text}, {**rest, "compressedNodes": text}) == []
    )


def test_what_argo_reads_is_what_is_compared() -> None:
    """It takes compressed nodes only where there are no others."""
    again = retried("")
    assert faults(OVER, {**again, "compressedNodes": packed({"new": {"phase": "Succeeded"}})}) == []
    hidden: JsonObject = {**again, "nodes": {}, "compressedNodes": packed({"new": {"phase": "Succeeded"}})}
    assert faults(OVER, hidden) == ["status.nodes[new]"]
    assert nodes_in(parts({"nodes": [], "compressedNodes": ""})) is None


def test_equal_nodes_in_another_spelling_are_compared_as_long_as_that_is_cheap() -> None:
    """Two megabytes that are only spelled differently are nothing that Argo writes."""
    words: JsonObject = {"parameters": [{"name": "a", "value": "v" * 100}]}
    old: JsonObject = {**OVER, "nodes": {"a": {**NODES["a"], "inputs": {**words, "artifacts": []}}}}
    new: JsonObject = {**retried(""), "nodes": {"a": {**NODES["a"], "inputs": words}}}
    assert faults(old, new) == []
    long: JsonObject = {"parameters": [{"name": "a", "value": "v" * MOST_REWRITTEN}]}
    old = {**OVER, "nodes": {"a": {**NODES["a"], "inputs": {**long, "artifacts": []}}}}
    new = {**retried(""), "nodes": {"a": {**NODES["a"], "inputs": long}}}
    assert faults(old, new) == ["status.nodes[a]"]
