"""Who may call the webhook's port: nobody but the API server, through upgrades and changes of its paths.

The tests of one helm follow each other on one cluster, under streams of creates that nothing of this fails.
The first release registered plain paths; an installation without secret paths is the same.
"""

import subprocess
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final

import pytest

from lockkeeper.process.kubernetes_objects import CONFIGURATIONS
from lockkeeper.secret_paths.configuration_paths import read
from policy.core.decision.decision import Side
from tests.e2e.asking import metric
from tests.e2e.charted import CHART, GOVERNED, NAMESPACE, RELEASE
from tests.e2e.helm import VERSIONS
from tests.e2e.installed import IMAGE, WEBHOOK, Installed, installation
from tests.e2e.manifests import quota, workflow
from tests.e2e.product import until
from tests.e2e.replicas import ASKING, addresses, path_of, posted
from tests.e2e.shaking import govern, shaken
from tests.e2e.submitting import govern as govern_by

pytestmark = [pytest.mark.e2e, ASKING]

QUICK: Final = (
    "webhook.preStopSeconds=2",
    "webhook.terminationGracePeriodSeconds=6",
    "controller.preStopSeconds=1",
)
PLAIN: Final = (*QUICK, "registration.callerToken=false")
WAIT: Final = 180.0
"""Seconds until paths have a secret and the plain ones are nobody's: less than two minutes here."""
CALM: Final = 0.1
DENIED: Final = "denied"
FORGED: Final = ("/mutate", "/validate", f"/mutate/{'0' * 64}")


@pytest.fixture(scope="module", params=VERSIONS, ids=lambda version: f"helm-{version}")
def installed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installed]:
    """Give an installation with plain paths, a namespace where all are held, and one with few slots."""
    folder = tmp_path_factory.mktemp("callers")
    with installation(folder, *PLAIN, helm=request.param, back_off=0.1) as installed:
        govern(installed)
        installed.namespace(DENIED)
        govern_by(installed, DENIED, quota(limits={"workflows": len(FORGED)}, onExceed="Deny"))
        yield installed


def secrets(installed: Installed) -> dict[Side, str | None]:
    """Return the secret of each path."""
    return {
        hook.side: hook.secret
        for resource in CONFIGURATIONS
        for hook in read(installed.cluster.get(resource, RELEASE)).hooks
    }


def statuses(installed: Installed, path: str) -> set[int]:
    """Return what every replica answers at a path, to a dry run."""
    where = addresses(installed)
    assert len(where) > 1
    return {posted(each, path, GOVERNED)[0] for each in where}


def test_an_upgrade_to_secret_paths_fails_no_create(installed: Installed) -> None:
    """Plain paths are answered until no API server sends them any more, and no old replica is left."""
    assert set(secrets(installed).values()) == {""}
    with shaken(installed, pace=CALM) as stream:
        installed.release.upgrade(*QUICK)
        installed.ready()
        until(lambda: all(secrets(installed).values()), "the paths get no secret", seconds=WAIT)
        assert statuses(installed, path_of(installed, Side.MUTATE)) == {HTTPStatus.OK}
        until(
            lambda: statuses(installed, "/mutate") == {HTTPStatus.FORBIDDEN},
            "plain paths are answered for ever",
            seconds=WAIT,
        )
        stream.await_more()
    assert stream.failed == []
    assert stream.ungoverned == []


@pytest.mark.parametrize("path", FORGED)
def test_a_pod_that_posts_to_the_port_gets_no_slot(installed: Installed, path: str) -> None:
    """It is told that it is not known, and as many creates as there are slots have one each."""
    for address in addresses(installed):
        for _ in range(5):
            status, text = posted(address, path, DENIED, dry_run=False)
            assert status == HTTPStatus.FORBIDDEN
            assert b"not in the webhook configurations" in text
    name = f"after-{len(path)}"
    installed.site.kubectl.said("create", "-n", DENIED, "-f", "-", text=workflow(name))
    assert metric(installed, WEBHOOK, 'lockkeeper_unknown_callers_total{webhook="mutate"}') >= 10


