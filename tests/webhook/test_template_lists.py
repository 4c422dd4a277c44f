"""Templates that are read once: whatever is remembered, a review is read as if it were the first."""

import json
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.decision.decision import Side
from policy.core.objects.shared_templates import SharedTemplates
from policy.core.objects.workflow import Template, Workflow
from tests.webhook.calling import Webhook
from tests.webhook.oracle import Json
from tests.webhook.reviews import EVERYTHING, admission_review, workflow
from webhook import wire
from webhook.template_lists import SHORTEST, ByBytes, TemplateLists

TEMPLATES: Final[list[Json]] = [
    {"name": f"step-{number}", "container": {"image": "busybox", "args": ["x" * 90, 'ä\n"quoted"']}}
    for number in range(30)
]
PLAIN: Final = msgspec.json.Decoder(Workflow)


def compact(obj: object) -> bytes:
    """Return JSON as the API server writes it."""
    return json.dumps(obj, separators=(",", ":"), ensure_ascii=False).encode()


def body(obj: object, **request: Any) -> bytes:
    """Return a review as the API server writes it."""
    return compact(admission_review(obj, **request))


def long(**spec: Any) -> Json:
    """Return a Workflow of many templates."""
    return workflow(**{"templates": TEMPLATES, **spec})


def as_if_new(content: bytes) -> Workflow | None:
    """Return the Workflow of a review, read as a whole."""
    return PLAIN.decode(compact(json.loads(content)["request"]["object"]))


def read(content: bytes, lists: TemplateLists) -> Workflow | None:
    """Return the Workflow of a review by these lists, None where they do not read it."""
    cut = lists.without_known(content)
    if cut is None:
        found = lists.read(compact(json.loads(content)["request"]["object"]))
        return found.workflow if found is not None else None
    rest, known = cut
    again = lists.with_known(compact(json.loads(rest)["request"]["object"]), known)
    return again.workflow if again is not None else None


def test_a_list_that_was_seen_before_is_read_once() -> None:
    """Two Workflows of the same templates have one tuple, and each its own parameters."""
    one, two = (
        wire.decode(body(long(arguments={"parameters": [{"name": "day", "value": day}]})), Side.MUTATE).review
        for day in ("monday", "tuesday")
    )
    assert one.workflow is not None
    assert two.workflow is not None
    assert one.workflow.spec is not None
    assert two.workflow.spec is not None
    assert isinstance(one.workflow.spec.templates, SharedTemplates)
    assert one.workflow.spec.templates is two.workflow.spec.templates
    assert one.workflow.spec.arguments != two.workflow.spec.arguments


@pytest.mark.parametrize("turns", [1, 3])
def test_what_is_read_is_what_would_be_read_without(turns: int) -> None:
    """The structs, and the bytes of the object, are the same at every time."""
    for _ in range(turns):
        content = body(long(parallelism=4))
        review = wire.decode(content, Side.MUTATE).review
        assert review.workflow == as_if_new(content)
        assert bytes(review.raw) == compact(long(parallelism=4))


def test_templates_are_shared_between_lists() -> None:
    """Of a list with one new template only that one is read."""
    lists = TemplateLists()
    first = read(body(long()), lists)
    second = read(body(long(templates=[*TEMPLATES[:-1], {"name": "new", "suspend": {}}])), lists)
    assert first is not None
    assert second is not None
    assert first.spec is not None
    assert second.spec is not None
    before, after = first.spec.templates or (), second.spec.templates or ()
    assert all(old is new for old, new in zip(before[:-1], after[:-1], strict=True))
    assert after[-1].name == "new"


