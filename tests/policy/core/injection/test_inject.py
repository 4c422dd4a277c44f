"""Injection puts the locks of policies on the templates that they select: all of them, once, nowhere else."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonpointer import JsonPointer

from policy.core.decision.decision import Code, Injection, Reason
from policy.core.injection.inject import inject
from policy.core.injection.injection_result import Injected
from policy.core.injection.reviewed_object import ReviewedObject
from policy.core.lock_checks.rulebook import Rulebook
from policy.core.lock_model.lock_names import held_locks
from policy.core.lock_model.lock_policies import LockPolicies
from policy.core.lock_model.template_bodies import all_bodies
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policies.snapshot import Document
from tests.policy.core.builders import (
    NAMESPACE,
    at,
    cluster_lock_policy,
    definition,
    lock_policy,
    locks_of,
    patched,
    rule,
    semaphore,
    semaphore_target,
    spec_of,
    template_of,
    workflow,
)
from tests.policy.core.drawing import SELECTORS, TARGETS, blocks, templates

SOURCE: Final = "SynchronizationPolicy team-a/locks"
DB: Final = semaphore_target("db")
BLOCK: Final = ("spec", "templates", 0, "synchronization")
DB_NAME: Final = "team-a/ConfigMap/limits/db"


THERE: Final = lock_policy("there", namespace="team-b", semaphores=[definition("db")])


def _policy(*rules: JsonObject) -> Document:
    return lock_policy(
        inject=list(rules),
        semaphores=[definition("db"), definition("gpu")],
        validate={"crossNamespace": "Allow"},
    )


def _inject(obj: JsonObject, locks: LockPolicies, labels: dict[str, str] | None = None) -> Injected:
    spec = spec_of(_dict(obj, "spec"))
    reviewed = ReviewedObject(view=locks.view(spec), raw=msgspec.Raw(msgspec.json.encode(obj)))
    return inject(spec, all_bodies(spec), Rulebook(locks, locks.active(labels or {})), reviewed)


def _templates(obj: JsonObject) -> list[JsonObject]:
    found = at(obj, "spec", "templates")
    assert isinstance(found, list)
    return [each for each in found if isinstance(each, dict)]


def _dict(obj: JsonValue, *path: str | int) -> JsonObject:
    found = at(obj, *path)
    assert isinstance(found, dict)
    return found


def _one(**template: JsonValue) -> JsonObject:
    """Return a Workflow of one container template named `load`."""
    return workflow({"templates": [{"name": "load", "container": {"image": "a"}, **template}]})


def _after(obj: JsonObject, *documents: Document, argo: str = "4.1") -> JsonValue:
    """Return the first template's block after injection."""
    return at(patched(obj, _inject(obj, locks_of(*documents, argo=argo)).patch), *BLOCK)


@pytest.mark.parametrize(
    ("target", "argo", "block"),
    [
        (DB, "4.1", {"semaphores": [semaphore("db")]}),
        ({"mutex": "one"}, "4.1", {"mutexes": [{"name": "one"}]}),
        ({"database": "lab"}, "4.1", {"semaphores": [{"database": {"key": "lab"}}]}),
        (
            semaphore_target("db", namespace="team-b"),
            "3.6",
            {"semaphores": [{"namespace": "team-b", "configMapKeyRef": {"name": "limits", "key": "db"}}]},
        ),
        (DB, "3.6", {"semaphores": [semaphore("db")]}),
        (DB, "3.5", {"semaphore": semaphore("db")}),
        ({"mutex": "one"}, "3.5", {"mutex": {"name": "one"}}),
        ({"mutex": "one"}, "3.4", {"mutex": {"name": "one"}}),
    ],
)
def test_a_lock_is_written_in_the_form_that_the_installed_argo_reads(
    target: JsonObject, argo: str, block: JsonValue
) -> None:
    """Lists since 3.6, a single field before, and no empty fields."""
    assert _after(_one(), _policy(rule("r", target)), THERE, argo=argo) == block


