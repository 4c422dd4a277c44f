"""What all templates of a namespace show together stays right as they change, and little of it is redone."""

from random import Random
from typing import Final

import pytest

from policy.core.lock_graph.template_library import Library, NamespaceIndex, library_of
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.template_keys import TemplateKey
from policy.core.objects.workflow import WorkflowSpec
from policy.core.values.budget import TimeSpentError
from tests.policy.core.builders import NAMESPACE, spec_of
from tests.policy.core.counting_budget import CountingBudget
from tests.policy.core.lock_graph.graphs import calling, calling_other, dag, leaf, mutexes

OTHER: Final = "team-b"
NAMES: Final = ("t0", "t1", "t2", "t3")


def _spec(*templates: JsonObject, **more: JsonObject) -> WorkflowSpec:
    return spec_of({"templates": list(templates), **more})


def _library(before: Library | None = None, **specs: WorkflowSpec) -> Library:
    return library_of({TemplateKey(NAMESPACE, name): spec for name, spec in specs.items()}, before)


def _orders(index: NamespaceIndex) -> dict[tuple[str, str], set[TemplateKey]]:
    return {
        (outer, inner): set(found)
        for outer, inside in index.orders.items()
        for inner, found in inside.items()
        if found
    }


def test_a_template_takes_no_lock_if_it_and_all_that_it_calls_take_none() -> None:
    """Through other objects too; what does not exist yet may take one once it is created."""
    library = _library(
        calm=_spec(leaf("a"), dag("calls", calling("a"))),
        locked=_spec(leaf("a", "m"), leaf("free")),
        user=_spec(
            dag("loud", calling_other("locked", "a")),
            dag("calm", calling_other("locked", "free"), calling_other("calm", "calls")),
            dag("lost", calling_other("gone", "x")),
        ),
        run=_spec(leaf("a"), synchronization=mutexes("m")),
    )
    index = library.index(NAMESPACE)
    assert index.object_takes_no_lock(TemplateKey(NAMESPACE, "calm"))
    assert [
        name for name in ("loud", "calm", "lost") if index.takes_no_lock(TemplateKey(NAMESPACE, "user"), name)
    ] == ["calm"]
    assert not index.object_takes_no_lock(TemplateKey(NAMESPACE, "run"))
    assert not index.takes_no_lock(TemplateKey(NAMESPACE, "gone"), "x")


def test_only_what_refers_to_a_changed_template_is_looked_at_again() -> None:
    """Over several objects; the rest of the index is the same objects as before."""
    quiet = _spec(leaf("a"))
    specs = {
        "far": _spec(dag("main", calling_other("near", "main"))),
        "near": _spec(dag("main", calling_other("base", "a"))),
        "base": quiet,
        "alone": _spec(dag("main", calling("x")), leaf("x", "m")),
    }
    before = _library(None, **specs)
    first = before.index(NAMESPACE)
    after = _library(before, **{**specs, "base": _spec(leaf("a", "m"))})
    index = after.index(NAMESPACE)
    redone = {
        name
        for _, name in index.entries
        if index.entries[TemplateKey(NAMESPACE, name)] is not first.entries[TemplateKey(NAMESPACE, name)]
    }
    assert redone == {"far", "near", "base"}
    assert not index.takes_no_lock(TemplateKey(NAMESPACE, "far"), "main")
    assert first.takes_no_lock(TemplateKey(NAMESPACE, "far"), "main")


def test_nothing_is_redone_where_nothing_changed() -> None:
    """An equal template that was read again is the same one."""
    before = _library(a=_spec(dag("m", calling("x"), mutexes=("o",)), leaf("x", "i")))
    index = before.index(NAMESPACE)
    again = _library(before, a=_spec(dag("m", calling("x"), mutexes=("o",)), leaf("x", "i")))
    assert again.index(NAMESPACE) is index


def test_a_template_of_the_cluster_counts_in_every_namespace() -> None:
    """With the locks of the namespace that runs it."""
    shared = _spec(dag("m", calling("x"), mutexes=("o",)), leaf("x", "i"))
    library = library_of(
        {TemplateKey("", "shared"): shared, TemplateKey(OTHER, "own"): _spec(leaf("a", "m"))}
    )
    assert _orders(library.index(NAMESPACE)) == {
        (f"{NAMESPACE}/Mutex/o", f"{NAMESPACE}/Mutex/i"): {TemplateKey("", "shared")}
    }
    assert set(library.index(OTHER).entries) == {TemplateKey("", "shared"), TemplateKey(OTHER, "own")}


def _random_spec(random: Random) -> WorkflowSpec:
    main: list[JsonObject] = [calling("leaf", when="x")] if random.random() < 0.5 else []
    main += [
        calling_other(random.choice(NAMES), random.choice(("main", "leaf")))
        for _ in range(random.randint(0, 2))
    ]
    held = tuple(random.sample("abc", random.randint(0, 2)))
    inner = tuple(random.sample("abc", random.randint(0, 1)))
    more: dict[str, JsonObject] = {"synchronization": mutexes("run")} if random.random() < 0.2 else {}
    return _spec(dag("main", *main, mutexes=held), leaf("leaf", *inner), **more)


@pytest.mark.parametrize("seed", range(60))
def test_an_updated_index_equals_a_new_one(seed: int) -> None:
    """Templates are created, changed and deleted; the older index does not change."""
    random = Random(seed)
    specs: dict[TemplateKey, WorkflowSpec] = {}
    library = library_of(specs)
    library.index(NAMESPACE)
    for _ in range(8):
        scope = random.choice((NAMESPACE, NAMESPACE, ""))
        key = TemplateKey(scope, random.choice(NAMES))
        if random.random() < 0.3:
            specs = {each: spec for each, spec in specs.items() if each != key}
        else:
            specs = {**specs, key: _random_spec(random)}
        before = _orders(library.index(NAMESPACE))
        followed = library_of(specs, library)
        assert _orders(library.index(NAMESPACE)) == before
        library = followed
        index, new = library.index(NAMESPACE), library_of(specs).index(NAMESPACE)
        assert index.entries.keys() == new.entries.keys()
        for each in index.entries:
            assert index.entries[each].taking == new.entries[each].taking
            assert index.entries[each].looked_up == new.entries[each].looked_up
        assert _orders(index) == _orders(new)
        assert {each: set(found) for each, found in index.users.items() if found} == {
            each: set(found) for each, found in new.users.items() if found
        }


def test_what_was_found_out_is_kept_when_a_review_runs_out_of_time() -> None:
    """Each review continues where the last one was stopped, so in the end one gets an answer."""
    specs = {f"t{number}": _spec(dag("d", calling("a")), leaf("a", "m")) for number in range(10)}
    library = library_of({TemplateKey(NAMESPACE, name): spec for name, spec in specs.items()})
    for known in (3, 6, 9):
        with pytest.raises(TimeSpentError, match="templates"):
            library.index(NAMESPACE, CountingBudget(3))
        assert [(name, len(begun)) for name, begun in library.unfinished.items()] == [(NAMESPACE, known)]
    found = library.index(NAMESPACE, CountingBudget(3))
    assert found == library.index(NAMESPACE)
    assert library.unfinished.items() == []
    assert found.entries.keys() == library.templates.keys()
