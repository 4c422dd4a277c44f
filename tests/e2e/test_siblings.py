"""Workflows that only refer to a template, at an installation that may make siblings of it."""

import json
from collections.abc import Iterator
from typing import Final

import pytest

from policy.cluster.protocol import CONFIG_MAPS, SYNCHRONIZATION_POLICIES, WORKFLOW_TEMPLATES, WORKFLOWS
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from tests.e2e.argo.installing import workflow_controller
from tests.e2e.grants import without
from tests.e2e.installed import Installed, installation
from tests.e2e.manifests import locks
from tests.e2e.observing import observed
from tests.e2e.product import until
from tests.e2e.replicas import ASKING
from tests.e2e.submitting import govern, stored
from tests.policy.core.builders import at

pytestmark = [pytest.mark.e2e, ASKING]

NAMESPACE: Final = "siblings"
LIMIT: Final = 2
LOADS: Final = 5
FIRST: Final = ("first", "second")
SEMAPHORE: Final[JsonObject] = {"configMap": "workflow-semaphores", "key": "db"}
POLICY: Final = locks(
    match={"referenced": "Sibling"},
    semaphores=[{**SEMAPHORE, "limit": LIMIT}],
    inject=[{"name": "database", "templates": {"names": ["load*"]}, "lock": {"semaphore": SEMAPHORE}}],
)


def template(name: str, loads: int = LOADS) -> str:
    """Return a WorkflowTemplate whose loads stand side by side."""
    tasks = [{"name": f"t{number}", "template": "load"} for number in range(loads)]
    load = {"name": "load", "container": {"image": "busybox:1.37", "command": ["true"]}}
    spec = {"entrypoint": "main", "templates": [{"name": "main", "dag": {"tasks": tasks}}, load]}
    return manifest("WorkflowTemplate", name, spec)


def referring(name: str, to: str, **spec: object) -> str:
    """Return a Workflow that refers to a template and, where nothing is given, has nothing else."""
    return manifest("Workflow", name, {"workflowTemplateRef": {"name": to}, **spec})


