"""A tour of an installation: all that its accounts have rights for is made to happen, by kubectl and helm."""

import subprocess
import sys

from lockkeeper.certificates.secret_store import SECRETS, SecretStore
from policy.cluster.protocol import QUOTA_LEDGERS, WORKFLOWS, MergePatch
from tests.e2e.acting import (
    BUILDS,
    CERTS,
    DATA,
    EDITS,
    WRONG,
    admit,
    await_ready,
    await_release,
    break_bundles,
    bundle_in_place,
    check,
    create,
    edit,
    govern,
    hold,
    is_held,
    is_there,
    kill,
    leader,
    let_people_in,
    scale,
    spoil_certificate,
    tangle,
    tells_of,
)
from tests.e2e.building import ROOT
from tests.e2e.charted import GOVERNED, NAMESPACE
from tests.e2e.grants import EDITOR, POOL_READER, VIEWER
from tests.e2e.installed import CONTROLLER, WEBHOOK, Installed
from tests.e2e.kubectl import AWHILE
from tests.e2e.product import until
from tests.e2e.relating import relate
from tests.patience import PATIENCE


def tour(installed: Installed) -> None:
    """Make all of it happen; the installation is whole afterwards."""
    govern(installed)
    _edit_policies(installed)
    _run_workflows(installed)
    relate(installed, "second")
    _change_leader(installed)
    _change_certificates(installed)
    _start_from_nothing(installed)
    _mend_policies(installed)
    check(installed)
    _let_people_work(installed)


def _change_leader(installed: Installed) -> None:
    """Let a leader give its lease up, and kill the next."""
    until(lambda: leader(installed) is not None, "nobody leads")
    first = leader(installed)
    assert first is not None
    installed.site.kubectl.said("delete", "pod", first.name, f"--namespace={NAMESPACE}", "--wait=false")
    until(lambda: (now := leader(installed)) is not None and now.name != first.name, "nobody takes over")
    installed.ready()
    kill(installed, CONTROLLER)
    hold(installed, "held-for-the-next")
    await_release(installed, "held-for-the-next", NAMESPACE)
    installed.ready()


def _edit_policies(installed: Installed) -> None:
    for change in EDITS:
        edit(installed, *change)
    await_ready(installed)
    refused = installed.site.kubectl.run(
        "patch", "synchronizationpolicy/locks", f"--namespace={GOVERNED}", "--type=merge", f"--patch={WRONG}"
    )
    assert "is not a usable pattern" in refused.stderr


def _run_workflows(installed: Installed) -> None:
    """Queue, deny, try, release; show a better place; let go of what has no status."""
    for name in ("first", "second", "third"):
        admit(installed, name, GOVERNED)
    admit(installed, "first", BUILDS)
    assert "WorkflowQuota ci/deny" in create(installed, "second", BUILDS)
    assert "WorkflowQuota ci/deny" in create(installed, "second", BUILDS, "--dry-run=server")
    admit(installed, "first", DATA)
    admit(installed, "second", DATA)
    assert is_held(installed, "second", GOVERNED)
    installed.cluster.delete(WORKFLOWS, "first", namespace=GOVERNED)
    await_release(installed, "second", GOVERNED)
    tangle(installed, "second", GOVERNED)
    until(lambda: tells_of(installed, "second", "LockDeadlock"), "nobody tells of a deadlock")
    hold(installed, "held-by-hand")
    await_release(installed, "held-by-hand", NAMESPACE)


def _change_certificates(installed: Installed) -> None:
    """Rotate, spoil, delete and edit what certificates are kept in; all comes right again."""
    for options in ((), ("--ca",)):
        _rotate(installed, *options)
        until(lambda: bundle_in_place(installed), "the CA is not everywhere")
    store = SecretStore(cluster=installed.cluster, namespace=NAMESPACE, name=CERTS)
    spoil_certificate(installed)
    until(lambda: store.read().files.cert.startswith(b"-----BEGIN"), "the certificate stays spoilt")
    break_bundles(installed)
    until(lambda: bundle_in_place(installed), "the CA is not put back")
    installed.cluster.delete(SECRETS, CERTS, namespace=NAMESPACE)
    until(lambda: is_there(installed, SECRETS, CERTS, NAMESPACE), "the Secret is not made anew")
    until(lambda: bundle_in_place(installed), "the new CA is not everywhere")
    until(lambda: create(installed, "probe", DATA, "--dry-run=server") == "", "creates fail")


