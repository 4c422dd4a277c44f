"""One JSON line for each review and each fault."""

import pytest

from tests.webhook.calling import START, Clock, Webhook
from tests.webhook.oracle import Json
from tests.webhook.reviews import UID, admission_review, encoded, lock_policy, quota, workflow
from webhook.logs import Log

TIME = "2026-03-01T12:00:00Z"


def test_an_answered_review_is_one_line() -> None:
    """Who created what where, what was decided by which policies, and how long it took."""
    webhook = Webhook(quota("Queue", limits={"workflows": 3}))
    webhook.mutate(workflow())
    assert webhook.logged() == [
        {
            "time": TIME,
            "level": "info",
            "event": "review",
            "uid": UID,
            "webhook": "mutate",
            "operation": "CREATE",
            "kind": "Workflow",
            "namespace": "team",
            "name": "hello",
            "user": "ada",
            "outcome": "queued",
            "took_us": 1000,
            "operations": 3,
            "policies": ["WorkflowQuota team/builds"],
        }
    ]


def test_a_denial_is_logged_with_its_codes() -> None:
    """Reasons are codes in the log, so that they can be counted there."""
    webhook = Webhook(lock_policy())
    semaphore = {"configMapKeyRef": {"name": "no", "key": "such"}}
    webhook.mutate(workflow(synchronization={"semaphores": [semaphore], "mutexes": [{"name": ""}]}))
    [line] = webhook.logged()
    assert (line["outcome"], line["codes"]) == ("denied", ["LockUndefined", "LockName"])


def test_a_dry_run_says_so(webhook: Webhook) -> None:
    """A dry run is told from a create that is stored."""
    webhook.mutate(workflow(), dryRun=True)
    webhook.mutate(workflow())
    assert [line.get("dry_run", False) for line in webhook.logged()] == [True, False]


def test_a_refused_request_is_a_warning_with_its_status(webhook: Webhook) -> None:
    """A wrong request is logged with the uid that it has, where it can be read."""
    review = admission_review(workflow(), version="admission.k8s.io/v7")
    webhook.post(encoded(review))
    [line] = webhook.logged()
    assert line["message"].startswith("apiVersion is 'admission.k8s.io/v7'")
    assert {key: line[key] for key in ("time", "level", "event", "uid", "status")} == {
        "time": TIME,
        "level": "warning",
        "event": "refused",
        "uid": UID,
        "status": "400 Bad Request",
    }


def test_a_bug_is_logged_with_its_cause_and_trace() -> None:
    """The whole chain of a traceback is in one line, line ends escaped."""
    lines: list[bytes] = []
    log = Log(write=lines.append, clock=Clock())
    error = LookupError("second")
    error.__cause__ = KeyError("first")
    log.bug("some-uid", error)
    [line] = lines
    assert line.count(b"\n") == 1
    for part in (b'"uid":"some-uid"', b"KeyError: 'first'", b"LookupError: second", b"direct cause"):
        assert part in line


@pytest.mark.parametrize("level", ["info", "error"])
def test_other_events_have_a_name_and_a_message(level: str) -> None:
    """Loads and shutdowns stand in the same log, in the same form."""
    lines: list[bytes] = []
    Log(write=lines.append, clock=lambda: START).event("policies", 'in "force"', level=level)
    assert lines == [
        f'{{"time":"{TIME}","level":"{level}","event":"policies","uid":"",'.encode()
        + b'"message":"in \\"force\\""}\n'
    ]


@pytest.mark.parametrize("text", ["two\nlines", "a\r\nb", '"quoted"', "\u2028", "\x00", "😀"])
def test_what_users_write_cannot_break_a_line(text: str, webhook: Webhook) -> None:
    """Names and users come from outside; whatever they hold, a review stays one line of JSON."""
    obj = workflow()
    obj["metadata"]["name"] = text
    webhook.mutate(obj, userInfo={"username": text}, namespace=text)
    [line] = webhook.logged()
    assert (line["name"], line["user"], line["namespace"]) == (text, text, text)


def test_a_line_stays_short_whatever_is_wrong() -> None:
    """A user cannot fill the log with one Workflow: lines stay below what a pipe writes in one piece."""
    webhook = Webhook(lock_policy())
    webhook.mutate(workflow(synchronization={"mutexes": [{"name": ""}] * 5000}))
    [line] = webhook.lines
    assert len(line) <= 4096


@pytest.mark.parametrize("field", ["name", "generateName"])
def test_a_line_stays_short_whatever_a_name_is(field: str, webhook: Webhook) -> None:
    """Nor can a user fill the log with one name."""
    webhook.mutate({**workflow(), "metadata": {field: "x" * 100_000}})
    [line] = webhook.lines
    assert len(line) <= 4096


LONG = "x" * 1_000_000


@pytest.mark.parametrize(
    ("field", "request_of"),
    [
        ("user", {"userInfo": {"username": LONG}}),
        ("name", {"name": LONG}),
        ("namespace", {"namespace": LONG}),
        ("kind", {"kind": {"group": "argoproj.io", "version": "v1alpha1", "kind": LONG}}),
    ],
)
def test_no_line_is_as_long_as_what_somebody_sent(field: str, request_of: Json, webhook: Webhook) -> None:
    """Each string is cut, with a sign that it was."""
    assert webhook.post(encoded(admission_review(workflow(), **request_of))).status == 200
    assert len(webhook.lines[0]) < 1000
    assert webhook.logged()[0][field].endswith("x…")


@pytest.mark.parametrize(
    ("path", "review"),
    [
        ("/mutate", {"uid": LONG}),
        ("/validate", {"uid": "x" * 129}),
        ("/policies", {"uid": LONG}),
        ("/mutate", {"operation": LONG}),
        ("/mutate", {"version": LONG}),
    ],
    ids=["uid", "a uid that is a little too long", "uid of a policy", "operation", "version"],
)
def test_what_is_refused_is_not_repeated_in_full(path: str, review: Json, webhook: Webhook) -> None:
    """Neither in the answer nor in the log, whatever of a wrong request the message quotes."""
    reply = webhook.post(encoded(admission_review(workflow(), **review)), path)
    assert reply.status == 400
    assert len(reply.body) < 2000
    assert len(webhook.lines[0]) < 2000


def test_a_uid_as_long_as_allowed_is_answered(webhook: Webhook) -> None:
    """Those of API servers have 36 characters; nothing says that they have to."""
    assert webhook.mutate(workflow(), uid="x" * 128)["uid"] == "x" * 128


def test_a_bug_and_an_event_are_cut_too() -> None:
    """The message of an error may hold what a request said, and so may its trace."""
    lines = list[bytes]()
    log = Log(write=lines.append, clock=Clock())
    log.bug(LONG, ValueError(LONG))
    log.event("policies", LONG)
    assert max(map(len, lines)) < 64 * 1024