def manifest(kind: str, name: str, spec: object) -> str:
    """Return an object of Argo's as text."""
    return json.dumps(
        {"apiVersion": WORKFLOWS.api_version, "kind": kind, "metadata": {"name": name}, "spec": spec}
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """Install with the right to make siblings, beside Argo's double; a policy asks for them."""
    folder = tmp_path_factory.mktemp("argo")
    with (
        installation(tmp_path_factory.mktemp("installation"), "siblings.enabled=true") as installed,
        workflow_controller(installed.site.plane, installed.cluster, folder, environment={}),
    ):
        installed.namespace(NAMESPACE)
        apply(installed, template("nightly"))
        govern(installed, NAMESPACE, POLICY)
        until(lambda: limits(installed) == {"db": str(LIMIT)}, "the limit is not written")
        yield installed


def apply(installed: Installed, text: str) -> str:
    """Run `kubectl apply -f -`."""
    return installed.site.kubectl.said("apply", "-n", NAMESPACE, "-f", "-", text=text)


def limits(installed: Installed) -> object:
    """Return the limits that Argo reads."""
    found = installed.cluster.list(CONFIG_MAPS, namespace=NAMESPACE, name="workflow-semaphores").items
    return found[0].get("data") if found else None


def siblings_of(installed: Installed, name: str) -> list[str]:
    """Return the siblings of a template."""
    found = installed.cluster.list(WORKFLOW_TEMPLATES, namespace=NAMESPACE, labels=well_known.SIBLING).items
    names = [str(at(each, "metadata", "name")) for each in found]
    return [each for each in names if each.startswith(f"{name}-lk")]


def reference(installed: Installed, name: str) -> object:
    """Return what a stored Workflow refers to."""
    return stored(installed, NAMESPACE, name).spec["workflowTemplateRef"]


def test_workflows_of_a_template_that_lacks_a_lock_run_under_it(installed: Installed) -> None:
    """Nobody wrote the lock into the template, and nobody's file names the sibling."""
    with observed(installed.cluster, NAMESPACE, *FIRST) as seen:
        for name in FIRST:
            done = installed.site.kubectl.run(
                "create", "-n", NAMESPACE, "-f", "-", text=referring(name, "nightly")
            )
            assert (done.returncode, done.stderr) == (0, "")
        (sibling,) = siblings_of(installed, "nightly")
        assert [reference(installed, name) for name in FIRST] == [{"name": sibling}] * 2
        labels = stored(installed, NAMESPACE, "first").metadata.labels or {}
        assert labels[well_known.SIBLING] == sibling.rpartition("-")[2]
    assert set(seen.done.values()) == {"Succeeded"}
    assert seen.most == LIMIT


def test_the_template_itself_stays_as_its_owner_wrote_it(installed: Installed) -> None:
    """GitOps sees no difference, and the sibling belongs to it."""
    kept = installed.cluster.get(WORKFLOW_TEMPLATES, "nightly", namespace=NAMESPACE)
    assert kept["spec"] == json.loads(template("nightly"))["spec"]
    (sibling,) = siblings_of(installed, "nightly")
    made = installed.cluster.get(WORKFLOW_TEMPLATES, sibling, namespace=NAMESPACE)
    assert at(made, "metadata", "ownerReferences", 0, "uid") == at(kept, "metadata", "uid")


def test_whoever_applies_his_workflow_again_leaves_it_where_it_is(installed: Installed) -> None:
    """His file names the origin; kubectl sets it back, and the webhook does not.

    It is suspended, so it is not over by then: of one that is, nobody asks where it is led until a retry.
    """
    text = referring("applied", "nightly", suspend=True)
    apply(installed, text)
    before = reference(installed, "applied")
    apply(installed, text)
    assert reference(installed, "applied") == before
    assert before != {"name": "nightly"}


def test_a_workflow_right_after_its_template_waits_for_the_sibling_by_itself(installed: Installed) -> None:
    """The client tries again after a second; so does every client of Kubernetes' own library."""
    apply(installed, template("daily"))
    apply(installed, referring("daily-run", "daily"))
    (sibling,) = siblings_of(installed, "daily")
    assert reference(installed, "daily-run") == {"name": sibling}


def test_an_edit_of_the_template_makes_another_sibling(installed: Installed) -> None:
    """The first stays: Workflows may run by it."""
    apply(installed, template("edited"))
    until(lambda: len(siblings_of(installed, "edited")) == 1, "no sibling is made")
    before = siblings_of(installed, "edited")
    apply(installed, template("edited", LOADS + 1))
    until(lambda: len(siblings_of(installed, "edited")) == 2, "no other sibling is made")
    assert set(before) < set(siblings_of(installed, "edited"))


def test_a_policy_says_in_its_conditions_that_the_right_is_missing(installed: Installed) -> None:
    """And the Workflow is refused with what it waits for, not admitted without its lock."""

    def said() -> str:
        policy = installed.cluster.get(SYNCHRONIZATION_POLICIES, "locks", namespace=NAMESPACE)
        return str(at(policy, "status", "conditions"))

    with without(
        installed.cluster,
        lambda grant: (grant.right.verb, grant.right.resource) == ("create", "workflowtemplates"),
    ):
        apply(installed, template("forbidden"))
        until(lambda: "siblings.enabled" in said(), "nothing is told")
        tried = installed.site.kubectl.run(
            "create", "-n", NAMESPACE, "-f", "-", text=referring("never", "forbidden")
        )
        assert tried.returncode == 1
        assert "is being made: try again" in tried.stderr
    until(lambda: siblings_of(installed, "forbidden") != [], "it is not made")
    until(lambda: "siblings.enabled" not in said(), "it is told on")
