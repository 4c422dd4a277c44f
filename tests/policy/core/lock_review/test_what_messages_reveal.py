"""A refusal shows nothing that a user may not read: keys and values of ConfigMaps, limits, Workflow names.

A user who may create Workflows can name any key of any ConfigMap, if only in a dry run, and reads the answer.
"""

from datetime import UTC, datetime
from typing import Final

import pytest

from policy.core.decision.decision import Code, Decision, Outcome
from policy.core.lock_queues.live_workflow import LockHold, LockWait, Traced
from policy.core.lock_queues.lock_queues import live_deadlocks, lock_queues
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policies.conflicts import all_findings
from policy.core.policies.snapshot import Document, Snapshot
from policy.core.policy_kinds.kinds import ConfigMap, PolicyMetadata
from tests.policy.core.builders import (
    cluster_lock_policy,
    config_map,
    definition,
    lock_policy,
    mutate,
    namespace_object,
    rule,
    semaphore,
    semaphore_target,
    snapshot,
    validate,
    workflow,
)

SECRET: Final = "hunter2-not-a-number"  # noqa: S105 - a made-up one, to look for in messages
THEIRS: Final = "team-b"
OTHER_KEY: Final = "api-token"
CLOSED: Final = lock_policy()
OPEN: Final = lock_policy(validate={"crossNamespace": "Allow"})
NOWHERE: Final = (
    'semaphore "{key}" of ConfigMap team-b/limits is not defined, or no number of 1 or more; Argo would fail '
    "the Workflow. Have it defined there, or use another"
)


def _maps(namespace: str) -> list[Document]:
    data = {OTHER_KEY: SECRET, "gpu": "7", "low": "0", "pin": "4711"}
    return [ConfigMap(PolicyMetadata(name="limits", namespace=namespace), data)]


def _asking(key: str, namespace: str | None = None, config_map: str = "limits") -> JsonObject:
    more: JsonObject = {} if namespace is None else {"namespace": namespace}
    block: JsonObject = {"semaphores": [semaphore(key, config_map, **more)]}
    leaf: JsonObject = {"name": "main", "container": {"image": "a"}, "synchronization": block}
    return workflow({"entrypoint": "main", "templates": [leaf]})


def _answers(obj: JsonObject, policies: Snapshot) -> list[Decision]:
    return [mutate(obj, policies), validate(obj, policies)]


def _text(decision: Decision) -> str:
    return "\n".join([*(f"{each.field}: {each.message}" for each in decision.reasons), *decision.warnings])


ASKED: Final = ("gpu", "gpus", "low", OTHER_KEY, "api-tokens", "nothing-like-it")


@pytest.mark.parametrize("key", ASKED)
def test_of_a_closed_namespace_nothing_is_shown_but_that_it_is_closed(key: str) -> None:
    """Whether it exists and whatever its content, the answer is exactly the same."""
    full, empty = snapshot(CLOSED, *_maps(THEIRS)), snapshot(CLOSED)
    for decision, bare in zip(
        _answers(_asking(key, THEIRS), full), _answers(_asking(key, THEIRS), empty), strict=True
    ):
        assert decision.outcome is Outcome.DENIED
        assert [each.code for each in decision.reasons] == [Code.LOCK_NAMESPACE]
        assert _text(decision) == _text(bare)
        assert SECRET not in _text(decision)
        assert key not in _text(decision)


@pytest.mark.parametrize("key", ASKED)
def test_of_an_open_namespace_only_is_shown_whether_argo_would_run_it(key: str) -> None:
    """One sentence for what is missing, what is no number, and what is too small; no key, no value."""
    for decision in _answers(_asking(key, THEIRS), snapshot(OPEN, *_maps(THEIRS))):
        if key == "gpu":
            assert decision.outcome is Outcome.ALLOWED
        else:
            (reason,) = decision.reasons
            assert (reason.code, reason.message) == (Code.LOCK_UNDEFINED, NOWHERE.format(key=key))


@pytest.mark.parametrize("key", [OTHER_KEY, "api-tokens", "gpus", "nothing-like-it"])
def test_in_the_own_namespace_no_value_is_shown_that_is_no_number(key: str) -> None:
    """Nor is a key suggested that holds none: its name may show its purpose."""
    for decision in _answers(_asking(key), snapshot(CLOSED, *_maps("team-a"))):
        (reason,) = decision.reasons
        assert SECRET not in reason.message
        if key == OTHER_KEY:
            assert "has a value that is no number for api-token" in reason.message
        else:
            assert OTHER_KEY not in reason.message.replace(f'"{key}"', "")
            assert "gpu" in reason.message  # A key with a number may be what was meant.


@pytest.mark.parametrize(
    "reference",
    [
        {"semaphores": [semaphore("{{workflow.parameters.k}}", namespace=THEIRS)]},
        {"semaphores": [semaphore("{{= workflow.name == 'x' ? 'api-token' : 'gpus'}}", namespace=THEIRS)]},
        {"semaphore": semaphore(OTHER_KEY, namespace=THEIRS)},
        {"semaphores": [semaphore(OTHER_KEY, namespace="{{workflow.parameters.n}}")]},
    ],
)
@pytest.mark.parametrize("where", ["template", "workflow", "defaults", "inline"])
def test_no_way_of_writing_a_reference_gets_at_another_namespace(reference: JsonValue, where: str) -> None:
    """A parameter that is filled in, a choice, the single form, wherever a lock may be written."""
    leaf: JsonObject = {"name": "main", "container": {"image": "a"}}
    spec: JsonObject = {"entrypoint": "main", "templates": [leaf]}
    match where:
        case "template":
            leaf["synchronization"] = reference
        case "workflow":
            spec["synchronization"] = reference
        case "defaults":
            spec["templateDefaults"] = {"synchronization": reference}
        case _:
            inline: JsonObject = {"container": {"image": "a"}, "synchronization": reference}
            spec["templates"] = [{"name": "main", "dag": {"tasks": [{"name": "t", "inline": inline}]}}]
    spec["arguments"] = {
        "parameters": [{"name": "k", "value": OTHER_KEY}, {"name": "n", "value": THEIRS}],
    }
    for argo in ("4.1", "3.6"):
        for decision in _answers(workflow(spec), snapshot(CLOSED, *_maps(THEIRS), argo=argo)):
            assert SECRET not in _text(decision)
            assert "gpu" not in _text(decision).replace("'gpus'", "")
            assert Code.LOCK_LIMIT not in [each.code for each in decision.reasons]