@pytest.mark.parametrize(
    ("target", "argo", "message"),
    [
        (
            {"database": "lab"},
            "3.6",
            (
                "team-a/Database/lab, but Argo 3.6 knows no locks in a database (they came with 3.7); "
                "use a ConfigMap or a mutex"
            ),
        ),
        (
            semaphore_target("db", namespace="team-b"),
            "3.4",
            (
                "team-b/ConfigMap/limits/db, but Argo 3.4 drops it (it came with 3.5) and takes a lock of "
                "the Workflow's own namespace"
            ),
        ),
    ],
)
def test_a_lock_that_the_installed_argo_does_not_know_is_not_written(
    target: JsonObject, argo: str, message: str
) -> None:
    """Such an Argo would end the Workflow with an error or take another lock; the fault is the policy's."""
    found = _inject(_one(), locks_of(_policy(rule("r", target)), THERE, argo=argo))
    assert (found.patch, found.locks) == ((), ())
    wanted = (Code.LOCK_FORM, f"{SOURCE} injects {message}")
    assert [(each.code, each.message) for each in found.faults] == [wanted]


@pytest.mark.parametrize(
    ("present", "block"),
    [
        (None, {"semaphores": [semaphore("db")]}),
        ({}, {"semaphores": [semaphore("db")]}),
        ({"semaphores": None}, {"semaphores": [semaphore("db")]}),
        ({"semaphores": []}, {"semaphores": [semaphore("db")]}),
        ({"semaphores": [semaphore("gpu")]}, {"semaphores": [semaphore("gpu"), semaphore("db")]}),
        (
            {"mutexes": [{"name": "one"}]},
            {"mutexes": [{"name": "one"}], "semaphores": [semaphore("db")]},
        ),
        ({"mutexes": None, "later": 1}, {"mutexes": None, "later": 1, "semaphores": [semaphore("db")]}),
        ({"semaphores": [semaphore("db")]}, {"semaphores": [semaphore("db")]}),
        (
            {"semaphores": [semaphore("db", namespace=NAMESPACE)]},
            {"semaphores": [semaphore("db", namespace=NAMESPACE)]},
        ),
        (
            {"semaphores": [semaphore("db", namespace="team-b")]},
            {"semaphores": [semaphore("db", namespace="team-b"), semaphore("db")]},
        ),
    ],
)
def test_only_what_is_missing_is_added_to_what_a_template_holds(present: JsonValue, block: JsonValue) -> None:
    """Absent, null, empty or filled: present locks stay first, and the same lock is not put twice."""
    assert _after(_one(synchronization=present), _policy(rule("r", DB))) == block


def test_several_rules_on_one_template_are_put_in_their_order() -> None:
    """Semaphores and mutexes each in the order of policies and rules."""
    documents = [
        _policy(rule("z", DB), rule("y", {"mutex": "m2"}), rule("x", {"database": "lab"})),
        cluster_lock_policy(inject=[rule("c", {"mutex": "m1"})]),
    ]
    block = {
        "semaphores": [semaphore("db"), {"database": {"key": "lab"}}],
        "mutexes": [{"name": "m1"}, {"name": "m2"}],
    }
    assert _after(_one(), *documents) == block
    assert _after(_one(synchronization={"semaphores": [], "mutexes": None}), *documents) == block


def test_rules_that_want_the_same_lock_put_it_once() -> None:
    """The first rule has it; with and without the own namespace is one lock."""
    locks = locks_of(_policy(rule("a", DB), rule("b", semaphore_target("db", namespace=NAMESPACE))))
    found = _inject(_one(), locks)
    assert found.locks == (Injection("load", DB_NAME, "a", SOURCE),)
    assert at(patched(_one(), found.patch), *BLOCK) == {"semaphores": [semaphore("db")]}


def test_a_lock_that_a_template_holds_already_does_not_hide_the_rules_after_it() -> None:
    """The first and the second rule are met; the third still has to be."""
    rules = [rule("a", DB), rule("b", {"mutex": "one"}), rule("c", semaphore_target("gpu"))]
    held: JsonObject = {"semaphores": [semaphore("db")], "mutexes": [{"name": "one"}]}
    assert _after(_one(synchronization=held), _policy(*rules)) == {
        "semaphores": [semaphore("db"), semaphore("gpu")],
        "mutexes": [{"name": "one"}],
    }


