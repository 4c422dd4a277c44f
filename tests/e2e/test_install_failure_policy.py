"""What users see while no replica of the webhook is there, by failurePolicy: the table of docs/install.md.

The tests follow each other on one installation, which helm 3.17 upgrades: helm 4 stops at a number of
replicas that kubectl wrote.
"""

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
import pytest

from lockkeeper.process.kubernetes_objects import MUTATING
from policy.cluster.errors import TooManyRequests
from policy.cluster.protocol import EVENTS, WORKFLOW_QUOTAS, WORKFLOWS
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from policy.core.policies.governing_quotas import WEBHOOK_DELAY
from tests.e2e import submitting
from tests.e2e.acting import scale
from tests.e2e.charted import GOVERNED, NAMESPACE, RELEASE
from tests.e2e.creating import workflow as small
from tests.e2e.installed import WEBHOOK, Installed, installation
from tests.e2e.kubectl import AWHILE
from tests.e2e.manifests import QUOTA, quota, workflow
from tests.e2e.product import until
from tests.e2e.replicas import ASKING, await_governed
from tests.e2e.submitting import AS_ARGO, complaints, complete, govern, held

pytestmark = [pytest.mark.e2e, ASKING]

QUICK: Final = ("webhook.preStopSeconds=1", "controller.preStopSeconds=1")
NO_MORE: Final = "no-more-pods"
QUEUE: Final = "queue"
FREE: Final = "free"
SERVICE: Final = f"https://{WEBHOOK}.{NAMESPACE}.svc:443"
POLICIES: Final = "policies.lockkeeper.dev"
HEARD: Final = timedelta(seconds=10)
"""By when a leader has heard of a policy."""


class Kept(msgspec.Struct, frozen=True):
    """What of an object's metadata is its owner's and not the API server's."""

    name: str
    labels: dict[str, str]
    annotations: dict[str, str]


class Written(msgspec.Struct, frozen=True):
    """When somebody wrote fields of an object."""

    time: datetime


class Dated(msgspec.Struct, frozen=True, rename="camel"):
    """When an object was written."""

    managed_fields: list[Written]


class Stored(msgspec.Struct, frozen=True):
    """An object as it is stored."""

    metadata: Dated


class Told(msgspec.Struct, frozen=True):
    """The part of an event that a user reads."""

    reason: str = ""
    note: str = ""
    regarding: dict[str, str] = {}


class Policies(msgspec.Struct, frozen=True):
    """The failurePolicy of each webhook."""

    mutating: str
    validating: str
    policies: str

    @property
    def settings(self) -> tuple[str, ...]:
        """The values that say so."""
        given = msgspec.structs.asdict(self)
        return QUICK + tuple(f"registration.{hook}.failurePolicy={policy}" for hook, policy in given.items())

    @property
    def refusing(self) -> str:
        """The name of the webhook for whose sake a Workflow is refused, "" where none is."""
        if self.mutating == "Fail":
            return "mutate"
        return "validate" if self.validating == "Fail" else ""

    def __str__(self) -> str:
        return "-".join(f"{hook}-{policy}" for hook, policy in msgspec.structs.asdict(self).items())