@pytest.mark.parametrize("policy", [CLOSED, OPEN])
def test_no_deadlock_shows_the_limit_of_another_namespace(policy: Document) -> None:
    """It is checked where the other namespace is open, but only messages of the own one have numbers."""
    here = _asking_twice(None)
    there = _asking_twice(THEIRS)
    policies = snapshot(policy, *_maps("team-a"), *_maps(THEIRS))
    assert "once 7 hold it above" in _text(mutate(here, policies))
    told = _text(mutate(there, policies))
    assert "7" not in told
    assert "4711" not in told


def _asking_twice(namespace: str | None) -> JsonObject:
    """Return a Workflow that takes a lock below itself, under a condition."""
    more: dict[str, JsonValue] = {} if namespace is None else {"namespace": namespace}
    block: JsonObject = {"semaphores": [semaphore("gpu", "limits", **more)]}
    leaf: JsonObject = {"name": "leaf", "container": {"image": "a"}, "synchronization": block}
    task: JsonObject = {"name": "t", "template": "leaf", "when": "{{workflow.name}} == x"}
    main: JsonObject = {"name": "main", "dag": {"tasks": [task]}, "synchronization": block}
    return workflow({"entrypoint": "main", "templates": [main, leaf]})


def test_a_limit_that_is_not_looked_at_makes_no_deadlock_certain() -> None:
    """Otherwise a refusal would show that a closed namespace's limit is 1."""
    one = config_map(namespace=THEIRS, gpu="1")
    many = config_map(namespace=THEIRS, gpu="50")
    told = {_text(mutate(_asking_twice(THEIRS), snapshot(CLOSED, each))) for each in (one, many)}
    assert len(told) == 1


def test_the_status_of_a_cluster_policy_shows_nothing_of_config_maps() -> None:
    """A user who may read it need not belong to the namespaces that it applies to."""
    asked = cluster_lock_policy(
        inject=[rule("a", semaphore_target("gpus")), rule("b", semaphore_target(OTHER_KEY))]
    )
    spaces = [namespace_object(name) for name in ("team-a", THEIRS)]
    found = all_findings(snapshot(asked, *spaces, *_maps("team-a"), *_maps(THEIRS)))
    text = "\n".join(each.message for findings in found.values() for each in findings)
    assert "gpus" in text
    assert SECRET not in text
    assert "did you mean" not in text
    assert "Known keys" not in text
    assert '"gpu"' not in text


def test_the_status_of_a_policy_shows_only_numbers_of_its_own_namespace() -> None:
    """A policy may name any key in its rules, and its conditions are there to read."""
    asked = lock_policy(
        inject=[
            rule("a", semaphore_target(OTHER_KEY)),
            rule("b", semaphore_target(OTHER_KEY, namespace=THEIRS)),
        ],
        validate={"crossNamespace": "Allow"},
    )
    found = all_findings(snapshot(asked, namespace_object("team-a"), *_maps("team-a"), *_maps(THEIRS)))
    text = "\n".join(each.message for findings in found.values() for each in findings)
    assert "a value that is no number" in text
    assert SECRET not in text


def test_another_limit_of_a_namespace_is_not_shown_to_readers_of_a_cluster_policy() -> None:
    """It is in the status of the namespace's own policy."""
    theirs = lock_policy("own", semaphores=[definition("db", 4711)])
    everywhere = cluster_lock_policy(semaphores=[definition("db", 2)])
    found = all_findings(snapshot(theirs, everywhere, namespace_object("team-a")))
    (finding,) = found[next(name for name in found if not name.namespace)]
    assert "gives key db of ConfigMap limits another limit" in finding.message
    assert "4711" not in finding.message


def test_a_deadlock_names_no_workflow_of_another_namespace() -> None:
    """Who reads the event may not list the Workflows there; how many hold the lock is enough to act."""
    now = datetime(2026, 3, 1, tzinfo=UTC)
    lock = "team-a/Mutex/m"

    def traced(namespace: str, name: str, *, holds: str, waits: str) -> Traced:
        return Traced(
            namespace=namespace,
            name=name,
            uid=f"{namespace}-{name}",
            created=now,
            priority=0,
            deadline=None,
            holds=(LockHold(holds, "", ("",)),),
            waits=(LockWait(waits, "", now),),
            named=frozenset(),
            indexed=frozenset(),
            open_ended=False,
        )

    other = "team-a/Mutex/n"
    found = live_deadlocks(
        lock_queues(
            [
                traced("team-a", "mine", holds=lock, waits=other),
                traced(THEIRS, "secret-project", holds=other, waits=lock),
            ],
            lambda _: 1,
        )
    )
    mine = next(each.text for each in found if each.workflow.name == "mine")
    assert f"{other}, which 1 of other namespaces will not give back" in mine
    assert "secret-project" not in mine
