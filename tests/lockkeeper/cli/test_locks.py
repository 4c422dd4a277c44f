"""`lockkeeper locks`: the queues of a cluster as people and programs read them."""

import argparse
from datetime import timedelta
from random import Random

import msgspec
import pytest

from lockkeeper.cli import locks
from lockkeeper.locks.live_locks import SemaphoreLimits, ShownLocks, live_traces, shown, table
from lockkeeper.process.console import UsageError
from policy.cluster.errors import Forbidden
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import CONFIG_MAPS, WORKFLOWS, Resource
from policy.core.lock_queues.lock_queues import LockQueue, live_deadlocks, lock_queues
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from tests.lockkeeper.commands import Lockkeeper
from tests.policy.core.lock_graph.running import (
    BEGIN,
    NAMESPACE,
    mutex,
    node,
    running,
    semaphore,
    stamp,
    traced,
)

DB = semaphore("db")
KNOT = (
    "waits for ever for team-a/Mutex/m, which only itself holds. Terminate it (argo terminate knot), and "
    "take one of the locks away or ask for all of them in one place"
)
NOW = BEGIN + timedelta(seconds=100)


class Guarded(MemoryCluster):
    """A cluster that does not show every ConfigMap."""

    def get(self, resource: Resource, name: str, *, namespace: str = "") -> JsonObject:
        if resource == CONFIG_MAPS and namespace == "secret":
            raise Forbidden("not for you")
        return super().get(resource, name, namespace=namespace)


@pytest.fixture
def cluster() -> Guarded:
    """Return a cluster with a semaphore of 1 that is held, and a Workflow that waits for itself."""
    made = Guarded(clock=lambda: NOW, rng=Random(1))
    limits: JsonObject = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "limits", "namespace": NAMESPACE},
        "data": {"db": "1", "odd": "many"},
    }
    made.create(CONFIG_MAPS, limits)
    knot = running(
        "knot", holds={mutex("m"): [""]}, nodes={"n": node(phase="Pending", waiting=mutex("m"), at=40)}
    )
    for each in (
        running("holder", holds={DB: ["n"]}, nodes={"n": node()}),
        running("waiter", nodes={"n": node(phase="Pending", waiting=DB, at=10)}),
        running("far", holds={semaphore("db", "secret"): [""]}, namespace="secret"),
        knot,
    ):
        made.create(WORKFLOWS, each)
    return made


def found(cluster: Guarded, namespace: str = "") -> tuple[LockQueue, ...]:
    """Return the queues as the command reads them."""
    return lock_queues(live_traces(cluster, namespace, lambda: NOW), SemaphoreLimits(cluster))


def test_a_line_a_lock_and_a_line_a_deadlock(cluster: Guarded) -> None:
    """A limit that may not be read is no reason to show nothing."""
    seen = found(cluster)
    assert table(seen, live_deadlocks(seen), NOW).splitlines() == [
        "LOCK                        LIMIT  HELD  WAITING       OLDEST WAIT  HOLDERS  NEXT",
        "secret/ConfigMap/limits/db  ?      1     0             -            far      -",
        "team-a/ConfigMap/limits/db  1      1     1             1m30s        holder   waiter",
        "team-a/Mutex/m              1      1     1 (deadlock)  1m           knot     knot",
        "",
        f"DEADLOCK  team-a/knot {KNOT}",
    ]
    assert table((), (), NOW) == "no lock is held or waited for"


def test_many_holders_are_counted_and_a_few_are_named() -> None:
    """The rest is in the JSON."""
    nodes = {f"n{number}": node() for number in range(2)}
    many = [traced(running(f"w{index}", holds={DB: list(nodes)}, nodes=nodes)) for index in range(5)]
    seen = lock_queues(many, lambda _: 12)
    assert table(seen, (), NOW).splitlines()[1].split("  ")[-2:] == ["w0, w1, w2 and 2 more", "-"]
    assert len(shown(seen, (), NOW).locks[0].holders) == 10


