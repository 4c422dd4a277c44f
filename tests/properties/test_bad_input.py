"""Whatever is sent to the webhook, it answers: 400, or a right 200; never a bug of ours, never no answer."""

from collections.abc import Callable
from typing import Any, Final

import jsonpatch
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.properties.asking import (
    FULL,
    INSIDE,
    NODES,
    OBJECT,
    OUTSIDE,
    SMALL,
    WORLDS,
    answers,
)
from tests.properties.shapes import KEY, Node, Path, grown, kind_of, replaced
from tests.webhook.oracle import Json, patch_of
from tests.webhook.reviews import UID, admission_review, encoded, workflow

WRONG: Final[tuple[Any, ...]] = (None, True, 7, 1.5, 2**70, "wrong", [], {})


def test_the_example_is_valid_and_whole() -> None:
    """The fields of the wire types are found by themselves, and the review that has them all is answered."""
    assert {"uid", "operation", "dryRun"} <= {node.path[-1] for node in OUTSIDE if node.path}
    fields = {node.field for node in INSIDE}
    for known in (
        "metadata.ownerReferences[0].controller",
        "spec.templates[0].dag.tasks[0].inline.steps[0][0].templateRef.name",
        "spec.synchronization.semaphores[0].configMapKeyRef.key",
        "spec.parallelism",
        "status",
    ):
        assert known in fields
    assert len(INSIDE) > 200
    ungoverned = answers(encoded(FULL), FULL, worlds=WORLDS[:1])
    assert ungoverned == [{"uid": UID, "allowed": True}] * 2
    assert None not in answers(encoded(FULL), FULL)


@pytest.mark.parametrize("value", WRONG, ids=lambda value: f"{kind_of(value)}-{value}"[:20])
def test_a_wrong_type_in_the_object_is_denied_with_its_path(value: object) -> None:
    """Every field of a Workflow that we read is checked by type, and the user reads which one is wrong.

    A null is the zero value to Go, and an integer beyond 64 bits fits none of its types.
    """
    judged = 0
    for node in INSIDE:
        body = grown(SMALL, node.path, value)
        responses = answers(encoded(body), body)
        if value is None or (
            node.kind in {"any", kind_of(value)} and (node.exact or value not in ("wrong", 2**70))
        ):
            assert all(response is not None for response in responses if node.path != OBJECT), node
            continue
        judged += 1
        for response in responses:
            assert response is not None, node
            assert (response["allowed"], response.get("status", {}).get("code")) == (False, 422), node
            [cause] = response["status"]["details"]["causes"]
            assert (cause["reason"], cause["field"]) == ("WrongType", node.field), node
    assert value is None or judged > 20


@pytest.mark.parametrize("value", WRONG, ids=lambda value: f"{kind_of(value)}-{value}"[:20])
def test_a_wrong_type_in_the_envelope_is_a_bad_request_or_harmless(value: object) -> None:
    """What the API server itself would never send is 400; what has no bearing on the answer is answered."""
    for node in OUTSIDE:
        body = replaced(FULL, node.path, value)
        fits = (value is None and node.nullable) or node.kind in {"any", kind_of(value)}
        for response in answers(encoded(body), body if fits else None):
            assert response is None or fits, node


@pytest.mark.parametrize("value", [None, True, 7, "other", [], {}], ids=kind_of)
def test_every_patch_can_be_applied(value: object) -> None:
    """However odd a Workflow that is let through, its patch applies, and the result passes as it is.

    An object without metadata or spec is looked at in tests/webhook/test_review.py.
    """
    patched = 0
    for node in INSIDE:
        if node.path in {OBJECT, (*OBJECT, "metadata"), (*OBJECT, "spec")}:
            continue
        body = grown(SMALL, node.path, value)
        if node.field == "metadata.name":  # A reservation is bound to a name: another one is another request.
            body = replaced(body, ("request", "uid"), f"{type(value).__name__}-{UID}")
        response = answers(encoded(body), body, worlds=WORLDS[1:])[0]
        if response is None or not response["allowed"]:
            continue
        patched += 1
        changed = jsonpatch.apply_patch(body["request"]["object"], patch_of(response))
        again = replaced(body, OBJECT, changed)
        for second in answers(encoded(again), again, worlds=WORLDS[1:]):
            assert second is not None, node
            assert (second["allowed"], "patch" in second) == (True, False), node
    assert patched > 0


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(st.tuples(st.sampled_from(NODES), JSON), min_size=1, max_size=4))
def test_several_wrong_values_at_once_are_answered(changes: list[tuple[Node, Any]]) -> None:
    """Faults that meet do not add up to a bug."""
    body: Any = FULL
    for node, value in changes:
        try:
            body = replaced(body, node.path, value)
        except (AssertionError, TypeError, KeyError):
            continue  # An earlier change took the place away.
    assert len(answers(encoded(body))) == 4


