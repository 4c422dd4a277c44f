"""What the accounts of an installation may do: all that they need, nothing that they do not, and no more."""

import json
from collections.abc import Iterator
from subprocess import CompletedProcess
from typing import Final

import msgspec
import pytest

from policy.cluster.protocol import Resource
from policy.core.objects.json_patch import JsonObject, JsonValue
from tests.charts.rendering import MODES, WITHOUT_CRDS, Chart
from tests.e2e.acting import BUILDS, QUICK
from tests.e2e.auditing import Asked, Audit
from tests.e2e.charted import GOVERNED, NAMESPACE, RELEASE
from tests.e2e.grants import (
    CLUSTER_ROLES,
    EDITOR,
    RBAC,
    ROLES,
    VIEWER,
    Right,
    account_name,
    granted,
    grants,
    may,
    rights_of,
)
from tests.e2e.installed import CONTROLLER, WEBHOOK, Installed, installation
from tests.e2e.process_status import family_of, mount_points, write_error
from tests.e2e.product import until
from tests.e2e.refused_rights import refused_to_all, refused_to_controller, refused_to_webhook
from tests.e2e.touring import tour

pytestmark = pytest.mark.e2e

USER: Final = 65532
ACCOUNT: Final = Resource("", "v1", "serviceaccounts", "ServiceAccount")
RIGHTS: Final = (
    ROLES,
    CLUSTER_ROLES,
    Resource(RBAC, "v1", "rolebindings", "RoleBinding"),
    Resource(RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False),
    ACCOUNT,
)
VERBS: Final = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
COMPONENTS: Final = ("webhook", "controller", "check")
RELEASES: Final = {"builtIn": RELEASE, "certManager": "by-cert-manager", "secret": "by-secret"}
"""A release for each way to come by a certificate; of all but the first there are only accounts and roles."""
MOUNTED_AT: Final = "/run/secrets/kubernetes.io/serviceaccount"


class Toured(msgspec.Struct, frozen=True):
    """An installation that has done all that it does, and what its accounts asked the API server for."""

    installed: Installed
    asked: list[Asked]
    denied: list[str]


@pytest.fixture(scope="module")
def toured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toured]:
    """Install, and make the tour."""
    audit = Audit(tmp_path_factory.mktemp("audit"))
    folder = tmp_path_factory.mktemp("installation")
    with audit.noted(), installation(folder, *QUICK, apiserver_flags=audit.flags) as installed:
        tour(installed)
        yield Toured(installed, audit.asked(), audit.denied())


@pytest.fixture(scope="module")
def installed(toured: Toured) -> Installed:
    """Give the installation alone."""
    return toured.installed


@pytest.fixture(scope="module")
def every_mode(installed: Installed) -> dict[str, str]:
    """Give the name of a release for each mode; the accounts and roles of all are there."""
    chart = Chart(helm=installed.release.helm)
    for mode, release in RELEASES.items():
        if release == RELEASE:
            continue
        values = (WITHOUT_CRDS, "page.enabled=true", *MODES[mode])
        rendered = chart.rendered(*values, release=release, namespace=NAMESPACE)
        for resource in RIGHTS:
            for each in rendered.all(resource.kind):
                installed.cluster.create(resource, each.body)
    return RELEASES


def test_nothing_that_is_needed_is_denied(toured: Toured) -> None:
    """No request of any account of ours was refused for want of a right."""
    assert toured.asked
    assert toured.denied == []


def test_every_grant_is_needed(toured: Toured) -> None:
    """What the tour does not use once is a right too many, or a part of the tour too few."""
    present = grants(toured.installed.cluster)
    assert {each.role for each in present} == {
        *(f"{kind} {RELEASE}-{name}" for kind in ("Role", "ClusterRole") for name in COMPONENTS),
        *(f"ClusterRole {RELEASE}-{name}" for name in ("view", "edit", "pools")),
    }
    unused = [str(each) for each in present if not any(each.allows(asked) for asked in toured.asked)]
    assert unused == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("component", COMPONENTS)
def test_an_account_has_what_the_chart_grants_and_no_more(
    installed: Installed, every_mode: dict[str, str], mode: str, component: str
) -> None:
    """By the API server's own word: nothing comes by a group or by a binding that is not the chart's."""
    account = f"{every_mode[mode]}-{component}"
    kubectl = installed.site.kubectl
    roles = granted(installed.cluster, account)
    everybodys = rights_of(kubectl, "default", NAMESPACE)
    here = rights_of(kubectl, account, NAMESPACE) - everybodys
    elsewhere = rights_of(kubectl, account, GOVERNED) - everybodys
    assert here == {msgspec.structs.replace(each, namespace="") for each in roles}
    assert elsewhere == {each for each in roles if not each.namespace}
    assert not [str(each) for each in here if "*" in (each.verb, each.group, each.resource)]
    user = account_name(account)
    assert [str(each) for each in roles if not may(installed.cluster, user, each)] == []


