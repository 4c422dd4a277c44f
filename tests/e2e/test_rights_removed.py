"""Each right taken away for a while: what the product then says, and that it goes on when it is back."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final
from uuid import uuid4

import pytest

from lockkeeper.certificates.secret_store import SECRETS
from lockkeeper.process.kubernetes_objects import CONFIGURATIONS, MUTATING, VALIDATING
from policy.cluster.protocol import CONFIG_MAPS, WORKFLOWS, MergePatch
from policy.service.leading.leader_election import LEASES
from tests.e2e.acting import (
    BUILDS,
    CERTS,
    QUICK,
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
    is_there,
    kill,
    leader,
    let_people_in,
    spoil_certificate,
    tangle,
    tells_of,
)
from tests.e2e.asking import metric, told_by
from tests.e2e.building import ROOT
from tests.e2e.charted import GOVERNED, NAMESPACE, RELEASE
from tests.e2e.grants import EDITOR, VIEWER, Grant, grants, may, without
from tests.e2e.installed import CONTROLLER, WEBHOOK, Installed, installation
from tests.e2e.kubectl import AWHILE
from tests.e2e.podrunner.launch import SeenPod
from tests.e2e.product import until
from tests.patience import PATIENCE

pytestmark = pytest.mark.e2e

FOLLOWED: Final = (
    "workflowquotas",
    "clusterworkflowquotas",
    "synchronizationpolicies",
    "clustersynchronizationpolicies",
    "namespaces",
    "configmaps",
    "workflowtemplates",
    "clusterworkflowtemplates",
)
NOT_READ: Final = "the policies of the cluster are not read yet"
SEMAPHORES: Final = "workflow-semaphores"
MORE_BUILDS: Final = (
    f'{{"spec": {{"semaphores": [{{"configMap": "{SEMAPHORES}", "key": "builds", "limit": 2}}]}}}}'
)
"""A change of a policy that has to be written into a ConfigMap."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """Install, with a policy of each kind; builds have room."""
    with installation(tmp_path_factory.mktemp("installation"), *QUICK) as installed:
        govern(installed)
        edit(installed, "workflowquota/deny", BUILDS, '{"spec": {"limits": {"workflows": 1000}}}')
        let_people_in(installed)
        yield installed


@contextmanager
def denied(installed: Installed, missed: Callable[[Grant], bool]) -> Iterator[Callable[[], None]]:
    """Take rights away, and give a wait for the Pods' logs to name each; afterwards all works again."""
    with without(installed.cluster, missed) as taken:
        before = {each: named(installed, each) for each in taken}

        def told() -> None:
            def silent() -> list[str]:
                return [str(each) for each, times in before.items() if named(installed, each) == times]

            until(lambda: not silent(), f"nothing is told of some of {[str(each) for each in taken]}")

        yield told
    await_work(installed)


def named(installed: Installed, grant: Grant) -> int:
    """Return how often the log of a grant's account says that it is missed."""
    account = grant.user.rpartition(":")[2]
    return installed.logs(account).count(json.dumps(grant.refusal)[1:-1])


def await_work(installed: Installed) -> None:
    """Wait until creates are answered, held Workflows are let go, and policies are judged."""
    installed.ready()
    until(lambda: bundle_in_place(installed), "the CA is not everywhere")
    until(lambda: create(installed, "probe", BUILDS, "--dry-run=server") == "", "creates are not answered")
    name = f"held-{uuid4().hex[:8]}"
    hold(installed, name)
    await_release(installed, name, NAMESPACE)
    await_ready(installed)


