"""Workflows sent through the webhooks, as a user or an account, and what is printed of them."""

import pytest

from lockkeeper.embedded.api_server import AdmissionFailed, Admitted
from lockkeeper.embedded.submitting import Submitter, added_locks, injected_locks, lock_names
from lockkeeper.simulated_argo.cron import Submitted
from policy.cluster.errors import AlreadyExists
from policy.core.objects.json_patch import JsonObject, JsonValue
from tests.lockkeeper.embedded.printed import PrintedCluster
from tests.lockkeeper.embedded.scripted import ScriptedApiServer

POD = "system:serviceaccount:here:default"
CHILD: JsonObject = {"kind": "Workflow", "metadata": {"name": "child"}}
BAD: JsonObject = {"kind": "Workflow", "metadata": {"name": "Bad_Name"}}


def test_injected_locks_are_read_from_the_patch() -> None:
    """Each with the template that it was put on."""
    original: JsonObject = {"spec": {"templates": [{"name": "one"}, {"name": "two"}]}}
    semaphore: JsonObject = {"configMapKeyRef": {"name": "sem", "key": "db"}}
    patch: tuple[JsonObject, ...] = (
        {"op": "add", "path": "/spec/templates/0/synchronization", "value": {"semaphores": [semaphore]}},
        {"op": "add", "path": "/spec/templates/1/synchronization/mutexes/-", "value": {"name": "m"}},
        {"op": "add", "path": "/spec/templates/5/synchronization", "value": {"mutex": {"name": "n"}}},
        {"op": "add", "path": "/metadata/labels", "value": {"name": "no lock"}},
    )
    assert injected_locks(original, Admitted({}, patch, ())) == [
        "lock sem/db on one",
        "lock mutex m on two",
        "lock mutex n on templates[5]",
    ]


def test_added_locks_are_those_that_an_object_has_as_it_is_stored() -> None:
    """What its author wrote is not told."""
    own: JsonObject = {"mutexes": [{"name": "own"}]}
    given: JsonObject = {"spec": {"templates": [{"name": "t", "synchronization": own}, {"name": "u"}, "x"]}}
    both: JsonObject = {"mutexes": [{"name": "own"}, {"name": "ours"}]}
    stored: JsonObject = {"spec": {"templates": [{"name": "t", "synchronization": both}, {"name": "u"}]}}
    assert added_locks(given, stored) == ["lock mutex ours on t"]
    assert added_locks({}, {}) == []


@pytest.mark.parametrize("value", [None, 5, "x", {}, {"semaphores": []}])
def test_what_holds_no_lock_has_no_names(value: JsonValue) -> None:
    """A patch of another kind is no lock."""
    assert lock_names(value) == []


def test_what_is_sent_is_told_with_its_warnings(printed: PrintedCluster) -> None:
    """As the account that sends it, and whatever becomes of it."""
    stored = printed.store("child", held=False)
    answers = [Admitted(stored, (), ("lockkeeper: look",)), Admitted(None, (), ("why",), "no")]
    api_server = ScriptedApiServer(lambda *_: answers.pop(0))
    submitter = Submitter(api_server=api_server, printer=printed.printer)
    metadata = stored["metadata"]
    assert isinstance(metadata, dict)
    assert submitter.submit(CHILD, "here", POD) == Submitted(uid=str(metadata["uid"]))
    assert submitter.submit(CHILD, "here", POD) == Submitted(refusal="no")
    assert api_server.users == [POD, POD]
    assert printed.told() == ["warning: look", "warning: why", "denied: no"]


@pytest.mark.parametrize(
    ("error", "submitted"),
    [
        (AdmissionFailed("no answer"), Submitted(refusal="no answer", failure="no answer")),
        (AlreadyExists("it is there"), Submitted(failure="it is there")),
    ],
)
def test_a_call_that_fails_is_told(printed: PrintedCluster, error: Exception, submitted: Submitted) -> None:
    """One whose name is taken was not refused: Argo does not report that of a run of a CronWorkflow."""

    def fail(_: JsonObject, __: str) -> Admitted:
        raise error

    submitter = Submitter(api_server=ScriptedApiServer(fail), printer=printed.printer)
    assert submitter.submit(CHILD, "here", POD) == submitted
    assert printed.told() == [f"failed: {error}"]


def test_what_the_api_server_would_not_take_is_sent_to_no_webhook(printed: PrintedCluster) -> None:
    """A file is checked as what kubectl sends is."""
    api_server = ScriptedApiServer(lambda *_: Admitted(BAD, (), ()))
    submitter = Submitter(api_server=api_server, printer=printed.printer)
    submitted = submitter.submit(BAD, "here", POD)
    assert submitted.failure.startswith('Workflow.argoproj.io "Bad_Name" is invalid: metadata.name: ')
    assert api_server.users == []
    assert printed.told() == [f"failed: {submitted.failure}"]
