"""Templates and lock rules drawn at random, for the tests that look for what nobody thought of."""

from typing import Final

from hypothesis import strategies as st

from policy.core.objects.json_patch import JsonObject, JsonValue
from tests.policy.core.builders import NAMESPACE, semaphore, semaphore_target

TARGETS: Final[tuple[tuple[str, JsonObject], ...]] = (
    ("db", semaphore_target("db")),
    ("gpu", semaphore_target("gpu")),
    ("m1", {"mutex": "m1"}),
    ("m2", {"mutex": "m2"}),
    ("lab", {"database": "lab"}),
)
SELECTORS: Final[tuple[JsonObject, ...]] = (
    {"names": ["load*"]},
    {"images": ["db:*"]},
    {"types": ["script", "dag"]},
    {"names": ["*"]},
    {"labels": {"lock": "yes"}},
)
_REFS: Final[st.SearchStrategy[JsonValue]] = st.sampled_from(
    (semaphore("db"), semaphore("gpu"), semaphore("db", namespace=NAMESPACE))
)
_MUTEXES: Final[st.SearchStrategy[JsonValue]] = st.sampled_from(({"name": "m1"}, {"name": "m3"}))


@st.composite
def blocks(draw: st.DrawFn, *, lists: bool) -> JsonValue:
    """Draw a `synchronization` in the form of the installed Argo: null, empty, partly null, or with locks."""
    block: JsonObject = {}
    if lists:
        if draw(st.booleans()):
            block["semaphores"] = draw(st.one_of(st.none(), st.lists(_REFS, max_size=2)))
        if draw(st.booleans()):
            block["mutexes"] = draw(st.one_of(st.none(), st.lists(_MUTEXES, max_size=2)))
    elif draw(st.booleans()):
        block["semaphore"] = draw(st.one_of(st.none(), _REFS))
    elif draw(st.booleans()):
        block["mutex"] = draw(st.one_of(st.none(), _MUTEXES))
    return draw(st.sampled_from((None, block, block)))


@st.composite
def templates(draw: st.DrawFn, *, lists: bool, depth: int = 2) -> JsonObject:
    """Draw a template body of a leaf, or of calls with inline bodies `depth` levels deep."""
    template: JsonObject = {}
    if draw(st.booleans()):
        template["name"] = draw(st.sampled_from(("load", "load-2", "save")))
    kinds = ("container", "script", "http", "suspend", "dag", "steps")
    kind = draw(st.sampled_from(kinds if depth else kinds[:4]))
    inner = templates(lists=lists, depth=depth - 1)
    if kind in ("dag", "steps"):
        calls: list[JsonValue] = [
            {"name": f"c{n}", "inline": draw(inner)} for n in range(draw(st.integers(0, 2)))
        ]
        calls.append({"name": "last", "template": "load"})
        template[kind] = {"tasks": calls} if kind == "dag" else [calls]
    else:
        template[kind] = {"image": draw(st.sampled_from(("db:1", "web:1")))}
    if draw(st.booleans()):
        template["synchronization"] = draw(blocks(lists=lists))
    if draw(st.integers(0, 3)) == 0:
        template["metadata"] = {"labels": {"lock": "yes"}}
    if draw(st.integers(0, 4)) == 0:
        template["daemon"] = True
    return template