ELSEWHERE: Final[dict[str, Json]] = {
    "only in the metadata": {**workflow(), "metadata": {"name": "a", "templates": TEMPLATES}},
    "in the metadata, and none in the spec": {
        "metadata": {"name": "a", "templates": TEMPLATES},
        "spec": {"entrypoint": "main", "templates": []},
    },
    "in the metadata, and others in the spec": {
        "metadata": {"name": "a", "templates": TEMPLATES},
        "spec": {"entrypoint": "main", "templates": TEMPLATES[:1]},
    },
    "in the status before the spec": {
        "status": {"storedWorkflowTemplateSpec": {"templates": TEMPLATES}},
        "spec": {"entrypoint": "main", "templates": TEMPLATES[:2]},
    },
    "in a key that ends like it": {
        "metadata": {"labels": {}, 'x"templates': TEMPLATES},
        "spec": {"templates": TEMPLATES[:1]},
    },
    "in a text": {
        "metadata": {"annotations": {"last-applied": json.dumps({"templates": TEMPLATES})}},
        "spec": {"templates": TEMPLATES[:1]},
    },
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_list_elsewhere_is_not_taken_for_the_templates(name: str) -> None:
    """The same bytes in another place change nothing: such an object is read as a whole."""
    wire.decode(body(long()), Side.MUTATE)
    content = body(ELSEWHERE[name])
    assert wire.decode(content, Side.MUTATE).review.workflow == as_if_new(content)


@pytest.mark.parametrize("last", ['"templates":[]', '"templates":null', '"templates":[{"name":"other"}]'])
def test_of_a_field_that_is_given_twice_the_last_counts(last: str) -> None:
    """As everywhere: the known list comes first, and something else follows."""
    wire.decode(body(long()), Side.MUTATE)
    content = body(long()).replace(b'"templates":', f'"entrypoint":"x",{last},"templates":'.encode(), 1)
    turned = body(long())
    end = turned.index(compact(TEMPLATES)) + len(compact(TEMPLATES))
    twice = turned[:end] + b"," + last.encode() + turned[end:]
    for each in (content, twice):
        assert wire.decode(each, Side.MUTATE).review.workflow == as_if_new(each)


def test_a_wrong_rest_is_refused_beside_known_templates() -> None:
    """That the templates are right says nothing about the other fields."""
    webhook = Webhook(EVERYTHING)

    def answered(obj: Json) -> Json:
        reply = webhook.post(body(obj), "/validate")
        response: Json = json.loads(reply.body)["response"]
        return response

    for _ in range(2):
        webhook.post(body(long()), "/validate")
    causes = answered(long(activeDeadlineSeconds="soon"))["status"]["details"]["causes"]
    assert causes[0]["field"] == "spec.activeDeadlineSeconds"


def test_wrong_templates_are_refused_each_time() -> None:
    """A list that Argo cannot decode is never remembered as right."""
    webhook = Webhook()
    wrong = [*TEMPLATES[:-1], {"name": "x", "suspend": {"duration": 5}}]
    for _ in range(3):
        reply = webhook.post(body(long(templates=wrong)), "/validate")
        causes = json.loads(reply.body)["response"]["status"]["details"]["causes"]
        assert [each["field"] for each in causes] == ["spec.templates[29].suspend.duration"]


@pytest.mark.parametrize("obj", [None, [], "x", {"spec": None}, {"spec": {"templates": [None] * 600}}])
def test_what_is_unusual_is_left_alone(obj: object) -> None:
    """Whoever reads it as a whole says what is wrong with it."""
    assert TemplateLists().read(compact(obj).ljust(SHORTEST)) is None


@given(st.lists(st.integers(0, 4), max_size=40), st.booleans())
def test_any_order_of_reviews_is_read_rightly(turns: list[int], small: bool) -> None:  # noqa: FBT001 - a case
    """Also where there is room for one list only."""
    lists = TemplateLists(lists=5000, templates=1000) if small else TemplateLists()
    for turn in turns:
        content = body(long(templates=TEMPLATES[: 26 + turn], parallelism=turn))
        assert read(content, lists) == as_if_new(content)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 50))))
def test_no_more_than_the_bound_is_remembered(entries: list[tuple[int, int]]) -> None:
    """Whatever is stored again and again, and the newest is there unless it alone is too much."""
    kept: ByBytes[int] = ByBytes(100)
    sizes: dict[bytes, int] = {}
    for key, size in entries:
        kept.keep(bytes([key]), size, size)
        sizes[bytes([key])] = size
        assert kept.get(bytes([key])) == size
        assert sum(sizes[each] for each in sizes if kept.get(each) is not None) <= 100


def test_what_follows_from_templates_is_computed_once() -> None:
    """By the key that it is asked for with; a computation that fails is tried again."""
    shared = SharedTemplates.of(b"[]", [Template(name="a")])
    asked: list[str] = []

    def compute() -> int:
        asked.append("")
        if len(asked) == 1:
            raise ValueError
        return len(asked)

    with pytest.raises(ValueError, match=r"^$"):
        shared.once("key", compute)
    assert [shared.once("key", compute) for _ in range(3)] == [2, 2, 2]
    assert shared == (Template(name="a"),)