def test_probes_and_metrics_are_not_on_that_port(installed: Installed) -> None:
    """Nor is admission on theirs."""
    for path in ("/readyz", "/livez", "/metrics"):
        assert statuses(installed, path) == {HTTPStatus.NOT_FOUND}
    assert metric(installed, WEBHOOK, "lockkeeper_policies_loaded_timestamp_seconds") > 0


def test_a_secret_of_one_side_opens_no_other(installed: Installed) -> None:
    """That of the validating side shows in the errors of its failed calls."""
    found = secrets(installed)
    assert statuses(installed, f"/mutate/{found[Side.VALIDATE]}") == {HTTPStatus.FORBIDDEN}
    assert statuses(installed, f"/validate/{found[Side.MUTATE]}") == {HTTPStatus.FORBIDDEN}


def test_the_check_finds_all_well(installed: Installed) -> None:
    """`helm test` asks at the paths that the API server calls, and shows none."""
    installed.release.helm.said("test", RELEASE, f"--namespace={NAMESPACE}")
    said = installed.log("lockkeeper-check")
    assert "answers only who knows the paths in the webhook configurations" in said
    assert not any(secret and secret in said for secret in secrets(installed).values())


def test_an_upgrade_leaves_the_secrets_and_fails_no_create(installed: Installed) -> None:
    """Helm 3 writes plain paths back, which are answered until they are put right; helm 4 does not."""
    before = secrets(installed)
    with shaken(installed, pace=CALM) as stream:
        installed.release.upgrade(*QUICK, "webhook.podAnnotations.changed=once")
        installed.ready()
        until(lambda: secrets(installed) == before, "the paths are not put right")
        stream.await_more()
    assert stream.failed == []


def test_a_path_that_a_person_changes_is_put_right_and_fails_no_create(installed: Installed) -> None:
    """It is answered as long as it stands there."""
    before = secrets(installed)
    with shaken(installed, pace=CALM) as stream:
        for kind in ("mutating", "validating"):
            path = "/mutate" if kind == "mutating" else "/validate"
            patch = f'[{{"op":"replace","path":"/webhooks/0/clientConfig/service/path","value":"{path}"}}]'
            configuration = f"{kind}webhookconfiguration"
            installed.site.kubectl.said("patch", configuration, RELEASE, "--type=json", "-p", patch)
        until(lambda: secrets(installed) == before, "the paths are not put right")
        stream.await_more()
    assert stream.failed == []


def test_a_new_certificate_brings_new_paths_and_fails_no_create(installed: Installed) -> None:
    """`lockkeeper certs rotate` changes both; what was known before is nobody's a minute later."""
    before = secrets(installed)
    old = path_of(installed, Side.MUTATE)
    with shaken(installed, pace=CALM) as stream:
        rotated = [*IMAGE.entry_point, "certs", "rotate", "--namespace", NAMESPACE]
        rotated += ["--kubeconfig", str(installed.site.plane.kubeconfig)]
        subprocess.run(rotated, check=True, capture_output=True, timeout=60)  # noqa: S603 - our own program
        until(
            lambda: not set(secrets(installed).values()) & set(before.values()),
            "the paths stay as they are",
            seconds=WAIT,
        )
        until(
            lambda: statuses(installed, old) == {HTTPStatus.FORBIDDEN},
            "the old path is answered",
            seconds=WAIT,
        )
        stream.await_more()
    assert stream.failed == []


def test_no_secret_is_in_a_log(installed: Installed) -> None:
    """Whoever may read logs may not call."""
    logs = installed.logs(WEBHOOK) + installed.logs("lockkeeper-controller")
    assert logs
    assert not any(secret and secret in logs for secret in secrets(installed).values())


def test_going_back_to_plain_paths_fails_no_create(
    installed: Installed, request: pytest.FixtureRequest
) -> None:
    """The controller writes them as soon as the Deployment says that its Pods will know no others."""
    with shaken(installed, pace=CALM) as stream:
        where = [f"--namespace={NAMESPACE}", *(f"--set={each}" for each in PLAIN)]
        force = ["--force-conflicts"] if "helm-4" in request.node.nodeid else []
        installed.release.helm.said("upgrade", RELEASE, str(CHART), *where, *force)
        installed.ready()
        assert set(secrets(installed).values()) == {""}
        stream.await_more()
    assert stream.failed == []