DEFAULT: Final = Policies("Ignore", "Fail", "Ignore")
ALL: Final = (
    DEFAULT,
    Policies("Fail", "Fail", "Fail"),
    Policies("Fail", "Ignore", "Ignore"),
    Policies("Ignore", "Ignore", "Fail"),
)
"""Both policies of each webhook, in all combinations about Workflows. The last one lets them pass."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """Give the installation with a quota that denies in GOVERNED, one that queues in QUEUE, none in FREE."""
    with installation(tmp_path_factory.mktemp("installation"), *QUICK, helm="3.17") as installed:
        for namespace in (QUEUE, FREE):
            installed.namespace(namespace)
        for namespace, on_exceed in ((GOVERNED, "Deny"), (QUEUE, "Queue")):
            govern(installed, namespace, quota(limits={"workflows": 1}, onExceed=on_exceed))
        for name in ("first", "second", "third"):
            assert create(installed, QUEUE, name).returncode == 0
        until(lambda: not held(installed, QUEUE, "first"), "the first one is not let go")
        assert create(installed, FREE, "old").returncode == 0
        yield installed


@pytest.fixture(scope="module")
def down(installed: Installed) -> Installed:
    """Give the installation without a single replica of the webhook.

    An upgrade wants them back, and a quota of Kubernetes' own for Pods keeps them away.
    """
    scale(installed, WEBHOOK, 0)
    kubectl = installed.site.kubectl
    kubectl.said("create", "quota", NO_MORE, "--hard=pods=2", "-n", NAMESPACE)
    counted = "--for=jsonpath={.status.used.pods}=2"
    kubectl.said("wait", counted, f"quota/{NO_MORE}", "-n", NAMESPACE, AWHILE)
    return installed


def create(
    installed: Installed, namespace: str, name: str, *options: str
) -> subprocess.CompletedProcess[str]:
    """Run `kubectl create` for a Workflow."""
    return submitting.create(installed, namespace, workflow(name), *options)


def patch(
    installed: Installed, what: str, namespace: str, change: JsonObject, *options: str
) -> subprocess.CompletedProcess[str]:
    """Run `kubectl patch`."""
    arguments = ("-n", namespace, "--type=merge", "-p", json.dumps(change), *options)
    return installed.site.kubectl.run("patch", what, *arguments)


def used(installed: Installed) -> str:
    """Return how many Workflows of GOVERNED the controller counts."""
    path = "jsonpath={.status.accounts[0].usage.workflows}"
    return installed.site.kubectl.said(
        "get", "wfql", f"namespace.{GOVERNED}", "-o", path, "--ignore-not-found"
    )


def switch(installed: Installed, policies: Policies) -> None:
    """Upgrade to other policies, and wait until the API server, which learns of them later, obeys them."""
    installed.release.upgrade(*policies.settings)

    def obeyed() -> bool:
        said = create(installed, GOVERNED, "probe", "--dry-run=server").stderr
        edited = patch(installed, f"wfq/{QUOTA}", QUEUE, {"spec": {"perUser": {"tasks": 7}}})
        patch(installed, f"wfq/{QUOTA}", QUEUE, {"spec": {"perUser": None}})
        refused = policies.policies == "Fail"
        return named(said) == policies.refusing and bool(edited.returncode) == refused

    until(obeyed, "the API server does not go by the new policies")


def named(said: str) -> str:
    """Return the name of the webhook that could not be called, "" where nothing is said."""
    return said.partition('failed calling webhook "')[2].partition(".")[0] or said


def test_kubectl_tries_again_by_itself_what_the_mutating_webhook_missed(installed: Installed) -> None:
    """Whoever types sees nothing of it: the answer says how long to wait, and the next try is governed."""
    kept = installed.cluster.get(MUTATING, RELEASE)
    installed.cluster.delete(MUTATING, RELEASE)
    until(lambda: is_missed(installed), "the mutating webhook is still asked")

    def is_refused() -> bool:
        lines = installed.logs(WEBHOOK).splitlines()
        return any('"name":"missed"' in line and "NotMutated" in line for line in lines)

    with ThreadPoolExecutor(1) as typing:
        trying = typing.submit(create, installed, QUEUE, "missed")
        until(is_refused, "the create is not refused")
        metadata = msgspec.convert(kept["metadata"], Kept)
        installed.cluster.create(MUTATING, {**kept, "metadata": msgspec.to_builtins(metadata)})
        done = trying.result()
    assert (done.returncode, done.stdout) == (0, "workflow.argoproj.io/missed created\n")
    assert complaints(done.stderr) == ""
    assert held(installed, QUEUE, "missed")


def is_missed(installed: Installed) -> bool:
    """Tell whether a create is refused for want of the mutating webhook, and when to try again."""
    try:
        installed.cluster.create(WORKFLOWS, small("asked"), namespace=QUEUE, dry_run=True)
    except TooManyRequests as refused:
        return "is not as Lockkeeper's mutating webhook leaves it" in refused.message
    return False


def test_a_missing_webhook_is_named_by_whoever_asks(down: Installed) -> None:
    """As installed, this is what a user reads: whose fault it is, and that it is not his."""
    refused = create(down, GOVERNED, "refused")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith(
        'Error from server (InternalError): error when creating "STDIN": Internal error occurred: '
        'failed calling webhook "validate.lockkeeper.dev": failed to call webhook: '
        f'Post "{SERVICE}/validate?timeout=5s": '
    )
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize("policies", ALL, ids=str)
def test_each_policy_does_what_the_manual_says(down: Installed, policies: Policies) -> None:
    """Creates and changes as the policy wants; what Argo needs to go on and all else pass in any case."""
    switch(down, policies)
    refusing = policies.refusing
    for namespace in (GOVERNED, FREE):
        assert named(create(down, namespace, f"new-{policies}".lower()).stderr) == refusing
    retried = patch(down, "wf/old", FREE, {"spec": {"priority": ALL.index(policies) + 1}})
    assert named(retried.stderr) == refusing
    for change, who in (
        ({"status": {"phase": "Running", "message": str(policies)}}, AS_ARGO),
        ({"metadata": {"labels": {well_known.PHASE: "Running"}, "finalizers": ["example.com/one"]}}, AS_ARGO),
        ({"metadata": {"finalizers": None}}, AS_ARGO),
        ({"spec": {"shutdown": "Terminate"}}, ()),
        ({"spec": {"shutdown": None}}, AS_ARGO),
    ):
        done = patch(down, "wf/old", FREE, change, *who)  # type: ignore[arg-type]
        assert (done.returncode, done.stderr) == (0, "")
    edited = patch(
        down, f"wfq/{QUOTA}", GOVERNED, {"spec": {"perUser": {"workflows": ALL.index(policies) + 2}}}
    )
    assert named(edited.stderr) == ("policies" if policies.policies == "Fail" else "")
    for own in (NAMESPACE, "kube-system"):
        done = create(down, own, f"own-{policies}".lower())
        assert (done.returncode, done.stderr) == (0, "")
    down.site.kubectl.said("create", "configmap", f"any-{policies}".lower(), "-n", GOVERNED)


def test_what_passed_unasked_is_counted(down: Installed) -> None:
    """It is over no limit yet, and whoever comes after it finds the limit taken."""
    until(lambda: used(down) == "1", "what passed is not counted")


def test_what_passed_unasked_is_told_of_and_left_alone(down: Installed) -> None:
    """One event says what it means; nothing of the Workflow is changed.

    Nothing is said of what comes while a quota, or the last edit of it, may not be known everywhere yet.
    """
    policy = msgspec.convert(down.cluster.get(WORKFLOW_QUOTAS, QUOTA, namespace=QUEUE), Stored)
    known = max(each.time for each in policy.metadata.managed_fields) + WEBHOOK_DELAY + HEARD
    until(lambda: datetime.now(UTC) > known, "the clock stands still")
    assert create(down, QUEUE, "passed").returncode == 0
    before = down.cluster.get(WORKFLOWS, "passed", namespace=QUEUE)
    until(lambda: bool(told(down)), "nobody tells of it")
    quota = f"WorkflowQuota {QUEUE}/{QUOTA}"
    asked = f"Lockkeeper did not review it when it was created, though {quota} governs it: "
    assert told(down).keys() == {"passed"}
    assert told(down)["passed"].startswith(asked)
    assert down.cluster.get(WORKFLOWS, "passed", namespace=QUEUE) == before
    complete(down, QUEUE, "passed")


def told(down: Installed) -> dict[str, str]:
    """Return what is told of Workflows that came past the webhook, by name."""
    found = [msgspec.convert(each, Told) for each in down.cluster.list(EVENTS, namespace=QUEUE).items]
    return {each.regarding["name"]: each.note for each in found if each.reason == "NotAdmitted"}


def test_the_queue_goes_on_without_the_webhook(down: Installed) -> None:
    """With the policy that refuses the most: who lets go is not asked about."""
    switch(down, ALL[1])
    for ended, begun in (("first", "second"), ("second", "third")):
        assert held(down, QUEUE, begun)
        complete(down, QUEUE, ended)
        until(lambda begun=begun: not held(down, QUEUE, begun), f"{begun} is not let go")  # type: ignore[misc]


def test_when_it_is_back_it_governs_again(down: Installed) -> None:
    """At once, and with what had passed it in the meantime taken into account."""
    switch(down, DEFAULT)
    down.site.kubectl.said("delete", "quota", NO_MORE, "-n", NAMESPACE)
    for replicas in (0, 2):  # A change has Kubernetes try at once, and not after a minute.
        scale(down, WEBHOOK, replicas)
    await_governed(down, GOVERNED)
    refused = create(down, GOVERNED, "over")
    assert refused.returncode == 1
    assert "requested: workflows=1, used: workflows=1, limited: workflows=1" in refused.stderr
    assert create(down, QUEUE, "fourth").returncode == 0
    assert held(down, QUEUE, "fourth")
    assert create(down, FREE, "fourth").returncode == 0