@given(JSON)
def test_any_object_is_answered(obj: Any) -> None:
    """A create of whatever JSON there is gets a decision."""
    body = replaced(FULL, OBJECT, obj)
    if obj is not None:
        assert None not in answers(encoded(body), body)


def test_no_part_of_a_review_passes_for_a_whole() -> None:
    """Cut off anywhere, a review is 400."""
    body = encoded(SMALL)
    assert all(answers(body[:length], worlds=WORLDS[:1]) == [None, None] for length in range(len(body)))


@given(st.binary(max_size=300))
@example(b"\x00")
@example(b"\xff" * 100)
def test_random_bytes_are_a_bad_request(body: bytes) -> None:
    """Noise is 400; it would have to be an AdmissionReview by chance to be anything else."""
    assert answers(body) == [None] * 4


@given(st.integers(0, len(encoded(SMALL)) - 1), st.binary(max_size=4), st.integers(0, 4))
def test_a_damaged_review_is_answered(place: int, noise: bytes, gone: int) -> None:
    """Bytes lost or changed on the way give 400, or an answer to what is still there."""
    body = encoded(SMALL)
    assert len(answers(body[:place] + noise + body[place + gone :])) == 4


BAD_TEXTS: Final = {
    "no UTF-8": b'"\xff"',
    "overlong UTF-8": b'"\xc0\xaf"',
    "UTF-8 of a surrogate": b'"\xed\xa0\x80"',
    "beyond Unicode": b'"\xf4\x90\x80\x80"',
    "high surrogate": b'"\\ud800"',
    "low surrogate": b'"\\udc00"',
    "reversed surrogates": b'"\\udc00\\ud800"',
    "half an escape": b'"\\u12"',
    "unknown escape": b'"\\x41"',
    "a control character": b'"\n"',
}
MARK: Final = "put-it-here"


@pytest.mark.parametrize("text", BAD_TEXTS.values(), ids=BAD_TEXTS.keys())
def test_text_that_is_no_unicode_is_answered_everywhere(text: bytes) -> None:
    """In every string that we read, and in keys, broken text is 400 or harmless, and never a bug."""
    for node in NODES:
        body = encoded(grown(SMALL, node.path, MARK)).replace(f'"{MARK}"'.encode(), text)
        for response in answers(body, worlds=WORLDS[1:]):
            assert response is None or node.kind != "string" or not response["allowed"], node
    for path in ((), ("request",), OBJECT, (*OBJECT, "metadata", "labels"), (*OBJECT, "status")):
        place = FULL
        for step in path:
            place = place[step]
        body = encoded(replaced(FULL, path, {**place, MARK: "a"})).replace(f'"{MARK}"'.encode(), text)
        assert len(answers(body)) == 4


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "01", "1.", ".5", "+1", "0x1", "1e", "--1"]
)
def test_what_is_no_number_is_a_bad_request_everywhere(number: str) -> None:
    """JSON has no such numbers, in a field that is read or in one that is not."""
    paths: list[Path] = [node.path for node in NODES if node.path]
    bodies = [encoded(grown(SMALL, path, MARK)) for path in paths]
    bodies.append(encoded({**FULL, "unknown": MARK}))
    for body in bodies:
        assert answers(body.replace(f'"{MARK}"'.encode(), number.encode()), worlds=WORLDS[:1]) == [None, None]