def test_every_injected_lock_is_reported() -> None:
    """Template, lock, rule and policy; an inline template without a name is known by its path."""
    dag: JsonObject = {"tasks": [{"name": "t", "inline": {"container": {"image": "a"}}}]}
    obj = workflow({"templates": [{"name": "main", "dag": dag}, {"name": "load", "script": {"image": "a"}}]})
    assert _inject(obj, locks_of(_policy(rule("r", DB)))).locks == (
        Injection("spec.templates[0].dag.tasks[0].inline", DB_NAME, "r", SOURCE),
        Injection("load", DB_NAME, "r", SOURCE),
    )


def test_a_lock_that_the_whole_workflow_holds_is_not_put_on_a_template() -> None:
    """It would wait for its own Workflow for ever at limit 1 (D.1); there is a warning."""
    obj = workflow(
        {
            "synchronization": {"semaphores": [semaphore("db", namespace=NAMESPACE)]},
            "templates": [{"name": "load", "container": {"image": "a"}}],
        }
    )
    found = _inject(obj, locks_of(_policy(rule("r", DB), rule("m", {"mutex": "one"}))))
    assert found.warnings == (
        f"lockkeeper: load: lock {DB_NAME} is not injected, the whole Workflow holds it already",
    )
    assert [each.lock for each in found.locks] == ["team-a/Mutex/one"]


def test_a_lock_is_not_put_on_a_daemon() -> None:
    """Argo frees it at readiness (C.3), so it would protect nothing; a `false` daemon is none."""
    locks = locks_of(_policy(rule("r", DB)))
    found = _inject(_one(daemon=True), locks)
    assert found.patch == ()
    assert found.warnings == (
        (
            f"lockkeeper: load: lock {DB_NAME} is not injected, Argo frees a daemon's locks as soon as it is "
            "ready"
        ),
    )
    assert _inject(_one(daemon=False), locks).locks != ()


@pytest.mark.parametrize(
    "present", [{"semaphore": semaphore("gpu")}, {"mutex": {"name": "other"}}, {"mutex": {"name": "db"}}]
)
def test_an_argo_of_one_lock_a_template_takes_a_second_around_it(present: JsonObject) -> None:
    """Before 3.6 the template has its own lock, under another name, and a DAG of its name holds the other."""
    obj = _one(synchronization=present)
    found = _inject(obj, locks_of(_policy(rule("r", DB)), argo="3.5"))
    base, around = _templates(patched(obj, found.patch))
    assert (base["synchronization"], base["container"]) == (present, {"image": "a"})
    assert (around["name"], around["synchronization"]) == ("load", {"semaphore": semaphore("db")})
    assert around["dag"] == {"tasks": [{"name": "base", "template": base["name"]}]}


def test_an_argo_of_one_lock_refuses_a_second_where_there_can_be_no_layer() -> None:
    """The fault names the lock that is wanted, the reason, and the fixes; nothing is patched."""
    obj = _one(synchronization={"mutex": {"name": "other"}}, script={"source": "echo {{node.name}}"})
    found = _inject(obj, locks_of(_policy(rule("r", DB)), argo="3.5"))
    assert (found.patch, found.locks) == ((), ())
    assert found.faults == (
        Reason(
            Code.LOCK_CONFLICT,
            "spec.templates[0].synchronization",
            "needs the lock team-a/ConfigMap/limits/db, but Argo before 3.6 holds one lock a template, and "
            "there can be none around it: it uses its own name (tasks.name, node.name and the like), which "
            "would be another. Split the template, or remove its own lock",
            SOURCE,
        ),
    )


def test_two_rules_on_one_template_nest_before_argo_3_6() -> None:
    """The first rule's lock is inside, the second one's around it."""
    obj = _one()
    locks = locks_of(_policy(rule("r", DB), rule("m", {"mutex": "one"})), argo="3.5")
    base, around = _templates(patched(obj, _inject(obj, locks).patch))
    assert base["synchronization"] == {"semaphore": semaphore("db")}
    assert around["synchronization"] == {"mutex": {"name": "one"}}


