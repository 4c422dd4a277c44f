"""Workflows that others own, on an installation: children of one that runs, runs of a schedule that wait."""

from collections.abc import Iterator
from typing import Final

import pytest

from policy.cluster.protocol import CRON_WORKFLOWS, WORKFLOWS
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from tests.e2e.creating import workflow
from tests.e2e.installed import Installed, installation
from tests.e2e.manifests import quota
from tests.e2e.product import until
from tests.e2e.relating import ADMINISTRATORS, SCHEDULE, exists, owned, owner, relate, run, schedule
from tests.e2e.replicas import ASKING
from tests.e2e.submitting import govern
from tests.policy.core.builders import texts

pytestmark = [pytest.mark.e2e, ASKING]

FAMILY: Final = "family"
CLOCKWORK: Final = "clockwork"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """Give the installation, with a Workflow that fills its namespace in two of them."""
    with installation(tmp_path_factory.mktemp("owners")) as installed:
        for name in (FAMILY, CLOCKWORK):
            govern(installed, installed.namespace(name), quota(limits={"workflows": 1}, onExceed="Queue"))
            obj = workflow("parent")
            spec = obj["spec"]
            assert isinstance(spec, dict)
            spec["parallelism"] = 2
            installed.cluster.create(WORKFLOWS, obj, namespace=name)
            until(lambda name=name: not held(installed, "parent", name), "the first does not run")  # type: ignore[misc]
        yield installed


def labels(installed: Installed, name: str, namespace: str) -> JsonObject:
    """Return the labels of a Workflow."""
    return texts(installed.cluster.get(WORKFLOWS, name, namespace=namespace), "metadata", "labels")


def held(installed: Installed, name: str, namespace: str) -> bool:
    """Tell whether a Workflow waits."""
    return labels(installed, name, namespace).get(well_known.INSTANCE_ID) == well_known.HOLD_VALUE


def test_a_child_runs_under_its_parents_slot_and_others_wait(installed: Installed) -> None:
    """If the Pods of the parent create it; its tasks have to fit into those of the parent."""
    parent = owner(installed, WORKFLOWS, "parent", FAMILY)
    pod = (f"--as=system:serviceaccount:{FAMILY}:default", ADMINISTRATORS)
    # Without a bound, it has more tasks than its parent.
    assert owned(installed, "b", parent, FAMILY, *pod) == ""
    assert held(installed, "b", FAMILY)
    assert owned(installed, "c", parent, FAMILY, *pod, parallelism=1) == ""
    assert labels(installed, "c", FAMILY) == {well_known.CHILD_OF: parent["uid"]}
    assert owned(installed, "d", parent, FAMILY, "--as=ann", ADMINISTRATORS, parallelism=1) == ""
    assert held(installed, "d", FAMILY)


def test_forbid_refuses_a_run_while_one_waits(installed: Installed) -> None:
    """Argo does not see the one that waits, and would start one at every tick."""
    schedule(installed, "Forbid", CLOCKWORK)
    assert run(installed, 1, CLOCKWORK) == ""
    said = run(installed, 2, CLOCKWORK)
    assert f"the CronWorkflow {SCHEDULE} has concurrencyPolicy Forbid" in said
    installed.cluster.delete(WORKFLOWS, f"{SCHEDULE}-1", namespace=CLOCKWORK)
    assert run(installed, 3, CLOCKWORK) == ""
    installed.cluster.delete(WORKFLOWS, f"{SCHEDULE}-3", namespace=CLOCKWORK)
    installed.cluster.delete(CRON_WORKFLOWS, SCHEDULE, namespace=CLOCKWORK)


def test_replace_keeps_the_newest_of_those_that_wait(installed: Installed) -> None:
    """The leader drops the other."""
    relate(installed, "parent", CLOCKWORK)
    assert not exists(installed, f"{SCHEDULE}-2", CLOCKWORK)


def test_a_replacement_inherits_the_slot_of_the_run_that_ends(installed: Installed) -> None:
    """Before somebody who has waited for longer, or the schedule would never finish a run."""
    schedule(installed, "Replace", CLOCKWORK)
    assert run(installed, 4, CLOCKWORK) == ""
    installed.cluster.delete(WORKFLOWS, "parent", namespace=CLOCKWORK)
    until(lambda: not held(installed, f"{SCHEDULE}-4", CLOCKWORK), "the first run does not run")
    installed.cluster.create(WORKFLOWS, workflow("patient"), namespace=CLOCKWORK)
    assert run(installed, 5, CLOCKWORK) == ""
    installed.cluster.delete(WORKFLOWS, f"{SCHEDULE}-4", namespace=CLOCKWORK)
    until(lambda: not held(installed, f"{SCHEDULE}-5", CLOCKWORK), "the replacement does not run")
    assert held(installed, "patient", CLOCKWORK)
