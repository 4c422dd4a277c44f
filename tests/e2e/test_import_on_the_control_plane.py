"""`lockkeeper import` on a cluster that limits Workflows already: what it prints is applied, and holds."""

import json
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.e2e.acting import QUICK
from tests.e2e.creating import workflow
from tests.e2e.installed import Installed, installation
from tests.e2e.kubectl import AWHILE
from tests.e2e.product import until
from tests.lockkeeper.commands import EXAMPLES, Lockkeeper

pytestmark = pytest.mark.e2e
NAMESPACES: Final = ("ci", "ml-train", "ml-serve")
RUNNING: Final = {"ci": 3, "ml-train": 2, "ml-serve": 1, "reports": 4}
"""How many run; without spec.parallelism, so nothing but their number is known of them."""
KINDS: Final = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: {plural}.kueue.x-k8s.io, annotations: {{api-approved.kubernetes.io: unapproved}}}}
spec:
  group: kueue.x-k8s.io
  scope: {scope}
  names: {{kind: {kind}, plural: {plural}, singular: {singular}}}
  versions:
  - name: v1beta1
    served: true
    storage: true
    schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}
---
"""
QUOTAS: Final = "workflowquotas,clusterworkflowquotas"


def fill(installed: Installed, folder: Path) -> None:
    """Bring Kueue's kinds, the examples' limits, and Workflows that run before any policy is there."""
    kubectl = installed.site.kubectl
    kinds = (("ClusterQueue", "Cluster"), ("LocalQueue", "Namespaced"), ("Cohort", "Cluster"))
    crds = [
        KINDS.format(kind=kind, scope=scope, singular=kind.lower(), plural=f"{kind.lower()}s")
        for kind, scope in kinds
    ]
    kubectl.said("apply", "-f", "-", text="".join(crds))
    kubectl.said("wait", "--for=condition=Established", AWHILE, "crd", "--all")
    for name in NAMESPACES:
        installed.namespace(name)
    given = EXAMPLES / "limits"
    # The Namespaces first, since kubectl keeps the order of a file.
    objects = [
        each
        for name in ("argo", "kueue")
        for each in yaml.safe_load_all((given / f"{name}.yaml").read_text())
    ]
    objects.sort(key=lambda each: each["kind"] != "Namespace")
    for each in objects:
        if each["kind"] == "Workflow":
            continue
        file = folder / "object.json"
        file.write_text(json.dumps(each), "utf-8")
        kubectl.said("apply", "-f", str(file))
    for namespace, count in RUNNING.items():
        for number in range(count):
            obj = {**workflow(f"w-{number}"), "status": {"phase": "Running"}}
            kubectl.said("create", f"--namespace={namespace}", "-f", "-", text=json.dumps(obj))


def figures(installed: Installed) -> dict[str, tuple[int | None, int | str]]:
    """Return how many Workflows the leader counts under each quota, and how many may run."""
    items = json.loads(installed.site.kubectl.said("get", QUOTAS, "-A", "-o", "json"))["items"]
    found = {}
    for each in items:
        status = each.get("status", {})
        name = f"{each['metadata'].get('namespace', '')}/{each['metadata']['name']}"
        found[name] = (status.get("running"), status.get("effectiveLimits", {}).get("workflows"))
    return found


def test_what_is_limited_becomes_policies_that_hold_for_all_who_run(tmp_path: Path) -> None:
    """Argo's settings, a label, a semaphore, a ResourceQuota and Kueue's queues; import changes nothing."""
    lockkeeper = Lockkeeper(tmp_path)
    (tmp_path / "cluster").mkdir()
    with installation(tmp_path / "cluster", *QUICK) as installed:
        fill(installed, tmp_path)
        kubectl, kubeconfig = installed.site.kubectl, installed.site.plane.kubeconfig
        imported = lockkeeper("import", "--kubeconfig", kubeconfig)
        assert (imported.code, imported.err) == (0, "")
        assert (
            f"Checked against {sum(RUNNING.values())} running Workflows: none is over a limit" in imported.out
        )
        applied = kubectl.said("apply", "-f", "-", text=imported.out).splitlines()
        assert sorted(each.partition(" ")[0] for each in applied) == [
            "clusterworkflowquota.lockkeeper.dev/argo",
            "clusterworkflowquota.lockkeeper.dev/kueue-research",
            "synchronizationpolicy.lockkeeper.dev/semaphores",
            "workflowquota.lockkeeper.dev/argo-parallelism",
            "workflowquota.lockkeeper.dev/argo-parallelism",
            "workflowquota.lockkeeper.dev/resourcequota-builds",
        ]
        kubectl.said("wait", "--for=condition=Ready", AWHILE, QUOTAS, "-A", "--all")
        kubectl.said("wait", "--for=condition=Ready", AWHILE, "synchronizationpolicies", "-A", "--all")
        expected = {
            "/argo": (7, 50),
            "/kueue-research": (3, "Unlimited"),
            "ci/argo-parallelism": (3, 10),
            "ci/resourcequota-builds": (3, 20),
            "reports/argo-parallelism": (4, 4),
        }
        until(lambda: figures(installed) == expected, "the leader counts others")
        again = lockkeeper("import", "--kubeconfig", kubeconfig)
        assert (again.code, again.err, "kind:" in again.out) == (0, "", False)
        told = " ".join(again.out.replace("#", "").split())
        # The semaphore is told by itself.
        assert told.count("is there already and says the same") == len(applied) - 1
        assert "SynchronizationPolicy reports/semaphores gives it the limit" in told
        # The label let four run in this namespace, and so does the quota: the fifth waits.
        obj = workflow("fifth")
        kubectl.said("create", "--namespace=reports", "-f", "-", text=json.dumps(obj))
        kubectl.said(
            "wait", "workflow/fifth", "--namespace=reports", "--for=jsonpath={.status.phase}=Pending", AWHILE
        )
