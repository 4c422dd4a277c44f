"""A single lock becomes a list where Argo would drop it, in place and once."""

import msgspec
import pytest

from policy.core.decision.decision import Code, Outcome
from policy.core.objects.json_patch import JsonObject
from policy.core.policies.snapshot import Snapshot
from tests.policy.core.builders import (
    lock_policy,
    mutate,
    patched,
    rule,
    semaphore,
    snapshot,
    validate,
    workflow,
)

OPEN: JsonObject = {"requireDefined": False}


def _policies(argo: str = "4.1", **rules: str) -> Snapshot:
    return snapshot(lock_policy(validate={**OPEN, **rules}), argo=argo)


def _changed(spec: JsonObject, policies: Snapshot) -> JsonObject:
    decision = mutate(workflow(spec), policies)
    assert decision.outcome is Outcome.ALLOWED
    changed = patched(workflow(spec), decision.patch)
    assert mutate(changed, policies).patch == ()
    assert validate(changed, policies).allowed
    found = changed["spec"]
    assert isinstance(found, dict)
    return found


EVERYWHERE: JsonObject = {
    "synchronization": {"semaphore": semaphore("db")},
    "templateDefaults": {"synchronization": {"mutex": {"name": "d", "namespace": "team-a"}}},
    "templates": [
        {
            "name": "main",
            "dag": {"tasks": [{"name": "t", "inline": {"synchronization": {"mutex": {"name": "in"}}}}]},
        },
        {"name": "s", "steps": [[{"name": "s", "inline": {"synchronization": {"mutex": {"name": "in"}}}}]]},
        {
            "name": "both",
            "container": {"image": "a"},
            "synchronization": {
                "mutex": {"name": "a"},
                "mutexes": [{"name": "b"}],
                "semaphore": semaphore("x"),
            },
        },
        {
            "name": "twice",
            "container": {"image": "a"},
            "synchronization": {"mutex": {"name": "a"}, "mutexes": [{"name": "a"}]},
        },
    ],
}


def test_every_single_lock_is_written_as_a_list() -> None:
    """At the Workflow, in defaults, templates and inline ones; beside a list it joins it, once."""
    changed = _changed(EVERYWHERE, _policies())
    one: JsonObject = {"synchronization": {"mutexes": [{"name": "in"}]}}
    assert changed == {
        "synchronization": {"semaphores": [semaphore("db")]},
        "templateDefaults": {"synchronization": {"mutexes": [{"name": "d", "namespace": "team-a"}]}},
        "templates": [
            {"name": "main", "dag": {"tasks": [{"name": "t", "inline": one}]}},
            {"name": "s", "steps": [[{"name": "s", "inline": one}]]},
            {
                "name": "both",
                "container": {"image": "a"},
                "synchronization": {
                    "mutexes": [{"name": "b"}, {"name": "a"}],
                    "semaphores": [semaphore("x")],
                },
            },
            {"name": "twice", "container": {"image": "a"}, "synchronization": {"mutexes": [{"name": "a"}]}},
        ],
    }


def test_injection_continues_from_the_converted_lists() -> None:
    """A lock that a rule adds joins the converted one."""
    spec: JsonObject = {
        "templates": [
            {"name": "load", "container": {"image": "a"}, "synchronization": {"mutex": {"name": "a"}}}
        ]
    }
    policies = snapshot(lock_policy(validate=OPEN, inject=[rule("r", {"mutex": "b"}, names=["load"])]))
    changed = _changed(spec, policies)
    (template,) = msgspec.convert(changed["templates"], list[dict[str, object]])
    assert template["synchronization"] == {"mutexes": [{"name": "a"}, {"name": "b"}]}


def test_a_policy_may_refuse_single_locks() -> None:
    """Then each is a reason, and nothing is changed."""
    decision = mutate(workflow({"synchronization": {"mutex": {"name": "a"}}}), _policies(singular="Deny"))
    assert [(each.code, each.field) for each in decision.reasons] == [
        (Code.LOCK_FORM, "spec.synchronization.mutex")
    ]


@pytest.mark.parametrize("argo", ["3.4", "3.5", "3.6", "3.7"])
def test_an_argo_that_reads_single_locks_keeps_them(argo: str) -> None:
    """Before 3.6 there is no list at all."""
    decision = mutate(workflow({"synchronization": {"mutex": {"name": "a"}}}), _policies(argo))
    assert (decision.outcome, decision.patch) == (Outcome.ALLOWED, ())


def test_the_validating_side_refuses_what_was_not_converted() -> None:
    """It would run unlocked."""
    decision = validate(workflow({"synchronization": {"mutex": {"name": "a"}}}), _policies())
    assert {each.code for each in decision.reasons} == {Code.NOT_MUTATED}


def test_an_empty_block_is_warned_of_and_refused_where_single_locks_are() -> None:
    """The CRD of Argo 4 drops a single lock before admission, and leaves an empty block."""
    (warning,) = mutate(workflow({"synchronization": {}}), _policies()).warnings
    assert warning == (
        "lockkeeper: spec.synchronization: holds no lock; if it had a single semaphore or mutex, Argo's CRD "
        "has dropped it: write semaphores or mutexes"
    )
    (reason,) = mutate(workflow({"synchronization": {}}), _policies(singular="Deny")).reasons
    assert (reason.code, reason.field) == (Code.LOCK_FORM, "spec.synchronization")
    assert mutate(workflow({"synchronization": {}}), _policies("3.7")).warnings == ()
