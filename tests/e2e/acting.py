"""What tests do to an installation, and wait for, when they look at what it may and may not do."""

import os
import signal
from typing import Final

import msgspec

from lockkeeper.certificates.ca_bundle import Configurations
from lockkeeper.certificates.secret_store import SECRETS, SecretStore
from lockkeeper.process.kubernetes_objects import CONFIGURATIONS
from policy.cluster.errors import NotFound
from policy.cluster.protocol import EVENTS, WORKFLOWS, JsonPatch, MergePatch, Resource
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject, Op, PatchOp
from policy.core.objects.workflow import Metadata
from policy.core.values.prepared import prepare
from policy.service.leading.leader_election import LEASES, Lease
from tests.e2e.charted import GOVERNED, NAMESPACE, RELEASE
from tests.e2e.creating import workflow
from tests.e2e.grants import EDITOR, POOL_READER, POOLS, VIEWER
from tests.e2e.installed import CONTROLLER, Installed
from tests.e2e.kubectl import AWHILE
from tests.e2e.podrunner.launch import SeenPod, await_rollout, pods
from tests.e2e.product import until

QUICK: Final = ("webhook.preStopSeconds=1", "controller.preStopSeconds=1")
"""For tests that are not about this: there is no stream of creates that a Pod which goes at once hurts."""
BUILDS: Final = "ci"
DATA: Final = "data"
CERTS: Final = f"{RELEASE}-certs"
_API: Final = "apiVersion: lockkeeper.dev/v1alpha1"
POLICIES: Final = f"""
{_API}
kind: WorkflowQuota
metadata: {{name: queue, namespace: {GOVERNED}}}
spec: {{limits: {{workflows: 1}}, onExceed: Queue}}
---
{_API}
kind: WorkflowQuota
metadata: {{name: deny, namespace: {BUILDS}}}
spec: {{limits: {{workflows: 1}}, onExceed: Deny}}
---
{_API}
kind: ClusterWorkflowQuota
metadata: {{name: data}}
spec:
  namespaceSelector: {{matchLabels: {{pool: data}}}}
  limits: {{workflows: 1}}
  onExceed: Queue
---
{_API}
kind: SynchronizationPolicy
metadata: {{name: locks, namespace: {GOVERNED}}}
spec: {{semaphores: [{{configMap: workflow-semaphores, key: builds, limit: 1}}]}}
---
{_API}
kind: ClusterSynchronizationPolicy
metadata: {{name: locks}}
spec:
  namespaceSelector: {{matchLabels: {{pool: data}}}}
  semaphores: [{{configMap: workflow-semaphores, key: builds, limit: 1}}]
"""
EDITS: Final = (
    ("workflowquota/queue", GOVERNED, '{"spec": {"perUser": {"workflows": 5}}}'),
    (
        "clusterworkflowquota/data",
        "",
        '{"spec": {"elastic": {"workflowsPerNode": 9, "min": {"workflows": 1}}}}',
    ),
    ("synchronizationpolicy/locks", GOVERNED, '{"spec": {"validate": {"keyPattern": "^[a-z]+$"}}}'),
    ("clustersynchronizationpolicy/locks", "", '{"spec": {"validate": {"keyPattern": "^[a-z]+$"}}}'),
)
"""A change of one policy of each kind: what, in which namespace, and a merge patch."""
WRONG: Final = '{"spec": {"validate": {"keyPattern": "^[a-z"}}}'
"""What the kinds' schemas let pass and the webhook does not."""


class Held(msgspec.Struct, frozen=True):
    """A Workflow's metadata."""

    metadata: Metadata


class Regarded(msgspec.Struct, frozen=True):
    """What an event is about."""

    name: str = ""


class Told(msgspec.Struct, frozen=True):
    """An event."""

    reason: str = ""
    regarding: Regarded = Regarded()


prepare(Held, Told)


def govern(installed: Installed) -> None:
    """Make the namespaces, and a policy of each kind; they are in force afterwards."""
    installed.namespace(BUILDS)
    installed.namespace(DATA, pool="data")
    installed.site.kubectl.said("apply", "-f", "-", text=POLICIES)
    await_ready(installed)


def await_ready(installed: Installed, state: str = "Ready") -> None:
    """Wait until a condition is said of every policy of EDITS, of its last form."""
    for what, namespace, _ in EDITS:
        said = ["wait", f"--for=condition={state}", what, AWHILE, f"--namespace={namespace}"]
        installed.site.kubectl.said(*said)


def edit(installed: Installed, what: str, namespace: str, change: str) -> None:
    """Change a policy as `kubectl patch` does."""
    arguments = ["patch", what, f"--namespace={namespace}", "--type=merge", f"--patch={change}"]
    installed.site.kubectl.said(*arguments)


def create(installed: Installed, name: str, namespace: str, *options: str) -> str:
    """Create a Workflow and return why that was refused, "" where it was not."""
    text = msgspec.json.encode(workflow(name)).decode()
    done = installed.site.kubectl.run("create", f"--namespace={namespace}", *options, "-f", "-", text=text)
    return done.stderr if done.returncode else ""


def admit(installed: Installed, name: str, namespace: str) -> None:
    """Create a Workflow, which has to be taken."""
    refused = create(installed, name, namespace)
    assert refused == "", refused