def checked(installed: Installed, what: str) -> None:
    """Wait until `lockkeeper check` tells an administrator of something, and that it is wrong."""
    kubeconfig = str(installed.site.plane.kubeconfig)
    command = [sys.executable, "-m", "lockkeeper", "check", "--kubeconfig", kubeconfig, "-n", NAMESPACE]

    def told() -> bool:
        done = subprocess.run(  # noqa: S603 - our own program
            command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
        return done.returncode == 1 and what in done.stdout

    until(told, f"the check does not say: {what}")


def test_without_a_list_of_what_it_follows_nobody_is_ready(installed: Installed) -> None:
    """Creates are refused, because nothing is known of who is governed; `helm test` fails."""
    with denied(installed, lambda grant: is_of(grant, "list", *FOLLOWED)) as told:
        kill(installed, WEBHOOK, CONTROLLER)
        told()
        for deployment in (WEBHOOK, CONTROLLER):
            for pod in installed.pods(deployment):
                until(partial(is_unready, pod, deployment, NOT_READ), f"{pod.name} does not say why")
        assert "failed calling webhook" in create(installed, "refused", BUILDS)
        done = installed.release.helm.run("test", RELEASE, f"--namespace={NAMESPACE}")
        assert done.returncode != 0
        said = installed.runner.log_of(NAMESPACE, f"{RELEASE}-check", "check")
        assert "does not answer" in said


def test_without_a_watch_it_is_told_and_counted(installed: Installed) -> None:
    """What changes is seen at the next list, a second later."""
    watches = (*FOLLOWED, "workflows", MUTATING.plural, VALIDATING.plural)
    with denied(installed, lambda grant: is_of(grant, "watch", *watches)) as told:
        kill(installed, WEBHOOK, CONTROLLER)
        told()
        assert metric(installed, CONTROLLER, 'lockkeeper_retries_total{reason="Forbidden"}') > 0
        for resource in watches:
            series = f'lockkeeper_api_requests_total{{resource="{resource}",result="Forbidden",verb="watch"}}'
            assert metric(installed, CONTROLLER, series) > 0


@pytest.mark.parametrize("verb", ["get", "create", "update"])
def test_without_the_ledger_nothing_is_promised(installed: Installed, verb: str) -> None:
    """A create under a quota that denies is refused, and the controller tries again."""
    namespace = installed.namespace(f"builds-{verb}")
    quota = {"limits": {"workflows": 9}, "onExceed": "Deny"}
    manifest = {
        "apiVersion": "lockkeeper.dev/v1alpha1",
        "kind": "WorkflowQuota",
        "metadata": {"name": "new", "namespace": namespace},
        "spec": quota,
    }
    with denied(installed, lambda grant: is_of(grant, verb, "quotaledgers")) as told:
        installed.site.kubectl.said("create", "-f", "-", text=json.dumps(manifest))
        hold(installed, f"held-{verb}")
        where = namespace if verb == "create" else BUILDS
        until(lambda: "Try again" in create(installed, f"no-{uuid4().hex[:8]}", where), "creates pass")
        told()
        assert metric(installed, CONTROLLER, 'lockkeeper_retries_total{reason="Forbidden"}') > 0


def test_without_a_look_at_the_secret_the_last_good_certificate_stays(installed: Installed) -> None:
    """And both count that they cannot read it."""
    with denied(installed, lambda grant: is_of(grant, "get", "secrets")) as told:
        told()
        for deployment in (WEBHOOK, CONTROLLER):
            series = 'lockkeeper_certificate_errors_total{operation="read"}'
            assert metric(installed, deployment, series) > 0
        assert create(installed, f"made-{uuid4().hex[:8]}", BUILDS) == ""


def test_without_a_write_of_the_secret_a_spoilt_certificate_stays_spoilt(installed: Installed) -> None:
    """A webhook that starts then has nothing to serve; the controller goes on to try."""
    with denied(installed, lambda grant: is_of(grant, "update", "secrets")) as told:
        spoil_certificate(installed)
        kill(installed, WEBHOOK)
        told()
        assert metric(installed, CONTROLLER, 'lockkeeper_certificate_errors_total{operation="renew"}') > 0


def test_without_the_making_of_a_secret_one_that_is_gone_stays_away(installed: Installed) -> None:
    """The log says who may make it."""
    with denied(installed, lambda grant: is_of(grant, "create", "secrets")) as told:
        installed.cluster.delete(SECRETS, CERTS, namespace=NAMESPACE)
        told()
        assert "does not exist and may not be made here" in installed.logs(CONTROLLER)


def test_without_lists_of_its_own_the_leader_begins_nothing(installed: Installed) -> None:
    """Neither queues nor caBundles."""
    own = ("workflows", MUTATING.plural, VALIDATING.plural)
    with denied(installed, lambda grant: is_of(grant, "list", *own, account=CONTROLLER)) as told:
        kill(installed, CONTROLLER)
        told()
        assert metric(installed, CONTROLLER, 'lockkeeper_retries_total{reason="Forbidden"}') > 0


def test_without_patches_nothing_is_let_go_judged_or_put_right(installed: Installed) -> None:
    """The controller is not ready, releases count as failed, and `lockkeeper check` tells of policies."""
    with denied(installed, lambda grant: grant.right.verb == "patch" and CONTROLLER in grant.user) as told:
        kill(
            installed, CONTROLLER
        )  # A term begins with a write of the lengths of runs; the next is minutes later.
        hold(installed, "held-for-want-of-a-patch")
        for what, namespace, change in (
            ("workflowquota/queue", GOVERNED, '{"spec": {"perUser": {"workflows": 7}}}'),
            ("clusterworkflowquota/data", "", '{"spec": {"limits": {"workflows": 7}}}'),
            ("synchronizationpolicy/locks", GOVERNED, MORE_BUILDS),
            ("clustersynchronizationpolicy/locks", "", '{"spec": {"validate": {"keyPattern": "^[a-y]+$"}}}'),
        ):
            edit(installed, what, namespace, change)
        checked(installed, "was not checked yet since it was written")
        break_bundles(installed)
        told()
        assert metric(installed, CONTROLLER, 'lockkeeper_release_failures_total{reason="Forbidden"}') > 0
        assert metric(installed, CONTROLLER, 'lockkeeper_certificate_errors_total{operation="inject"}') > 0
        for pod in installed.pods(CONTROLLER):
            until(
                partial(is_unready, pod, CONTROLLER, "does not carry the CA bundle yet"),
                f"{pod.name} is ready",
            )


def test_without_events_a_deadlock_is_told_by_log_and_metric(installed: Installed) -> None:
    """The event is made when the right is back."""
    admit(installed, "knot", GOVERNED)
    with denied(installed, lambda grant: is_of(grant, "create", "events")) as told:
        tangle(installed, "knot", GOVERNED)
        told()
        series = f'lockkeeper_lock_deadlocked_workflows{{workflow_namespace="{GOVERNED}"}}'
        assert metric(installed, CONTROLLER, series) == 1
    until(lambda: tells_of(installed, "knot", "LockDeadlock"), "nobody tells of a deadlock")
    installed.cluster.delete(WORKFLOWS, "knot", namespace=GOVERNED)


def test_without_the_making_of_a_config_map_a_policy_says_that_it_is_not_written(
    installed: Installed,
) -> None:
    """One that is gone comes back with the right."""
    with denied(installed, lambda grant: is_of(grant, "create", "configmaps")) as told:
        installed.cluster.delete(CONFIG_MAPS, SEMAPHORES, namespace=GOVERNED)
        told()
        wait = ["wait", "--for=condition=Conflicting", "synchronizationpolicy/locks", AWHILE]
        installed.site.kubectl.said(*wait, f"--namespace={GOVERNED}")
    until(lambda: is_there(installed, CONFIG_MAPS, SEMAPHORES, GOVERNED), "it does not come back")


def test_without_a_look_at_one_object_it_is_not_changed_blindly(installed: Installed) -> None:
    """A configuration that somebody touched, and a Workflow that has no status to take away."""
    own = ("workflows", MUTATING.plural, VALIDATING.plural)
    with denied(installed, lambda grant: is_of(grant, "get", *own, account=CONTROLLER)) as told:
        for resource in CONFIGURATIONS:
            touched = MergePatch({"metadata": {"annotations": {"touched": uuid4().hex}}})
            installed.cluster.patch(resource, RELEASE, touched)
        hold(installed, "held-for-want-of-a-look")
        told()
        assert metric(installed, CONTROLLER, 'lockkeeper_release_failures_total{reason="Forbidden"}') > 0


@pytest.mark.parametrize("verb", ["get", "update"])
def test_without_its_lease_nobody_leads(installed: Installed, verb: str) -> None:
    """The leader stops before another may begin, and says why."""
    with denied(installed, lambda grant: is_of(grant, verb, "leases", account=CONTROLLER)) as told:
        told()
        until(lambda: metric(installed, CONTROLLER, "lockkeeper_leader") == 0, "somebody leads on")
        checked(installed, "holds the Lease traffic/lockkeeper-controller and does not renew it")
    until(lambda: leader(installed) is not None, "nobody leads again")


def test_without_the_making_of_a_lease_nobody_leads_for_the_first_time(installed: Installed) -> None:
    """As in an installation that was never one before."""
    with denied(installed, lambda grant: is_of(grant, "create", "leases")) as told:
        installed.cluster.delete(LEASES, CONTROLLER, namespace=NAMESPACE)
        told()
        checked(installed, "no controller has ever led")


def test_without_its_rights_a_check_says_what_it_did_not_see(installed: Installed) -> None:
    """A right that it lacks is no fault of the installation; one is left, or there were nothing to report."""

    def missed(grant: Grant) -> bool:
        return grant.user.endswith(f":{RELEASE}-check") and grant.right.resource != LEASES.plural

    with without(installed.cluster, missed) as taken:
        said = check(installed)
        assert [str(each) for each in taken if not_seen(each) not in said] == []
    assert check(installed).removeprefix(said).count("not seen") == 0


def not_seen(grant: Grant) -> str:
    """Return what a check says without this right; the name of a Service does as well as its address."""
    right = grant.right
    if right.resource == "services":
        return ""
    what = " ".join(filter(None, (right.verb, f"{right.resource}.{right.group}", right.name)))
    return f"for want of the right to {what}"


@pytest.mark.parametrize(
    ("role", "user", "command"),
    [
        ("view", VIEWER, ("get", "wfq,sp")),
        ("edit", EDITOR, ("annotate", "sp", "locks", "seen=true")),
    ],
)
def test_without_the_chart_s_part_people_have_no_rights_of_ours(
    installed: Installed, role: str, user: str, command: tuple[str, ...]
) -> None:
    """The cluster's own roles know nothing of our kinds."""
    asked = (*command, f"--as={user}", f"--namespace={GOVERNED}")
    with without(installed.cluster, lambda grant: grant.role == f"ClusterRole {RELEASE}-{role}"):
        done = installed.site.kubectl.run(*asked)
        assert (done.returncode, f'User "{user}" cannot' in done.stderr) == (1, True), done.stderr
    installed.site.kubectl.said(*asked)


def test_every_grant_is_the_only_way_to_its_right(installed: Installed) -> None:
    """What the tour of test_rights uses, it could not without the one grant."""
    for grant in grants(installed.cluster):
        with without(installed.cluster, grant.__eq__) as taken:
            assert taken == [grant]
            assert not may(installed.cluster, grant.user, grant.right)
    await_work(installed)


def is_unready(pod: SeenPod, deployment: str, why: str) -> bool:
    """Tell whether a Pod says that it is not ready, and why; it may still start, or have looked before."""
    return why in told_by(pod, deployment, "/readyz")


def is_of(grant: Grant, verb: str, *resources: str, account: str = "") -> bool:
    """Tell whether a grant of the webhook or the controller, or of one of them, is such a one."""
    wanted = (account,) if account else (WEBHOOK, CONTROLLER)
    return (
        grant.user.rpartition(":")[2] in wanted
        and grant.right.verb == verb
        and grant.right.resource in resources
    )