def _rotate(installed: Installed, *options: str) -> None:
    kubeconfig = str(installed.site.plane.kubeconfig)
    command = [sys.executable, "-m", "lockkeeper", "certs", "rotate", *options]
    command += ["--kubeconfig", kubeconfig, "--namespace", NAMESPACE]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=PATIENCE)  # noqa: S603 - our own program


def _start_from_nothing(installed: Installed) -> None:
    """Have the webhook make certificates, as the controller does at other times, and the leader a ledger.

    While nobody answers for policies, wrong ones are stored as well.
    """
    scale(installed, CONTROLLER, 0)
    installed.cluster.delete(QUOTA_LEDGERS, f"namespace.{BUILDS}")
    assert create(installed, "third", BUILDS) != ""  # Nobody has counted what runs there.
    scale(installed, WEBHOOK, 0)
    installed.cluster.patch(SECRETS, CERTS, MergePatch({"data": None}), namespace=NAMESPACE)
    for what, namespace, _ in EDITS:
        if "synchronization" in what:
            edit(installed, what, namespace, WRONG)
    scale(installed, WEBHOOK, 2)
    scale(installed, CONTROLLER, 2)
    until(lambda: bundle_in_place(installed), "the CA is not everywhere")
    until(lambda: is_there(installed, QUOTA_LEDGERS, f"namespace.{BUILDS}"), "the ledger is not made anew")
    assert "used: workflows=1" in create(installed, "third", BUILDS, "--dry-run=server")
    installed.cluster.delete(WORKFLOWS, "first", namespace=BUILDS)
    until(lambda: create(installed, "third", BUILDS, "--dry-run=server") == "", "creates fail")


def _mend_policies(installed: Installed) -> None:
    """See that wrong policies are told, and correct them."""
    for what, namespace, change in EDITS:
        if "synchronization" in what:
            told = ["wait", "--for=condition=Invalid", what, AWHILE, f"--namespace={namespace}"]
            installed.site.kubectl.said(*told)
            edit(installed, what, namespace, change)
    await_ready(installed)


def _let_people_work(installed: Installed) -> None:
    """Have users look at policies and change them; what they change is a trial, and all stays as it is."""
    let_people_in(installed)
    kubectl = installed.site.kubectl
    of_pools = f"--as={POOL_READER}"
    for what in (("clusterworkflowquotas",), ("clusterworkflowquotas", "data"), ("runlengths", "lockkeeper")):
        kubectl.said("get", *what, of_pools)
    pools = "/apis/lockkeeper.dev/v1alpha1/clusterworkflowquotas"
    kubectl.said("get", "--raw", f"{pools}?watch=true&timeoutSeconds=1", of_pools)
    for plural, name in (("workflowquotas", "queue"), ("synchronizationpolicies", "locks")):
        path = f"/apis/lockkeeper.dev/v1alpha1/namespaces/{GOVERNED}/{plural}"
        see = (f"--as={VIEWER}", f"--namespace={GOVERNED}")
        change = (f"--as={EDITOR}", f"--namespace={GOVERNED}", "--dry-run=server")
        kubectl.said("get", plural, *see)
        found = kubectl.said("get", plural, name, "-o", "json", *see)
        kubectl.said("get", "--raw", f"{path}?watch=true&timeoutSeconds=1", f"--as={VIEWER}")
        if plural == "workflowquotas":
            continue  # Whom they bind may not write them.
        kubectl.said("replace", "-f", "-", *change, text=found)
        kubectl.said("annotate", plural, name, "seen=true", *change)
        kubectl.said("create", "-f", "-", *change, text=found.replace(f'"name": "{name}"', '"name": "more"'))
        kubectl.said("delete", plural, name, *change)
        kubectl.said("delete", "--raw", f"{path}?dryRun=All", f"--as={EDITOR}")