def tangle(installed: Installed, name: str, namespace: str) -> None:
    """Let a Workflow that runs look as Argo writes one that waits for a lock which only itself holds."""
    lock = f"{namespace}/Mutex/own"
    holding: JsonObject = {"mutex": lock, "holder": f"{namespace}/{name}"}
    node: JsonObject = {
        "id": f"{name}-1",
        "name": name,
        "displayName": name,
        "type": "Pod",
        "phase": "Pending",
        "synchronizationStatus": {"waiting": lock},
    }
    status: JsonObject = {
        "phase": "Running",
        "nodes": {f"{name}-1": node},
        "synchronization": {"mutex": {"holding": [holding]}},
    }
    change = msgspec.json.encode({"status": status}).decode()
    argo = ("--as=system:serviceaccount:argo:argo", "--as-group=system:masters")
    what = ("patch", "workflow", name, f"--namespace={namespace}", "--type=merge", f"--patch={change}")
    installed.site.kubectl.said(*what, *argo)  # Nobody else may write such a status.


def tells_of(installed: Installed, name: str, reason: str) -> bool:
    """Tell whether there is an event with this reason about a Workflow."""
    listing = installed.cluster.list(EVENTS, namespace=GOVERNED)
    found = [msgspec.convert(item, Told) for item in listing.items]
    return any((each.reason, each.regarding.name) == (reason, name) for each in found)


def hold(installed: Installed, name: str) -> None:
    """Create a Workflow that is held by a label alone, past our webhooks: it has no status to take away."""
    held: JsonObject = {
        **workflow(name),
        "metadata": {"name": name, "labels": {well_known.INSTANCE_ID: well_known.HOLD_VALUE}},
    }
    installed.cluster.create(WORKFLOWS, held, namespace=NAMESPACE)


def is_held(installed: Installed, name: str, namespace: str) -> bool:
    """Tell whether a Workflow waits."""
    found = installed.cluster.get(WORKFLOWS, name, namespace=namespace)
    return (msgspec.convert(found, Held).metadata.labels or {}).get(
        well_known.INSTANCE_ID
    ) == well_known.HOLD_VALUE


def await_release(installed: Installed, name: str, namespace: str) -> None:
    """Wait until a Workflow is let go."""
    until(lambda: not is_held(installed, name, namespace), f"{namespace}/{name} is not let go")


def leader(installed: Installed) -> SeenPod | None:
    """Return the Pod that leads."""
    lease = msgspec.convert(
        installed.cluster.get(LEASES, CONTROLLER, namespace=NAMESPACE), Lease
    ).spec.holder_identity
    return next((pod for pod in installed.pods(CONTROLLER) if lease.startswith(f"{pod.name}-")), None)


def kill(installed: Installed, *deployments: str) -> None:
    """Kill the process of each Pod, all of which have to run; each is started again where it was."""
    for deployment in deployments:
        for pod in installed.pods(deployment):
            assert pod.pid > 0, f"{pod.name} does not run"
            os.kill(pod.pid, signal.SIGKILL)


def bundle_in_place(installed: Installed) -> bool:
    """Tell whether API servers trust what the Secret says, and that says something."""
    bundle = SecretStore(cluster=installed.cluster, namespace=NAMESPACE, name=CERTS).read().files.bundle
    return bool(bundle) and not Configurations(cluster=installed.cluster, name=RELEASE).behind(bundle)


def break_bundles(installed: Installed) -> None:
    """Take the CA out of both webhook configurations."""
    gone = JsonPatch((PatchOp(Op.REMOVE, "/webhooks/0/clientConfig/caBundle"),))
    for resource in CONFIGURATIONS:
        installed.cluster.patch(resource, RELEASE, gone)


def spoil_certificate(installed: Installed) -> None:
    """Put something else in the place of the serving certificate."""
    spoilt = MergePatch({"data": {"tls.crt": "c3BvaWx0"}})
    installed.cluster.patch(SECRETS, CERTS, spoilt, namespace=NAMESPACE)


def scale(installed: Installed, deployment: str, replicas: int) -> None:
    """Have so many replicas; returns when they are ready, or gone."""
    arguments = ["scale", f"deployment/{deployment}", f"--replicas={replicas}", f"--namespace={NAMESPACE}"]
    installed.site.kubectl.said(*arguments)
    await_rollout(installed.cluster, NAMESPACE, deployment)
    component = f"app.kubernetes.io/component={deployment.rpartition('-')[2]}"
    until(lambda: len(pods(installed.cluster, NAMESPACE, labels=component)) == replicas, "Pods are left")


def check(installed: Installed) -> str:
    """Run `helm test`, which has to succeed, and return what its Pod wrote in all its runs."""
    installed.release.helm.said("test", RELEASE, f"--namespace={NAMESPACE}")
    return installed.runner.log_of(NAMESPACE, f"{RELEASE}-check", "check")


def is_there(installed: Installed, resource: Resource, name: str, namespace: str = "") -> bool:
    """Tell whether there is an object."""
    try:
        installed.cluster.get(resource, name, namespace=namespace)
    except NotFound:
        return False
    return True


def let_people_in(installed: Installed) -> None:
    """Bind the cluster's own roles to a user each, and wait until these have what the chart adds to them."""
    kubectl = installed.site.kubectl
    for user, role in ((VIEWER, "view"), (EDITOR, "edit")):
        kubectl.said("create", "rolebinding", user, f"--clusterrole={role}", f"--user={user}", "-n", GOVERNED)
    kubectl.said(
        "create", "clusterrolebinding", POOL_READER, f"--clusterrole={POOLS}", f"--user={POOL_READER}"
    )
    asked = ("auth", "can-i", "deletecollection", "synchronizationpolicies", f"--as={EDITOR}", "-n", GOVERNED)
    until(lambda: kubectl.run(*asked).returncode == 0, "the role edit has nothing of ours")