def test_json_says_all_of_it(cluster: Guarded) -> None:
    """Nodes, seconds, and who waits for ever."""
    seen = found(cluster, NAMESPACE)
    said = msgspec.json.decode(msgspec.json.encode(shown(seen, live_deadlocks(seen), NOW)), type=ShownLocks)
    assert [each.lock for each in said.locks] == [DB, mutex("m")]
    assert [(each.workflow, each.node, each.seconds) for each in said.locks[0].waiters] == [
        ("team-a/waiter", "n", 90)
    ]
    assert [each.deadlocked for each in said.locks[1].waiters] == [True]
    assert [each.workflow for each in said.deadlocks] == ["team-a/knot"]


@pytest.mark.parametrize(("namespace", "code"), [("", 1), ("secret", 0)])
def test_a_deadlock_is_a_finding(
    cluster: Guarded, namespace: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """So a script may ask every minute."""
    parser = argparse.ArgumentParser()
    locks.configure(parser)
    arguments = parser.parse_args([f"--namespace={namespace}"])
    assert locks.act(cluster, arguments) == code
    assert ("DEADLOCK" in capsys.readouterr().out) == bool(code)


def test_a_cluster_that_cannot_be_read_is_reported_in_one_line(lockkeeper: Lockkeeper) -> None:
    """As by every command."""
    done = lockkeeper("locks", "--kubeconfig", "no-such-file")
    assert (done.code, done.out) == (2, "")
    assert "no-such-file" in done.err


def finished(cluster: Guarded, number: int, *, apart: int, lasting: int) -> None:
    """Add Workflows that loaded one after another under the semaphore of 1: each waits for the one before."""
    block: JsonObject = {"semaphores": [{"configMapKeyRef": {"name": "limits", "key": "db"}}]}
    spec: JsonObject = {"templates": [{"name": "load", "synchronization": block}]}
    free = 0
    for index in range(number):
        came = index * apart
        free = max(free, came) + lasting
        done: JsonObject = {
            **node(phase="Succeeded", at=came),
            "finishedAt": stamp(free),
            "templateName": "load",
        }
        cluster.create(WORKFLOWS, running(f"done-{index}", spec=spec, nodes={"n": done}, created=came))


def suggested(cluster: Guarded, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """Return what `locks suggest` prints."""
    parser = argparse.ArgumentParser()
    locks.configure(parser)
    arguments = parser.parse_args(["suggest", f"--namespace={NAMESPACE}", *options])
    assert locks.act(cluster, arguments) == 0
    return capsys.readouterr().out


def test_what_other_limits_would_do_is_reported_with_how_much_was_seen(
    cluster: Guarded, capsys: pytest.CaptureFixture[str]
) -> None:
    """A load every six seconds that takes ten: one slot falls behind, two keep up."""
    finished(cluster, 60, apart=6, lasting=10)
    out = suggested(cluster, capsys, "--max-wait=30s").splitlines()
    assert out[0] == f"{DB}: limit 1, 60 uses in 10m, half of them shorter than 10s (0 not over)"
    assert out[1].split("  ")[-1].strip() == "BUSY"
    assert [line.split()[:3] for line in out[2:5]] == [
        ["now", "1", "1m58s"],
        ["2", "0s", "0s"],
        ["3", "0s", "0s"],
    ]
    assert out[5] == "  2 would let 95 of 100 wait 30s at most; 1 does not"
    assert "Arrivals are taken as they were" in "\n".join(out)
    played = msgspec.json.decode(suggested(cluster, capsys, "--max-wait=30s", "-o", "json"))
    assert [(each["suggested"], each["record"]["finished"]) for each in played] == [(2, 60)]


def test_of_too_little_nothing_is_suggested(cluster: Guarded, capsys: pytest.CaptureFixture[str]) -> None:
    """It says what there is, and how much it takes."""
    assert suggested(cluster, capsys) == "the Workflows that are still there have used no lock\n"
    finished(cluster, 5, apart=6, lasting=10)
    out = suggested(cluster, capsys, f"--lock={DB}")
    assert "too little was seen: 5 finished uses, and 30 are needed" in out
    assert "replay" not in out


def test_of_what_is_not_over_only_that_is_said(cluster: Guarded, capsys: pytest.CaptureFixture[str]) -> None:
    """And what is left out: the uses by daemons, and those whose key is worked out."""
    block: JsonObject = {"semaphores": [{"configMapKeyRef": {"name": "limits", "key": "db"}}]}
    load: JsonObject = {"name": "load", "synchronization": block}
    made: JsonObject = {**node(), "templateName": "load"}
    cluster.create(WORKFLOWS, running("going", spec={"templates": [load]}, nodes={"n": made}))
    assert suggested(cluster, capsys) == f"{DB}: limit 1, and no use is over yet (1 not over)\n"
    cluster.delete(WORKFLOWS, "going", namespace=NAMESPACE)
    daemon: JsonObject = {**load, "daemon": True}
    cluster.create(WORKFLOWS, running("serving", spec={"templates": [daemon]}, nodes={"n": made}))
    assert suggested(cluster, capsys).split("\n\n") == [
        "no semaphore with a known limit was used by the Workflows that are still there",
        "Left out, as Argo frees the lock of a daemon when it is ready, and does not record when: 1 uses.\n",
    ]


def test_a_poisoned_lock_is_a_finding(cluster: Guarded, capsys: pytest.CaptureFixture[str]) -> None:
    """With what to do, for people and for programs."""
    lock = semaphore("gone")
    said = f"lock {lock} is in a poisoned state: no limit; manual intervention required"
    cluster.create(WORKFLOWS, running("lost", phase="Pending", message=said, namespace="team-a"))
    parser = argparse.ArgumentParser()
    locks.configure(parser)
    assert locks.act(cluster, parser.parse_args([])) == 1
    (line,) = [each for each in capsys.readouterr().out.splitlines() if each.startswith("POISONED")]
    assert line.startswith(f"POISONED  {lock} is poisoned: Argo's controller gives it to nobody")
    assert line.endswith("has a number for gone, then restart Argo's workflow-controller")
    seen = found(cluster)
    assert [bool(each.poisoned) for each in shown(seen, (), NOW).locks if each.lock == lock] == [True]


@pytest.mark.parametrize(("lock", "code"), [(DB, 0), (mutex("m"), 1)])
def test_one_lock_can_be_looked_at_alone(
    cluster: Guarded, lock: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong with others is not told then."""
    parser = argparse.ArgumentParser()
    locks.configure(parser)
    assert locks.act(cluster, parser.parse_args(["--lock", lock, "-o", "json"])) == code
    said = msgspec.json.decode(capsys.readouterr().out, type=ShownLocks)
    assert [each.lock for each in said.locks] == [lock]
    assert [each.locks for each in said.deadlocks] == [(lock,)] * code


def test_a_lock_that_nobody_uses_is_told_with_the_nearest_names(cluster: Guarded) -> None:
    """A name of Argo is long, and easily written wrong."""
    parser = argparse.ArgumentParser()
    locks.configure(parser)
    with pytest.raises(UsageError) as told:
        locks.act(cluster, parser.parse_args(["--lock", f"{DB}s"]))
    assert str(told.value).startswith(f"nobody holds or waits for a lock {DB}s; did you mean {DB}")


@pytest.mark.parametrize(("number", "those"), [(1, "1 Workflow waits"), (2, "2 Workflows wait")])
def test_those_that_wait_for_quotas_are_counted_and_shown_elsewhere(
    cluster: Guarded, capsys: pytest.CaptureFixture[str], number: int, those: str
) -> None:
    """They have not come to any lock, and whoever looks for one of them reads where it is."""
    for index in range(number):
        held = running(f"queued-{index}", namespace="quiet")
        metadata = held["metadata"]
        assert isinstance(metadata, dict)
        metadata["labels"] = {well_known.INSTANCE_ID: well_known.HOLD_VALUE}
        cluster.create(WORKFLOWS, held)
    parser = argparse.ArgumentParser()
    locks.configure(parser)
    assert locks.act(cluster, parser.parse_args(["--namespace=quiet"])) == 0
    assert capsys.readouterr().out == (
        f"no lock is held or waited for\n\n{those} for quotas, at no lock yet: lockkeeper queue shows them\n"
    )
    assert locks.act(cluster, parser.parse_args(["--namespace=quiet", "-o", "json"])) == 0
    assert msgspec.json.decode(capsys.readouterr().out)["queued"] == number