@pytest.mark.parametrize("mode", ["certManager", "secret"])
def test_the_account_of_the_page_may_no_more_than_everybody(
    installed: Installed, every_mode: dict[str, str], mode: str
) -> None:
    """It reads with the tokens of those who look, so whoever takes it over has gained nothing."""
    account = f"{every_mode[mode]}-page"
    kubectl = installed.site.kubectl
    kubectl.said("get", "serviceaccount", account, f"--namespace={NAMESPACE}")
    assert granted(installed.cluster, account) == set()
    for namespace in (NAMESPACE, GOVERNED):
        assert rights_of(kubectl, account, namespace) == rights_of(kubectl, "default", namespace)
    refused = (*refused_to_all(every_mode[mode]), *refused_to_webhook(every_mode[mode]))
    user = account_name(account)
    assert [
        str(each) for each in (*refused, *refused_to_controller()) if may(installed.cluster, user, each)
    ] == []


@pytest.mark.parametrize("mode", MODES)
def test_an_account_may_not(installed: Installed, every_mode: dict[str, str], mode: str) -> None:
    """What would let one who takes an account over go on to more, or stop or change the work of others."""
    release = every_mode[mode]
    refused = {component: set(refused_to_all(release)) for component in COMPONENTS}
    refused["webhook"] |= set(refused_to_webhook(release))
    refused["controller"] |= set(refused_to_controller())
    if mode == "secret":
        own = {Right(verb, "", "secrets", "my-tls", NAMESPACE) for verb in ("get", "list", "watch", "update")}
        refused["webhook"] |= own  # It is mounted, for which the API is not asked.
        refused["controller"] |= {each for each in own if each.verb != "get"}
    if mode == "certManager":
        own = {Right(verb, "", "secrets", f"{release}-tls", NAMESPACE) for verb in ("get", "list", "update")}
        for component in COMPONENTS:
            refused[component] |= own
    found = [
        f"{component} may {right}"
        for component, rights in refused.items()
        for right in sorted(rights)
        if may(installed.cluster, account_name(f"{release}-{component}"), right)
    ]
    assert found == []


def test_who_may_view_a_namespace_sees_its_policies(installed: Installed) -> None:
    """And changes none."""
    kubectl = installed.site.kubectl
    here = (f"--as={VIEWER}", f"--namespace={GOVERNED}")
    assert kubectl.said("get", "wfq,sp", "-o", "name", *here).split() == [
        "workflowquota.lockkeeper.dev/queue",
        "synchronizationpolicy.lockkeeper.dev/locks",
    ]
    for change in (("delete", "wfq", "queue"), ("annotate", "wfq", "queue", "a=b")):
        done = kubectl.run(*change, *here)
        assert (done.returncode, f'User "{VIEWER}" cannot' in done.stderr) == (1, True), done.stderr
    assert kubectl.run("get", "wfq", f"--as={VIEWER}", f"--namespace={BUILDS}").returncode == 1


def test_who_may_edit_a_namespace_sets_its_locks(installed: Installed) -> None:
    """And no others, not by the status either."""
    kubectl = installed.site.kubectl
    change = ("--type=merge", '--patch={"metadata": {"labels": {"a": "b"}}}', f"--as={EDITOR}")
    kubectl.said("patch", "sp", "locks", f"--namespace={GOVERNED}", *change)
    for refused in (
        ("patch", "sp", "locks", f"--namespace={BUILDS}", *change),
        ("patch", "cwfq", "data", *change),
        ("patch", "sp", "locks", f"--namespace={GOVERNED}", "--subresource=status", *change),
    ):
        done = kubectl.run(*refused)
        assert (done.returncode, f'User "{EDITOR}" cannot' in done.stderr) == (1, True), done.stderr


def test_who_may_edit_a_namespace_sees_its_quotas_and_writes_none(installed: Installed) -> None:
    """Whoever creates Workflows there has this role: he raises no limit, and adds or deletes no quota."""
    kubectl = installed.site.kubectl
    here = (f"--as={EDITOR}", f"--namespace={GOVERNED}")
    found = kubectl.said("get", "wfq", "queue", "-o", "json", *here)
    more = found.replace('"name": "queue"', '"name": "more"')
    for arguments, text in (
        (("patch", "wfq", "queue", "--type=merge", '--patch={"spec": {"limits": {"workflows": 99}}}'), ""),
        (("create", "-f", "-"), more),
        (("replace", "-f", "-"), found),
        (("delete", "wfq", "queue"), ""),
        (("delete", "wfq", "--all"), ""),
    ):
        done = kubectl.run(*arguments, *here, text=text)
        assert (done.returncode, f'User "{EDITOR}" cannot' in done.stderr) == (1, True), done.stderr
    assert _verbs_on_quotas(installed) == ["get", "list", "watch"]