@pytest.mark.parametrize(
    "present",
    [
        {"semaphore": semaphore("db")},
        {"semaphore": None},
        {"mutex": None},
        {},
    ],
)
def test_an_argo_of_one_lock_keeps_the_right_one_and_fills_an_empty_place(present: JsonObject) -> None:
    """The lock that is wanted already, or nothing: in the end the template holds it."""
    wanted = semaphore("db")
    assert (
        at(_after(_one(synchronization=present), _policy(rule("r", DB)), argo="3.5"), "semaphore") == wanted
    )


def test_a_lock_that_the_policy_got_wrong_is_the_policys_fault() -> None:
    """The user wrote nothing; the text names the policy and the field shows the template."""
    found = _inject(_one(), locks_of(_policy(rule("r", semaphore_target("gone")))))
    assert found.faults == (
        Reason(
            Code.LOCK_UNDEFINED,
            "spec.templates[0].synchronization",
            "SynchronizationPolicy team-a/locks injects team-a/ConfigMap/limits/gone, but semaphore "
            '"gone" is not defined in ConfigMap team-a/limits; Argo would fail the Workflow. '
            "Known keys: db, gpu",
            SOURCE,
        ),
    )


def test_a_rule_of_a_policy_that_does_not_match_the_workflow_puts_nothing() -> None:
    """`match.workflows` is evaluated for each Workflow, though templates are remembered."""
    etl: JsonObject = {"workflows": {"matchLabels": {"team": "etl"}}}
    locks = locks_of(
        _policy(rule("r", DB)), lock_policy("etl", match=etl, inject=[rule("e", {"mutex": "one"})])
    )
    for _ in range(2):
        assert [each.rule for each in _inject(_one(), locks).locks] == ["r"]
        found = _inject(_one(), locks, {"team": "etl"})
        assert sorted(each.rule for each in found.locks) == ["e", "r"]


def test_faults_of_a_rule_follow_the_policies_that_apply_to_the_workflow() -> None:
    """Results about a rule's lock that are stored for all policies are not used where one does not apply."""
    etl: JsonObject = {"workflows": {"matchLabels": {"team": "etl"}}}
    locks = locks_of(
        lock_policy(inject=[rule("r", DB)], validate={"requireDefined": False}),
        lock_policy("strict", match=etl),
    )
    for _ in range(2):
        assert [each.code for each in _inject(_one(), locks, {"team": "etl"}).faults] == [Code.LOCK_UNDEFINED]
        assert _inject(_one(), locks).faults == ()


@pytest.mark.parametrize(
    "present",
    [
        None,
        {},
        {"semaphores": None},
        {"mutexes": [{"name": "own"}]},
        {"semaphores": []},
        {"semaphores": [], "mutexes": []},
    ],
)
def test_an_injected_lock_does_not_take_away_the_one_of_the_template_defaults(present: JsonValue) -> None:
    """C.3: Argo merges the defaults field by field, so a list of the template's own replaces theirs."""
    defaults: JsonObject = {"semaphores": [semaphore("gpu")], "mutexes": [{"name": "one", "database": True}]}
    obj = workflow(
        {
            "templateDefaults": {"synchronization": defaults},
            "templates": [{"name": "load", "container": {"image": "a"}, "synchronization": present}],
        }
    )
    locks = locks_of(_policy(rule("r", DB), rule("m", {"mutex": "m"})))
    before = _merged(at(obj, *BLOCK), defaults)
    changed = patched(obj, _inject(obj, locks).patch)
    assert _merged(at(changed, *BLOCK), defaults) == before | {DB_NAME, "team-a/Mutex/m"}
    assert _inject(changed, locks).patch == ()


def _merged(own: JsonValue, defaults: JsonObject) -> frozenset[str]:
    """Return the locks that Argo sees: Go leaves empty fields out, then merges over the defaults."""
    filled = {key: value for key, value in own.items() if value} if isinstance(own, dict) else {}
    return _held({"synchronization": {**defaults, **filled}})


