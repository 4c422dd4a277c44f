"""What comes in files: created or changed as kubectl would, and told."""

from pathlib import Path
from typing import Any

import pytest

from lockkeeper.embedded.api_server import Admitted
from lockkeeper.embedded.taking import Taker
from lockkeeper.kube_api.answers import RequestRefused
from lockkeeper.kube_api.object_writes import ObjectWrites
from lockkeeper.manifests.reading import read_manifests
from policy.cluster.errors import Unavailable
from policy.cluster.protocol import CRON_WORKFLOWS, NAMESPACES, WORKFLOW_QUOTAS
from tests.lockkeeper.embedded.printed import PrintedCluster
from tests.lockkeeper.embedded.scripted import ScriptedApiServer, taker
from tests.lockkeeper.kube_api.served_api import NoAdmission

CRON = """
apiVersion: argoproj.io/v1alpha1
kind: CronWorkflow
metadata: {name: c, namespace: new}
spec: {schedules: ["* * * * *"]}
"""
QUOTA = """
apiVersion: lockkeeper.dev/v1alpha1
kind: WorkflowQuota
metadata: {name: q}
spec: {limits: {workflows: 1}}
"""


def take(each: Taker, tmp_path: Path, text: str) -> None:
    """Take the one object of a text."""
    file = tmp_path / "it.yaml"
    file.write_text(text)
    (manifest,) = read_manifests(file)
    each.take(manifest)


@pytest.fixture
def taking(printed: PrintedCluster) -> Taker:
    """Return what takes files; Workflows are denied."""
    return taker(printed, ScriptedApiServer(lambda *_: Admitted(None, (), (), "no")))


def test_an_object_is_created_then_changed(taking: Taker, printed: PrintedCluster, tmp_path: Path) -> None:
    """In a namespace that is made for it; one that is as it was is told so."""
    take(taking, tmp_path, CRON)
    take(taking, tmp_path, CRON)
    take(taking, tmp_path, CRON.replace("* * * * *", "@daily"))
    assert printed.told() == ["created", "unchanged", "changed"]
    stored: Any = printed.cluster.get(CRON_WORKFLOWS, "c", namespace="new")
    assert stored["spec"]["schedules"] == ["@daily"]
    assert printed.cluster.get(NAMESPACES, "new")["status"] == {"phase": "Active"}


def test_one_that_names_no_namespace_is_in_the_usual_one(
    taking: Taker, printed: PrintedCluster, tmp_path: Path
) -> None:
    """As for kubectl; what is absent is filled in."""
    take(taking, tmp_path, QUOTA)
    assert printed.cluster.get(WORKFLOW_QUOTAS, "q", namespace="default")["spec"] == {
        "limits": {"workflows": 1},
        "onExceed": "Queue",
        "stopPolicy": "None",
    }


def test_a_kind_that_is_not_there_is_passed_over_and_told(
    taking: Taker, printed: PrintedCluster, tmp_path: Path
) -> None:
    """Nobody waits for it."""
    take(taking, tmp_path, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n")
    assert printed.told() == ["passed over: lockkeeper run has no such kind"]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RequestRefused(403, "not so", warnings=("lockkeeper: hm",)), ["warning: hm", "denied: not so"]),
        (Unavailable("gone"), ["failed: gone"]),
    ],
)
def test_what_is_refused_is_told_and_counts_as_no_workflow(
    printed: PrintedCluster, tmp_path: Path, error: Exception, told: list[str]
) -> None:
    """With its warnings."""

    class Refuses(NoAdmission):
        """Admission that refuses."""

        def admitted(self, *_: Any, **__: Any) -> Any:
            """Refuse."""
            raise error

    each = taker(printed, ScriptedApiServer(lambda *_: Admitted(None, (), ())))
    refusing = Taker(
        cluster=printed.cluster,
        submitter=each.submitter,
        writes=ObjectWrites(cluster=printed.cluster, admission=Refuses()),
        printer=printed.printer,
    )
    take(refusing, tmp_path, QUOTA)
    assert printed.told() == told
    assert not printed.printer.totals