@pytest.mark.parametrize("digits", [20, 400, 5_000, 100_000])
@pytest.mark.parametrize("sign", ["", "-"])
def test_numbers_of_any_length_are_answered(digits: int, sign: str) -> None:
    """A number may be longer than Python is willing to convert."""
    number = sign + "9" * digits
    for node in NODES:
        if node.kind in {"integer", "any", "boolean"}:
            body = encoded(grown(SMALL, node.path, MARK)).replace(f'"{MARK}"'.encode(), number.encode())
            for response in answers(body, worlds=WORLDS[1:]):
                assert response is None or not response["allowed"] or node.kind != "boolean", node


def doubled(body: bytes, key: str, first: str) -> bytes:
    """Return a body in which the first `key` stands twice, with this value in front."""
    return body.replace(f'"{key}": '.encode(), f'"{key}": {first}, "{key}": '.encode(), 1)


@pytest.mark.parametrize("first", ["null", "5", '"text"', "[]", "{}", '{"metadata": 5}', '{"uid": "other"}'])
def test_fields_that_stand_twice_are_answered(first: str) -> None:
    """At every level, another value in front of the right one gives 400 or an answer to the last one."""
    body = encoded(FULL)
    for key in dict.fromkeys(node.path[-1] for node in NODES if node.path):
        if isinstance(key, str) and key != KEY:
            for response in answers(doubled(body, key, first), worlds=WORLDS[1:]):
                assert response is None or response["uid"] in {UID, "text"}


def test_two_objects_of_which_the_last_is_no_unicode_are_answered() -> None:
    """The object that does not fit and the one that is looked at for the reason may differ."""
    body = encoded(admission_review(workflow(), name=""))
    body = doubled(body, "object", '{"metadata": 5}').replace(b'"hello"', b'"\xff"')
    assert None in answers(body)


def nested(depth: int, opening: str, core: str, closing: str) -> bytes:
    """Return JSON of so many levels."""
    return (opening * depth + core + closing * depth).encode()


SHAPES: Final[dict[str, Callable[[int], bytes]]] = {
    "lists": lambda depth: nested(depth, "[", "", "]"),
    "objects": lambda depth: nested(depth, '{"a":', "1", "}"),
    "unclosed lists": lambda depth: b"[" * depth,
    "unclosed objects": lambda depth: b'{"a":' * depth,
    "dag inline": lambda depth: nested(depth, '{"dag":{"tasks":[{"inline":', "{}", "}]}}"),
    "steps inline": lambda depth: nested(depth, '{"steps":[[{"inline":', "{}", "}]]}"),
}
PLACES: Final[dict[str, Path]] = {
    "unknown in the envelope": ("unknown",),
    "unknown in the request": ("request", "unknown"),
    "the old object": ("request", "oldObject"),
    "the object": OBJECT,
    "unknown in the object": (*OBJECT, "unknown"),
    "status": (*OBJECT, "status"),
    "in status": (*OBJECT, "status", "nodes"),
    "labels": (*OBJECT, "metadata", "labels"),
    "template defaults": (*OBJECT, "spec", "templateDefaults"),
    "a template": (*OBJECT, "spec", "templates", 0),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("depth", [50, 150, 200, 250, 333, 500, 900, 999, 1_000, 1_001, 10_000, 100_000])
def test_deep_nesting_is_answered(depth: int, shape: Callable[[int], bytes]) -> None:
    """However deep, in fields that are read and in others, a review overflows no stack."""
    deep = shape(depth)
    for path in PLACES.values():
        body = encoded(grown(SMALL, path, MARK)).replace(f'"{MARK}"'.encode(), deep)
        for response in answers(body, SMALL):
            assert response is None or depth < 1_000


def test_templates_inside_each_other_are_judged_to_the_last() -> None:
    """A lock on an inline template deep down is found, as Argo would find it."""
    inner: Json = {"container": {"image": "a"}, "synchronization": {"mutexes": [{"name": ""}]}}
    for _ in range(100):
        inner = {"dag": {"tasks": [{"name": "t", "inline": inner}]}}
    body = admission_review(workflow(templates=[inner]))
    [response] = answers(encoded(body), body, worlds=WORLDS[1:])[:1]
    assert response is not None
    [cause] = response["status"]["details"]["causes"]
    assert cause["field"] == (
        "spec.templates[0]" + ".dag.tasks[0].inline" * 100 + ".synchronization.mutexes[0].name"
    )
