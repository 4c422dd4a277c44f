"""The leading controller and its certificates: renewal, and a caBundle that is right whoever edits it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from threading import Thread

import pytest

from certs.authority import create_authority
from certs.bundle import is_accepted, split
from certs.files import NOTHING, CertificateFiles
from certs.rotation import begin_change
from certs.rotation_steps import OVERLAP, PROPAGATION, RotationAction
from lockkeeper.certificates.certificate_upkeep import (
    NO_BUNDLE,
    CertificateUpkeep,
    GivenCertificates,
    OwnCertificates,
    missing_bundles,
)
from lockkeeper.certificates.metrics import CertificatePart, CertificateTask
from lockkeeper.certificates.secret_store import SECRETS
from lockkeeper.process.kubernetes_objects import MUTATING, VALIDATING
from lockkeeper.process.liveness import LOOK_SECONDS, CachedReadiness
from policy.cluster.errors import Forbidden, Unavailable
from policy.cluster.protocol import MergePatch
from tests.lockkeeper.certificates.certificate_cluster import (
    FOREIGN,
    NAMES,
    NAMESPACE,
    RELEASE,
    SECRET,
    Clock,
    Noted,
    Troubled,
    ca_bundles,
    configurations_on,
    edit_bundle,
    install_configurations,
    overwrite,
    put_secret,
    store_on,
)
from tests.patience import PATIENCE

OURS = {"mutate.lockkeeper.dev", "validate.lockkeeper.dev", "policies.lockkeeper.dev"}
FOREVER = 3600.0
"""Seconds between passes where a test wants those alone that something causes."""


class Stage:
    """A cluster with both configurations, and a leader whose passes are made by hand or in a thread."""

    def __init__(self, cluster: Troubled, clock: Clock) -> None:
        self.cluster = cluster
        self.clock = clock
        self.told = Noted()
        self.certificates = OwnCertificates(
            store=store_on(cluster), names=NAMES, clock=clock, reporter=self.told
        )
        self.upkeep = self.elected()

    def elected(self, *, pass_seconds: float = FOREVER) -> CertificateUpkeep:
        """Return the work of a new term."""
        return CertificateUpkeep(
            certificates=self.certificates,
            configurations=configurations_on(self.cluster),
            clock=self.clock,
            reporter=self.told,
            pass_seconds=pass_seconds,
        )

    @property
    def files(self) -> CertificateFiles:
        """What the Secret holds."""
        return store_on(self.cluster).read().files

    @property
    def ours(self) -> set[bytes | None]:
        """The bundles that our webhooks carry."""
        return {bundle for name, bundle in ca_bundles(self.cluster).items() if name in OURS}

    @contextmanager
    def running(self, upkeep: CertificateUpkeep | None = None) -> Iterator[None]:
        """Let the leader work in a thread."""
        work = upkeep or self.upkeep
        thread = Thread(target=work.run)
        thread.start()
        try:
            yield
        finally:
            work.stop()
            self.cluster.close()
            thread.join(PATIENCE)
            assert not thread.is_alive()


@pytest.fixture
def stage() -> Stage:
    """Return a cluster as a chart leaves it: configurations without a bundle, and no certificates yet."""
    cluster = Troubled()
    install_configurations(cluster)
    return Stage(cluster, Clock())


def test_the_first_pass_makes_certificates_and_puts_the_bundle_in_place(stage: Stage) -> None:
    """In both configurations, and only in webhooks of ours."""
    assert stage.upkeep.make_pass()
    assert stage.told.deeds == [RotationAction.NEW_AUTHORITY, RotationAction.NEW_LEAF]
    assert stage.ours == {stage.files.bundle}
    assert ca_bundles(stage.cluster)[FOREIGN] is None
    assert stage.told.places == [
        f"MutatingWebhookConfiguration {RELEASE}",
        f"ValidatingWebhookConfiguration {RELEASE}",
    ]
    assert stage.told.failures == []
    versions = [stage.cluster.get(each, RELEASE)["metadata"] for each in (MUTATING, VALIDATING)]
    assert stage.upkeep.make_pass()
    assert [stage.cluster.get(each, RELEASE)["metadata"] for each in (MUTATING, VALIDATING)] == versions


def test_an_address_in_place_of_a_service_is_as_good() -> None:
    """Webhooks outside of the cluster are reached by `url`."""
    cluster = Troubled()
    install_configurations(cluster, url="https://127.0.0.1:9443/mutate")
    stage = Stage(cluster, Clock())
    assert stage.upkeep.make_pass()
    assert stage.ours == {stage.files.bundle}


def test_a_change_of_ca_ends_with_the_new_one_alone(stage: Stage) -> None:
    """Announced, trusted, signed with, and the old one gone, each after its time and in a pass of its own."""
    stage.upkeep.make_pass()
    first = stage.files
    overwrite(stage.cluster, begin_change(first, now=stage.clock.now).files)
    assert stage.upkeep.make_pass()
    assert stage.ours == {stage.files.bundle}
    assert split(stage.files.bundle) == (first.bundle, stage.files.next_cert)
    announced = stage.files

    stage.clock.advance(PROPAGATION - timedelta(seconds=1))
    stage.upkeep.make_pass()
    assert stage.files == announced
    stage.clock.advance(timedelta(seconds=1))
    stage.upkeep.make_pass()
    assert stage.files.authority_key == announced.next_key
    assert split(stage.files.bundle) == (announced.next_cert, first.bundle)
    assert stage.ours == {stage.files.bundle}

    stage.clock.advance(OVERLAP)
    stage.upkeep.make_pass()
    assert stage.files.bundle == announced.next_cert
    assert stage.ours == {stage.files.bundle}
    assert stage.told.deeds[2:] == [
        RotationAction.SWITCHED,
        RotationAction.NEW_LEAF,
        RotationAction.RETIRED,
    ]


def test_a_new_leader_waits_again(stage: Stage) -> None:
    """It cannot know since when the bundle was in place."""
    stage.upkeep.make_pass()
    overwrite(stage.cluster, begin_change(stage.files, now=stage.clock.now).files)
    stage.upkeep.make_pass()
    announced = stage.files
    stage.clock.advance(PROPAGATION)
    successor = stage.elected()
    successor.make_pass()
    assert stage.files == announced
    stage.clock.advance(PROPAGATION)
    successor.make_pass()
    assert stage.files.next_cert == b""


def test_an_edit_during_the_wait_begins_it_again(stage: Stage) -> None:
    """Even one that was corrected between two passes: some API server may have seen only that one."""
    stage.upkeep.make_pass()
    overwrite(stage.cluster, begin_change(stage.files, now=stage.clock.now).files)
    stage.upkeep.make_pass()
    announced = stage.files
    stage.clock.advance(PROPAGATION)
    edit_bundle(stage.cluster, MUTATING, 1, create_authority(now=stage.clock.now).cert_pem)
    edit_bundle(stage.cluster, MUTATING, 1, announced.bundle)
    stage.upkeep.make_pass()
    assert stage.files == announced
    stage.clock.advance(PROPAGATION)
    stage.upkeep.make_pass()
    assert stage.files.next_cert == b""


def test_a_configuration_that_cannot_be_written_holds_the_change_up(stage: Stage) -> None:
    """Its API servers would refuse what the next CA signs; the other configuration is kept right."""
    stage.upkeep.make_pass()
    overwrite(stage.cluster, begin_change(stage.files, now=stage.clock.now).files)
    announced = stage.files
    stage.cluster.refuse("patch", MUTATING, Forbidden("no"))
    for _ in range(3):
        assert not stage.upkeep.make_pass()
        stage.clock.advance(PROPAGATION)
    assert stage.files == announced
    assert ca_bundles(stage.cluster)["validate.lockkeeper.dev"] == announced.bundle
    assert set(stage.told.failures) == {
        (
            CertificateTask.INJECT,
            f"MutatingWebhookConfiguration {RELEASE} does not carry the CA bundle yet: no",
        )
    }
    stage.cluster.refusals.clear()
    stage.upkeep.make_pass()
    stage.clock.advance(PROPAGATION)
    assert stage.upkeep.make_pass()
    assert stage.files.next_cert == b""


def test_a_configuration_that_does_not_exist_is_reported_and_holds_nothing_up(stage: Stage) -> None:
    """Nobody calls us by it; and when it comes it gets its bundle."""
    stage.cluster.delete(MUTATING, RELEASE)
    assert stage.upkeep.make_pass()
    assert set(stage.told.failures) == {
        (CertificateTask.INJECT, f"MutatingWebhookConfiguration {RELEASE} does not exist")
    }
    overwrite(stage.cluster, begin_change(stage.files, now=stage.clock.now).files)
    stage.upkeep.make_pass()
    stage.clock.advance(PROPAGATION)
    stage.upkeep.make_pass()
    assert stage.files.next_cert == b""


def test_a_bundle_that_a_client_edits_is_corrected_at_once(stage: Stage) -> None:
    """By the watch, not by the next pass, which here comes in an hour; other webhooks keep their own."""
    stranger = create_authority(now=stage.clock.now).cert_pem
    with stage.running():
        stage.told.until(lambda: len(stage.told.places) == 2)
        for count, (resource, index) in enumerate(((MUTATING, 1), (VALIDATING, 2), (VALIDATING, 1))):
            edit_bundle(stage.cluster, resource, index, stranger)
            stage.told.until(lambda wanted=count + 3: len(stage.told.places) == wanted)  # type: ignore[misc]
            assert stage.ours == {stage.files.bundle}
        edit_bundle(stage.cluster, MUTATING, 0, stranger)
        edit_bundle(stage.cluster, MUTATING, 1, b"nonsense")
        stage.told.until(lambda: len(stage.told.places) == 6)
        assert ca_bundles(stage.cluster)[FOREIGN] == stranger
        assert stage.ours == {stage.files.bundle}


def test_a_configuration_that_is_made_again_gets_its_bundle(stage: Stage) -> None:
    """A chart that is installed again, or upgraded by replacing, has no bundle in it."""
    with stage.running():
        stage.told.until(lambda: len(stage.told.places) == 2)
        for resource in (MUTATING, VALIDATING):
            stage.cluster.delete(resource, RELEASE)
        install_configurations(stage.cluster)
        stage.told.until(lambda: len(stage.told.places) >= 4)
        assert stage.ours == {stage.files.bundle}


def test_a_deleted_secret_is_made_again_and_the_old_ca_stays_trusted_meanwhile(stage: Stage) -> None:
    """Replicas go on with the old certificate until they have read the new one."""
    stage.upkeep.make_pass()
    first = stage.files
    stage.cluster.delete(SECRETS, SECRET, namespace=NAMESPACE)
    assert stage.upkeep.make_pass()
    assert stage.files.authority_key not in (b"", first.authority_key)
    assert stage.ours == {stage.files.bundle}
    for leaf in (first.cert, stage.files.cert):
        assert is_accepted(leaf, split(stage.files.bundle), now=stage.clock.now)


def test_corrupt_entries_are_made_again(stage: Stage) -> None:
    """Nobody has to come with kubectl."""
    stage.upkeep.make_pass()
    whole = stage.files
    overwrite(stage.cluster, replace(whole, bundle=b"nonsense", cert=b"", key=b"x"))
    assert stage.upkeep.make_pass()
    assert stage.files.bundle == whole.bundle
    assert is_accepted(stage.files.cert, split(whole.bundle), now=stage.clock.now)
    assert stage.ours == {whole.bundle}


def test_a_secret_that_cannot_be_read_leaves_the_last_bundle_in_force(stage: Stage) -> None:
    """What was good stays, edits of the configurations are still corrected, and the error is told."""
    stage.upkeep.make_pass()
    bundle = stage.files.bundle
    stage.cluster.refuse("get", SECRETS, Unavailable("away"))
    edit_bundle(stage.cluster, MUTATING, 1, b"nonsense")
    assert not stage.upkeep.make_pass()
    assert stage.ours == {bundle}
    assert {doing for doing, _ in stage.told.failures} == {CertificateTask.READ, CertificateTask.RENEW}


def test_a_secret_that_may_not_be_made_is_reported(stage: Stage) -> None:
    """With nothing to put in place, nothing is put in place."""
    stage.cluster.refuse("create", SECRETS, Forbidden("no"))
    assert not stage.upkeep.make_pass()
    (doing, problem) = stage.told.failures[-1]
    assert (doing, "does not exist and may not be made here" in problem) == (CertificateTask.RENEW, True)
    assert stage.ours == {None}


def test_the_work_survives_its_own_bugs(stage: Stage) -> None:
    """Certificates that expire in silence are worse than an error that is told every minute."""
    stage.cluster.before_replace = lambda: 1 // 0  # type: ignore[assignment]
    put_secret(stage.cluster)
    assert not stage.upkeep.make_pass()
    assert stage.told.failures[-1][1].startswith("ZeroDivisionError")


def test_passes_that_fail_come_more_and_more_slowly_and_then_recover(stage: Stage) -> None:
    """The first attempt after a second; it works again as soon as the API server does."""
    stage.cluster.refuse("get", SECRETS, Unavailable("away"))
    with stage.running():
        stage.told.until(lambda: len(stage.told.failures) >= 2)
        stage.cluster.refusals.clear()
        stage.told.until(lambda: len(stage.told.places) == 2)


def test_expiries_are_known_after_a_pass(stage: Stage) -> None:
    """For the metrics of the controller."""
    assert stage.certificates.expiries() == {}
    stage.upkeep.make_pass()
    assert stage.certificates.expiries() == {
        CertificatePart.CA: stage.clock.now + timedelta(days=365),
        CertificatePart.LEAF: stage.clock.now + timedelta(days=90),
    }


class TestGiven:
    """A Secret that somebody else fills: only the caBundle is kept."""

    @pytest.fixture
    def upkeep(self, stage: Stage) -> CertificateUpkeep:
        """Return the work for a given Secret."""
        return CertificateUpkeep(
            certificates=GivenCertificates(store=store_on(stage.cluster), reporter=stage.told),
            configurations=configurations_on(stage.cluster),
            clock=stage.clock,
            reporter=stage.told,
        )

    def test_the_bundle_is_its_ca(self, stage: Stage, upkeep: CertificateUpkeep) -> None:
        """And follows it, with nothing written into the Secret."""
        first, second = (create_authority(now=stage.clock.now) for _ in range(2))
        put_secret(stage.cluster, **{"ca.crt": first.cert_pem, "tls.crt": second.cert_pem})
        version = store_on(stage.cluster).read().version
        assert upkeep.make_pass()
        assert stage.ours == {first.cert_pem}
        assert store_on(stage.cluster).read().version == version
        overwrite(stage.cluster, CertificateFiles(bundle=second.cert_pem + first.cert_pem))
        assert upkeep.make_pass()
        assert stage.ours == {second.cert_pem + first.cert_pem}

    def test_without_a_ca_it_is_the_chain_and_never_a_key(
        self, stage: Stage, upkeep: CertificateUpkeep
    ) -> None:
        """Some tools put key and certificates into one file."""
        mine = create_authority(now=stage.clock.now)
        put_secret(stage.cluster, **{"tls.crt": mine.key_pem + mine.cert_pem})
        assert upkeep.make_pass()
        assert stage.ours == {mine.cert_pem}

    def test_a_corrupt_secret_leaves_the_last_bundle_in_force(
        self, stage: Stage, upkeep: CertificateUpkeep
    ) -> None:
        """It is told, and nothing is written over it."""
        mine = create_authority(now=stage.clock.now)
        put_secret(stage.cluster, **{"ca.crt": mine.cert_pem})
        upkeep.make_pass()
        overwrite(stage.cluster, CertificateFiles(bundle=b"nonsense"))
        assert upkeep.make_pass()
        assert stage.ours == {mine.cert_pem}
        assert stage.told.failures[-1] == (
            CertificateTask.READ,
            f"the Secret {NAMESPACE}/{SECRET} holds no certificate in ca.crt or tls.crt",
        )
        assert stage.files == CertificateFiles(bundle=b"nonsense")


class TestReadiness:
    """Whether API servers are told to trust us, as any controller sees it."""

    @pytest.fixture
    def seconds(self) -> list[float]:
        """Return a stopwatch that the test moves."""
        return [0.0]

    @pytest.fixture
    def readiness(self, stage: Stage, seconds: list[float]) -> CachedReadiness:
        """Return the readiness of a follower, which has read nothing yet."""
        certificates = OwnCertificates(
            store=store_on(stage.cluster), names=NAMES, clock=stage.clock, reporter=stage.told
        )
        look = partial(missing_bundles, certificates, configurations_on(stage.cluster))
        return CachedReadiness(look, stopwatch=lambda: seconds[0])

    def test_it_says_what_is_missing_until_nothing_is(
        self, stage: Stage, readiness: CachedReadiness, seconds: list[float]
    ) -> None:
        """First the bundle, then the webhooks that do not carry it; looks are a second apart."""
        assert readiness.missing() == [NO_BUNDLE]
        stage.upkeep.make_pass()
        assert readiness.missing() == [NO_BUNDLE]
        seconds[0] += LOOK_SECONDS
        assert readiness.missing() == []
        edit_bundle(stage.cluster, VALIDATING, 2, b"nonsense")
        seconds[0] += LOOK_SECONDS
        where = f"ValidatingWebhookConfiguration {RELEASE}"
        hooks = "webhooks policies.lockkeeper.dev"
        assert readiness.missing() == [f"{where} does not carry the CA bundle yet: {hooks}"]

    def test_an_api_server_that_is_away_changes_nothing(
        self, stage: Stage, readiness: CachedReadiness, seconds: list[float]
    ) -> None:
        """Else all controllers would be unready whenever it restarts."""
        stage.upkeep.make_pass()
        assert readiness.missing() == []
        stage.cluster.refuse("get", MUTATING, Unavailable("away"))
        stage.cluster.refuse("get", SECRETS, Unavailable("away"))
        seconds[0] += LOOK_SECONDS
        assert readiness.missing() == []

    def test_one_that_was_away_from_the_start_is_not_ready(
        self, stage: Stage, readiness: CachedReadiness
    ) -> None:
        """Nothing is known yet, and the reason is said."""
        stage.upkeep.make_pass()
        stage.cluster.refuse("get", MUTATING, Unavailable("away"))
        assert readiness.missing() == ["the webhook configurations were not read yet: away"]

    def test_what_is_not_installed_lacks_nothing(self, stage: Stage, readiness: CachedReadiness) -> None:
        """Somebody who runs the controller alone has no webhooks."""
        stage.upkeep.make_pass()
        for resource in (MUTATING, VALIDATING):
            stage.cluster.delete(resource, RELEASE)
        assert readiness.missing() == []


def test_other_fields_of_a_configuration_stay_as_they_are(stage: Stage) -> None:
    """The patch touches the bundles alone, whatever else was changed since."""
    stage.cluster.patch(
        MUTATING, RELEASE, MergePatch({"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}})
    )
    before = stage.cluster.get(MUTATING, RELEASE)
    stage.upkeep.make_pass()
    edit_bundle(stage.cluster, MUTATING, 1, b"")
    after = stage.cluster.get(MUTATING, RELEASE)
    hooks = after["webhooks"]
    assert isinstance(hooks, list)
    for hook in hooks:
        assert isinstance(hook, dict)
        assert isinstance(hook["clientConfig"], dict)
        hook["clientConfig"].pop("caBundle", None)
    assert after["webhooks"] == before["webhooks"]
    assert stage.files != NOTHING
