"""However much is sent, the answer comes in proportion, and so does its cost."""

import base64
from typing import Final

import jsonpatch
import pytest

from tests.properties.asking import (
    OBJECT,
    SMALL,
    WORLDS,
    answers,
    calls,
    reviewing,
    seconds,
)
from tests.properties.shapes import Path, grown, replaced
from tests.webhook.calling import Webhook
from tests.webhook.oracle import Json, patch_of
from tests.webhook.reviews import EVERYTHING, admission_review, encoded, lock_policy, workflow
from webhook.http_errors import MAX_BODY
from webhook.wire import MAX_UID


def templates(count: int) -> list[Json]:
    """Return so many templates of all sorts, half of them with the lock already."""
    lock = {"configMapKeyRef": {"name": "locks", "key": "db"}}
    made: list[Json] = []
    for number in range(count):
        body: Json = {"name": f"t{number}", "container": {"image": f"image:{number}"}}
        if number % 2:
            body["synchronization"] = {"semaphores": [lock]}
        if number % 5 == 0:
            body = {"name": f"t{number}", "steps": [[{"name": "s", "template": f"t{number + 1}"}]]}
        made.append(body)
    return made


def test_many_templates_take_time_in_proportion() -> None:
    """Ten times as many templates take about ten times as much, so one big Workflow stops nobody."""
    few, many = workflow(templates=templates(500)), workflow(templates=templates(5_000))
    parts = reviewing(EVERYTHING)
    assert calls(many, parts) < 15 * calls(few, parts)
    assert seconds(many, parts) < 50 * seconds(few, parts)
    body = admission_review(many)
    response = answers(encoded(body), body, worlds=(parts,))[0]
    assert response is not None
    assert sum(operation["path"].endswith("/synchronization") for operation in patch_of(response)) == 2_000


def semaphores(count: int, name: str) -> Json:
    """Return a Workflow with so many semaphores, of other keys each."""
    refs = [{"configMapKeyRef": {"name": "locks", "key": f"{name}-{number}"}} for number in range(count)]
    return workflow(synchronization={"semaphores": refs})


def test_many_wrong_semaphores_cost_no_more_than_some() -> None:
    """Only so many faults are looked for, so a user cannot stop the webhook by mistakes in one Workflow."""
    definitions = [{"configMap": "locks", "key": f"right-{number}", "limit": 1} for number in range(50)]
    parts = reviewing(lock_policy(semaphores=definitions))
    assert calls(semaphores(4_000, "wrong"), parts) < 2 * calls(semaphores(400, "wrong"), parts)


def test_many_wrong_types_cost_no_more_than_some() -> None:
    """Nor by wrong types, of which the first few are told."""
    some, many = workflow(templates=[1] * 4_000), workflow(templates=[1] * 40_000)
    assert calls(many, WORLDS[0]) < 2 * calls(some, WORLDS[0])


@pytest.mark.parametrize("path", ["/mutate", "/validate"])
@pytest.mark.parametrize("filler", [b" ", b"a", b"[", b"{", b'"', b"\x00"])
def test_ten_megabytes_of_anything_are_too_large(path: str, filler: bytes) -> None:
    """Size is looked at before content."""
    webhook = Webhook()
    body = encoded(SMALL) + filler * 10_000_000
    assert webhook.post(body, path).status == 413


@pytest.mark.parametrize("filler", [b" ", b"[", b'{"a":'])
def test_seven_megabytes_of_nothing_are_a_bad_request(filler: bytes) -> None:
    """The largest body that is read is refused in an instant where it holds nothing."""
    assert answers((filler * MAX_BODY)[:MAX_BODY], worlds=WORLDS[:1]) == [None, None]


LONG: Final = "x" * 1_000_000


@pytest.mark.parametrize(
    "path",
    [
        ("request", "namespace"),
        ("request", "name"),
        ("request", "userInfo", "username"),
        (*OBJECT, "metadata", "name"),
        (*OBJECT, "metadata", "labels", "long"),
        (*OBJECT, "spec", "templates", 0, "name"),
        (*OBJECT, "spec", "templates", 0, "container", "image"),
        (*OBJECT, "spec", "entrypoint"),
    ],
)
def test_very_long_texts_are_answered(path: Path) -> None:
    """A name of a million letters is somebody else's to refuse; we answer."""
    body = grown(SMALL, path, LONG)
    assert None not in answers(encoded(body), body)


@pytest.mark.parametrize(
    ("uid", "answered"), [("x" * MAX_UID, True), ("x" * (MAX_UID + 1), False), (LONG, False)]
)
def test_a_uid_comes_back_whole_or_not_at_all(uid: str, answered: bool) -> None:  # noqa: FBT001 - a case
    """The uid is the API server's, and short; a longer one would be repeated in answers and lines."""
    body = replaced(SMALL, ("request", "uid"), uid)
    found = [response and response["uid"] for response in answers(encoded(body), body)]
    assert found == [uid if answered else None] * 4


@pytest.mark.parametrize("field", ["labels", "annotations"])
def test_thousands_of_labels_are_answered(field: str) -> None:
    """Ours are added to any number of them, and nothing else changes."""
    many = {f"label-{number}": "value" for number in range(20_000)}
    body = grown(SMALL, (*OBJECT, "metadata", field), many)
    response = answers(encoded(body), body)[1]
    assert response is not None
    changed = jsonpatch.apply_patch(body["request"]["object"], patch_of(response))
    assert many.items() <= changed["metadata"][field].items()
    assert all(
        "lockkeeper" in key + changed["metadata"][field][key]
        for key in changed["metadata"][field].keys() - many.keys()
    )


def test_the_size_of_a_patch_follows_what_changes() -> None:
    """A large object that lacks one label gets a small patch, not itself back."""
    body = admission_review(workflow(arguments={"parameters": [{"name": "p", "value": LONG}]}))
    response = answers(encoded(body), body)[1]
    assert response is not None
    assert len(base64.b64decode(response["patch"])) < 2_000


@pytest.mark.parametrize("path", ["/mutate", "/validate", "/policies"])
@pytest.mark.parametrize("entry", [b"{}", b"[]", b'{"a":[]}'])
def test_a_body_of_nothing_but_brackets_is_a_bad_request(entry: bytes, path: str) -> None:
    """A few bytes each become some hundred in memory, so a body of them is refused before it is read."""
    entries = b",".join([entry] * (6_000_000 // (len(entry) + 1)))
    body = encoded(admission_review(workflow(templates=["@"]))).replace(b'["@"]', b"[" + entries + b"]")
    reply = Webhook().call("POST", path, body)
    assert (reply.status, reply.body) == (400, b"the review holds more than 400000 lists and maps\n")