@pytest.mark.parametrize(
    ("default", "argo"),
    [
        ({"semaphores": [semaphore("db")], "mutexes": [{"name": "one"}]}, "4.1"),
        ({"semaphore": semaphore("db"), "mutex": {"name": "one"}}, "3.6"),
    ],
)
@pytest.mark.parametrize("present", [None, {}, {"mutexes": None}])
def test_a_lock_of_the_template_defaults_is_not_put_again(
    default: JsonObject, argo: str, present: JsonValue
) -> None:
    """Every template holds it already, in either form."""
    obj = workflow(
        {
            "templateDefaults": {"synchronization": default},
            "templates": [{"name": "load", "container": {"image": "a"}, "synchronization": present}],
        }
    )
    found = _inject(obj, locks_of(_policy(rule("r", DB), rule("m", {"mutex": "one"})), argo=argo))
    assert (found.patch, found.locks) == ((), ())


@pytest.mark.parametrize("default", [{"semaphore": semaphore("gpu")}, {"mutex": {"name": "other"}}])
def test_a_default_lock_is_the_one_lock_of_an_argo_before_3_6(default: JsonObject) -> None:
    """Merged with the injected one it would be replaced by it, or the mutex would be ignored."""
    obj = workflow(
        {
            "templateDefaults": {"synchronization": default},
            "templates": [{"name": "load", "container": {"image": "a"}}],
        }
    )
    found = _inject(obj, locks_of(_policy(rule("r", DB)), argo="3.5"))
    assert found.patch == ()
    assert [each.code for each in found.faults] == [Code.LOCK_CONFLICT]


@st.composite
def _cases(draw: st.DrawFn) -> tuple[JsonObject, LockPolicies]:
    argo = draw(st.sampled_from(("3.5", "3.6", "3.7", "4.1")))
    lists = argo != "3.5"
    spec: JsonObject = {
        "templates": list(draw(st.lists(templates(lists=lists), min_size=1, max_size=4))),
    }
    if draw(st.integers(0, 3)) == 0:
        spec["synchronization"] = draw(blocks(lists=lists))
    chosen = draw(st.lists(st.sampled_from(TARGETS), min_size=1, max_size=3))
    rules = [
        rule(f"{name}-{n}", target, **draw(st.sampled_from(SELECTORS)))
        for n, (name, target) in enumerate(chosen)
    ]
    return workflow(spec), locks_of(_policy(*rules), argo=argo)


def _bodies(obj: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    """Yield each template body as JSON with its pointer."""
    for place in all_bodies(spec_of(_dict(obj, "spec"))):
        body = JsonPointer(place.pointer).resolve(obj)
        assert isinstance(body, dict)
        yield place.pointer, body


def _held(body: JsonObject) -> frozenset[str]:
    block = template_of(body).synchronization
    return held_locks(block, NAMESPACE) if block is not None else frozenset()


@given(_cases())
@settings(max_examples=200)
def test_injecting_again_changes_nothing(case: tuple[JsonObject, LockPolicies]) -> None:
    """The validating side sees the result of the first pass and must find nothing left to do."""
    obj, locks = case
    first = _inject(obj, locks)
    second = _inject(patched(deepcopy(obj), first.patch), locks)
    assert second.patch == ()
    assert second.locks == ()
    assert second.warnings == first.warnings


@given(_cases())
def test_locks_that_were_there_stay_where_they_were(case: tuple[JsonObject, LockPolicies]) -> None:
    """Order within a list is the order in which Argo takes locks: ours come last."""
    obj, locks = case
    changed = dict(_bodies(patched(deepcopy(obj), _inject(obj, locks).patch)))
    for pointer, body in _bodies(obj):
        for name in ("semaphores", "mutexes"):
            before = at(body, "synchronization", name)
            after = at(changed[pointer], "synchronization", name)
            if isinstance(before, list):
                assert isinstance(after, list)
                assert after[: len(before)] == before
        for name in ("semaphore", "mutex"):
            before = at(body, "synchronization", name)
            assert before is None or at(changed[pointer], "synchronization", name) == before