def test_who_may_edit_a_namespace_writes_its_quotas_where_a_value_says_so(installed: Installed) -> None:
    """The role that `rbac.aggregateQuotas` adds to the cluster's own is all that it takes."""
    chart = Chart(helm=installed.release.helm)
    rendered = chart.rendered(WITHOUT_CRDS, "rbac.aggregateQuotas=edit", release=RELEASE, namespace=NAMESPACE)
    name = f"{RELEASE}-quotas"
    (role,) = (each.body for each in rendered.all("ClusterRole") if each.metadata.name == name)
    installed.cluster.create(CLUSTER_ROLES, role)
    try:
        until(lambda: _verbs_on_quotas(installed) == list(VERBS), "the role edit may not write quotas")
        change = ("--type=merge", '--patch={"spec": {"limits": {"workflows": 3}}}', "--dry-run=server")
        here = (f"--as={EDITOR}", f"--namespace={GOVERNED}")
        installed.site.kubectl.said("patch", "wfq", "queue", *change, *here)
    finally:
        installed.cluster.delete(CLUSTER_ROLES, name)
    until(lambda: _verbs_on_quotas(installed) == ["get", "list", "watch"], "the role edit may still write")


def _verbs_on_quotas(installed: Installed) -> list[str]:
    """Return what an editor may do with the quotas of his namespace."""
    return [
        verb
        for verb in VERBS
        if may(installed.cluster, EDITOR, Right(verb, "lockkeeper.dev", "workflowquotas", namespace=GOVERNED))
    ]


@pytest.mark.parametrize("user", [VIEWER, EDITOR])
def test_nobody_of_a_namespace_touches_ledgers_or_what_is_of_the_cluster(
    installed: Installed, user: str
) -> None:
    """A ledger that is edited is a limit that does not hold."""
    found = [
        f"{verb} {resource}"
        for resource in ("quotaledgers", "clusterworkflowquotas", "clustersynchronizationpolicies")
        for verb in VERBS
        if may(installed.cluster, user, Right(verb, "lockkeeper.dev", resource))
    ]
    assert found == []
    done = installed.site.kubectl.run("get", "quotaledgers", f"--as={user}")
    assert (done.returncode, f'User "{user}" cannot list' in done.stderr) == (1, True), done.stderr


@pytest.mark.parametrize("deployment", [WEBHOOK, CONTROLLER])
def test_its_processes_are_nobody_and_may_nothing(installed: Installed, deployment: str) -> None:
    """Another user than root, no capability, and no way to come by one; of the webhook's worker, too."""
    for pod in installed.pods(deployment):
        family = family_of(pod.pid)
        assert len(family) == (2 if deployment == WEBHOOK else 1)
        for each in family:
            assert each.users == {USER}
            assert each.groups == {USER}
            assert each.capabilities == 0
            assert each.no_new_privileges


@pytest.mark.parametrize("deployment", [WEBHOOK, CONTROLLER])
def test_nothing_can_be_written_but_its_own_tmp(installed: Installed, deployment: str) -> None:
    """Not by root of the machine either."""
    pod = installed.pods(deployment)[0]
    (token,) = (each for each in mount_points(pod.pid) if each.endswith(MOUNTED_AT))
    folders = ("/", "/etc", "/usr", "/usr/bin", "/var", "/opt", "/home", "/root", "/run", token)
    assert {folder: write_error(pod.pid, folder) for folder in folders} == dict.fromkeys(folders, "EROFS")
    assert write_error(pod.pid, "/tmp") == ""  # noqa: S108 - the Pod's own


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_token_is_given_to_whom_asks_for_it(installed: Installed, component: str) -> None:
    """The namespace refuses what is not restricted; a Pod of our account that does not ask gets no token."""
    kubectl = installed.site.kubectl
    security: JsonObject = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    container: JsonObject = {
        "name": "other",
        "image": "busybox:1.37",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec: JsonObject = {"serviceAccountName": f"{RELEASE}-{component}", "containers": [container]}

    def tried(**more: JsonValue) -> CompletedProcess[str]:
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "other"}, "spec": {**spec, **more}}
        asked = ("create", "--dry-run=server", f"--namespace={NAMESPACE}", "-o", "json", "-f", "-")
        return kubectl.run(*asked, text=json.dumps(pod))

    assert 'violates PodSecurity "restricted:latest"' in tried().stderr
    made = tried(securityContext=security)
    assert made.returncode == 0, made.stderr
    assert "serviceAccountToken" not in made.stdout
    asked = tried(securityContext=security, automountServiceAccountToken=True)
    assert "serviceAccountToken" in asked.stdout
