"""Paths in webhook configurations, kept by a controller and followed by webhooks, on a cluster in memory."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from threading import Thread

import pytest

from lockkeeper.process.kubernetes_objects import (
    CONFIGURATIONS,
    DEPLOYMENTS,
    MUTATING,
    VALIDATING,
    NamespacedName,
)
from lockkeeper.process.liveness import CachedReadiness
from lockkeeper.secret_paths.configuration_paths import ANNOTATION, read
from lockkeeper.secret_paths.known_callers import LOOK_SECONDS, KnownCallers
from lockkeeper.secret_paths.path_upkeep import PathUpkeep, Replicas, missing_paths, new_secret
from lockkeeper.secret_paths.secret_rotation import USUAL, ReplicaSupport, RotationChange
from policy.cluster.errors import ClusterError, Forbidden, Unavailable
from policy.cluster.protocol import JsonPatch, MergePatch, Resource
from policy.core.decision.decision import Side
from policy.core.objects.json_patch import JsonObject, JsonValue, Op, PatchOp
from tests.lockkeeper.certificates.certificate_cluster import NAMESPACE, Clock, Troubled
from tests.patience import PATIENCE
from webhook.callers import PLAIN, WebhookCall, call_of
from webhook.http_errors import NotSynced

RELEASE = "lockkeeper"
WEBHOOK = "lockkeeper-webhook"
AWARE = "--webhook-configurations=lockkeeper"
GRACE = timedelta(seconds=45 + 15)


class Told:
    """Notes what is told."""

    def __init__(self) -> None:
        self.deeds: list[tuple[str, RotationChange]] = []
        self.troubles: list[str] = []

    def moved(self, where: str, deed: RotationChange) -> None:
        self.deeds.append((where, deed))

    def trouble(self, doing: str, error: ClusterError) -> None:
        self.troubles.append(f"{doing}: {error.message}")


class World:
    """An installation with a controller that keeps the paths, and one webhook that follows them."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.cluster = Troubled()
        self.told = Told()
        self.seconds = 0.0
        self.webhook = KnownCallers(
            cluster=self.cluster,
            name=RELEASE,
            clock=self.clock,
            stopwatch=lambda: self.seconds,
            trouble=self.told.trouble,
        )
        self.upkeep = self.controller()

    def controller(self) -> PathUpkeep:
        """Return the work of a new leader."""
        return PathUpkeep(
            cluster=self.cluster,
            name=RELEASE,
            deployment=NamespacedName(NAMESPACE, WEBHOOK),
            clock=self.clock,
            trouble=self.told.trouble,
            moved=self.told.moved,
        )

    def install(self, *, paths: bool = True, args: tuple[str, ...] = (AWARE,)) -> None:
        """Make what the chart makes."""
        for resource, sides in ((MUTATING, ("mutate",)), (VALIDATING, ("validate", "policies"))):
            hooks: list[JsonValue] = [_foreign(), *(_hook(side, paths=paths) for side in sides)]
            self.cluster.create(
                resource,
                {
                    "apiVersion": resource.api_version,
                    "kind": resource.kind,
                    "metadata": {"name": RELEASE},
                    "webhooks": hooks,
                },
            )
        self.deploy(*args)

    def deploy(self, *args: str, updated: int = 2, generation: int = 1, observed: int = 1) -> None:
        """Have the webhook's Deployment be like this."""
        container: JsonObject = {"name": "webhook", "args": list(args)}
        deployment: JsonObject = {
            "apiVersion": DEPLOYMENTS.api_version,
            "kind": DEPLOYMENTS.kind,
            "metadata": {"name": WEBHOOK, "namespace": NAMESPACE, "generation": generation},
            "spec": {"template": {"spec": {"containers": [container], "terminationGracePeriodSeconds": 45}}},
            "status": {"observedGeneration": observed, "replicas": 2, "updatedReplicas": updated},
        }
        if self.cluster.list(DEPLOYMENTS, namespace=NAMESPACE).items:
            self.cluster.delete(DEPLOYMENTS, WEBHOOK, namespace=NAMESPACE)
        self.cluster.create(DEPLOYMENTS, deployment, namespace=NAMESPACE)

    def later(self, *by: timedelta) -> None:
        """Let time pass, in steps, with a pass of the controller after each."""
        for each in by:
            self.clock.advance(each)
            self.seconds += each.total_seconds()
            self.upkeep.make_pass()
            self.webhook.look()

    def settled(self) -> None:
        """Go on until secrets are carried and nothing else is answered."""
        self.upkeep.make_pass()
        self.later(GRACE, USUAL.settle, USUAL.overlap)
        assert PLAIN not in self.carried().values()

    def carried(self) -> dict[Side, str | None]:
        """Return the secret of each path."""
        return {
            hook.side: hook.secret
            for resource in CONFIGURATIONS
            for hook in read(self.cluster.get(resource, RELEASE)).hooks
        }

    def answers(self, side: Side, secret: str | None) -> bool:
        """Return whether the webhook answers a call now, whatever it read last."""
        self.seconds += LOOK_SECONDS
        return secret is not None and self.webhook.accepts_after_read(WebhookCall(side, secret))

    def write(self, resource: Resource, path: str) -> None:
        """Write the path of our first webhook, as helm or a person does."""
        operation = PatchOp(Op.ADD, "/webhooks/1/clientConfig/service/path", path)
        self.cluster.patch(resource, RELEASE, JsonPatch((operation,)))


def _hook(side: str, *, paths: bool) -> JsonValue:
    service: JsonObject = {"namespace": NAMESPACE, "name": WEBHOOK, "port": 443}
    if paths:
        service["path"] = f"/{side}"
    return {"name": f"{side}.lockkeeper.dev", "clientConfig": {"service": service}}


def _foreign() -> JsonValue:
    service: JsonObject = {"namespace": "other", "name": "other", "path": "/other"}
    return {"name": "mutate.example.com", "clientConfig": {"service": service}}


@pytest.fixture
def world() -> World:
    """Return an installation of this release, just made."""
    made = World()
    made.install()
    return made


def test_each_configuration_gets_a_secret_of_its_own(world: World) -> None:
    """Who learns the path of one side, from the error of a failed call, may not call the other."""
    world.settled()
    carried = world.carried()
    assert carried[Side.VALIDATE] == carried[Side.POLICIES]
    assert carried[Side.MUTATE] != carried[Side.VALIDATE]
    assert world.answers(Side.MUTATE, carried[Side.MUTATE])
    assert not world.answers(Side.MUTATE, carried[Side.VALIDATE])
    assert not world.answers(Side.VALIDATE, carried[Side.MUTATE])


def test_plain_paths_are_answered_until_they_are_nobodys(world: World) -> None:
    """From the install on no create fails, and in the end nobody gets a slot without the path."""
    for step in (timedelta(0), GRACE, USUAL.settle, USUAL.overlap - timedelta(seconds=1)):
        world.later(step)
        assert all(world.answers(side, secret) for side, secret in world.carried().items())
        assert world.answers(Side.MUTATE, PLAIN)
    world.later(timedelta(seconds=1))
    assert not world.answers(Side.MUTATE, PLAIN)
    assert not world.answers(Side.VALIDATE, PLAIN)


def test_paths_that_the_chart_leaves_out_are_plain_at_once(world: World) -> None:
    """Without a path the API server would call nothing that we answer."""
    fresh = World()
    fresh.install(paths=False)
    look = partial(missing_paths, fresh.cluster, RELEASE)
    readiness = CachedReadiness(look, stopwatch=lambda: fresh.seconds)
    assert readiness.missing() == [
        f"MutatingWebhookConfiguration {RELEASE}: mutate.lockkeeper.dev has no path yet",
        f"ValidatingWebhookConfiguration {RELEASE}: validate.lockkeeper.dev has no path yet",
        f"ValidatingWebhookConfiguration {RELEASE}: policies.lockkeeper.dev has no path yet",
    ]
    assert fresh.upkeep.make_pass()
    assert set(fresh.carried().values()) == {PLAIN}
    fresh.seconds += 1
    assert readiness.missing() == []
    assert not world.told.troubles


def test_others_in_our_configuration_are_left_alone(world: World) -> None:
    """Their paths are theirs."""
    world.settled()
    hooks = world.cluster.get(MUTATING, RELEASE)["webhooks"]
    assert isinstance(hooks, list)
    assert hooks[0] == _foreign()


def test_a_roll_out_from_the_former_release_gets_no_secret_before_it_is_over() -> None:
    """Old Pods answer plain paths only, those that are ending included."""
    world = World()
    world.install(args=("serve",))
    world.later(timedelta(minutes=5), timedelta(minutes=5))
    world.deploy(AWARE, updated=1, generation=2, observed=2)
    world.later(timedelta(minutes=5), timedelta(minutes=5))
    world.deploy(AWARE, updated=2, generation=3, observed=2)
    world.later(timedelta(minutes=5))
    world.deploy(AWARE, updated=2, generation=3, observed=3)
    world.later(timedelta(0), GRACE - timedelta(seconds=1))
    assert set(world.carried().values()) == {PLAIN}
    assert world.told.deeds == [(f"{each.kind} {RELEASE}", RotationChange.BEGAN) for each in CONFIGURATIONS]
    world.later(timedelta(seconds=1), USUAL.settle)
    assert PLAIN not in world.carried().values()


def test_going_back_a_release_gets_plain_paths_before_an_old_pod_is_there(world: World) -> None:
    """The Deployment says first what its Pods will be."""
    world.settled()
    secret = world.carried()[Side.MUTATE]
    world.deploy("serve", updated=0, generation=2, observed=1)
    world.later(timedelta(0))
    assert set(world.carried().values()) == {PLAIN}
    assert world.answers(Side.MUTATE, PLAIN)
    assert world.answers(Side.MUTATE, secret)


@pytest.mark.parametrize("resource", CONFIGURATIONS)
def test_a_path_that_helm_writes_back_fails_no_create(world: World, resource: Resource) -> None:
    """It is answered at once, corrected, and answered until every API server knows."""
    world.settled()
    side = Side.MUTATE if resource is MUTATING else Side.VALIDATE
    secret = world.carried()[side]
    world.write(resource, f"/{side}")
    assert world.answers(side, PLAIN)
    assert world.answers(side, secret)
    world.later(timedelta(0))
    assert world.carried()[side] == secret
    assert world.answers(side, PLAIN)
    world.later(USUAL.overlap)
    assert not world.answers(side, PLAIN)


def test_a_configuration_that_was_made_again_works_at_once(world: World) -> None:
    """After the line for an emergency, `helm upgrade` puts it back."""
    world.settled()
    for resource in CONFIGURATIONS:
        world.cluster.delete(resource, RELEASE)
    world.later(timedelta(minutes=1))
    assert not world.answers(Side.MUTATE, PLAIN)
    world.install(paths=False)
    world.later(timedelta(0))
    assert set(world.carried().values()) == {PLAIN}
    assert world.answers(Side.MUTATE, PLAIN)


def test_a_new_leader_continues_from_what_is_written(world: World) -> None:
    """Nobody has to remember anything, and nothing begins again."""
    world.settled()
    before = world.carried()
    world.upkeep = world.controller()
    world.later(timedelta(0), GRACE, USUAL.settle)
    assert world.carried() == before


def test_a_change_in_the_same_instant_is_looked_at_again(world: World) -> None:
    """What was decided on an older state is not written."""
    world.settled()
    found = read(world.cluster.get(MUTATING, RELEASE))
    assert found.secrets is not None
    world.cluster.patch(MUTATING, RELEASE, MergePatch({"metadata": {"labels": {"touched": "yes"}}}))
    world.write(MUTATING, "/mutate")
    world.later(timedelta(0))
    assert world.carried()[Side.MUTATE] == found.secrets.secret


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "nonsense", '{"secret": 1}', '{"secret":"a","since":"never"}']
)
def test_an_annotation_that_makes_no_sense_is_written_again(world: World, text: str) -> None:
    """Whoever edits it by hand breaks nothing: what is carried is answered."""
    world.settled()
    secret = world.carried()[Side.MUTATE]
    world.cluster.patch(MUTATING, RELEASE, MergePatch({"metadata": {"annotations": {ANNOTATION: text}}}))
    assert world.answers(Side.MUTATE, secret)
    world.later(timedelta(0))
    assert all(world.answers(Side.MUTATE, each) for each in (secret, PLAIN))
    world.later(GRACE, USUAL.settle)
    assert world.carried()[Side.MUTATE] not in (PLAIN, secret)


def test_without_the_right_to_look_at_the_deployment_paths_stay_as_they_are(world: World) -> None:
    """And it is told; plain paths are answered as before."""
    world.cluster.refuse("get", DEPLOYMENTS, Forbidden("no"))
    world.later(timedelta(minutes=5), timedelta(minutes=5))
    assert set(world.carried().values()) == {PLAIN}
    assert world.told.deeds == []
    assert world.told.troubles[-1] == f"reading the Deployment {NAMESPACE}/{WEBHOOK}: no"


def test_who_takes_that_right_away_writes_the_paths_himself(world: World) -> None:
    """An upgrade to `callerToken: false` takes it first, then writes plain paths, which stay."""
    world.settled()
    world.cluster.refuse("get", DEPLOYMENTS, Forbidden("no"))
    world.write(MUTATING, "/mutate")
    assert not world.upkeep.make_pass()
    assert world.carried()[Side.MUTATE] == PLAIN
    assert world.answers(Side.MUTATE, PLAIN)


def test_one_configuration_that_cannot_be_written_does_not_keep_the_other_from_it(world: World) -> None:
    """The pass failed, and is made again."""
    world.cluster.refuse("patch", MUTATING, Forbidden("no"))
    assert not world.upkeep.make_pass()
    assert world.told.deeds[0] == (f"{VALIDATING.kind} {RELEASE}", RotationChange.BEGAN)
    assert world.told.troubles == [f"keeping the paths of {MUTATING.kind} {RELEASE}: no"]


def test_no_secret_is_ever_logged(world: World) -> None:
    """Whoever may read logs may not call."""
    world.settled()
    told = f"{world.told.deeds}{world.told.troubles}"
    assert re.search(r"[0-9a-f]{16}", told) is None


def test_it_runs_until_it_is_stopped_and_wakes_at_changes(world: World) -> None:
    """A path that is written back is corrected without waiting for the next look."""
    world.settled()
    secret = world.carried()[Side.MUTATE]
    thread = Thread(target=world.upkeep.run, daemon=True)
    thread.start()
    world.write(MUTATING, "/mutate")
    version = world.cluster.list(MUTATING).resource_version
    for _ in world.cluster.watch(MUTATING, since=version, timeout=PATIENCE):
        if world.carried()[Side.MUTATE] == secret:
            break
    carried = world.carried()[Side.MUTATE]
    world.upkeep.stop()
    world.cluster.close()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert carried == secret


def test_nobody_is_known_before_the_configurations_were_read(world: World) -> None:
    """The failure policy decides about a create, as while policies are not read."""
    world.cluster.refuse("get", VALIDATING, Unavailable("away"))
    with pytest.raises(NotSynced):
        world.webhook.accepts_after_read(WebhookCall(Side.VALIDATE))
    assert world.webhook.missing() == ["the webhook configurations are not read yet: lockkeeper"]


def test_what_was_read_last_counts_while_the_api_server_is_away(world: World) -> None:
    """The webhook needs nobody to know its callers."""
    world.settled()
    secret = world.carried()[Side.MUTATE]
    assert world.answers(Side.MUTATE, secret)
    world.cluster.refuse("get", MUTATING, Unavailable("away"))
    assert world.answers(Side.MUTATE, secret)
    assert not world.answers(Side.MUTATE, "another")


def test_looks_for_unknown_callers_are_few(world: World) -> None:
    """Whoever calls with wrong paths makes the API server work four times a second, after a first few."""
    world.webhook.look()
    world.cluster.refuse("get", MUTATING, Unavailable("counted"))
    for _ in range(100):
        world.seconds += LOOK_SECONDS / 10
        assert not world.webhook.accepts_after_read(WebhookCall(Side.MUTATE, "wrong"))
    assert len(world.told.troubles) in (13, 14)


def test_a_change_just_after_a_look_is_seen_by_the_first_call(world: World) -> None:
    """It does not have to wait for the next look while creates fail."""
    world.settled()
    world.webhook.look()
    world.write(MUTATING, "/mutate")
    assert world.webhook.accepts_after_read(WebhookCall(Side.MUTATE, PLAIN))


def test_calls_that_come_together_just_after_a_change_are_all_answered(world: World) -> None:
    """All of them wait for the look that the first one takes."""
    world.settled()
    world.write(MUTATING, "/mutate")
    with ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(lambda _: world.webhook.accepts_after_read(WebhookCall(Side.MUTATE, PLAIN)), range(64))
        )
    assert all(answers)


def test_a_webhook_that_begins_can_wait_until_it_knows_its_callers(world: World) -> None:
    """Reviews that come meanwhile wait with it."""
    assert not world.webhook.wait(0)
    world.webhook.start()
    assert world.webhook.wait(PATIENCE)
    world.webhook.stop()


def test_a_configuration_by_url_has_no_path_of_ours(world: World) -> None:
    """Whoever registers the webhook otherwise keeps its paths himself."""
    hook: JsonObject = {"name": "mutate.lockkeeper.dev", "clientConfig": {"url": "https://1.2.3.4/mutate"}}
    world.cluster.patch(MUTATING, RELEASE, MergePatch({"webhooks": [hook]}))
    world.later(timedelta(0), GRACE, USUAL.settle)
    assert read(world.cluster.get(MUTATING, RELEASE)).secrets is None
    assert not world.answers(Side.MUTATE, PLAIN)


def test_a_secret_may_be_in_a_path_and_cannot_be_guessed() -> None:
    """The API server takes DNS names between slashes; 32 random bytes are hexadecimal."""
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(r"[0-9a-f]{64}", each) for each in made)
    assert call_of(f"/mutate/{made.pop()}") is not None


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ((AWARE,), ReplicaSupport.READY),
        (("serve", "--webhook-configurations", "blue"), ReplicaSupport.READY),
        (("serve", "--cluster"), ReplicaSupport.UNAWARE),
        ((), ReplicaSupport.UNAWARE),
    ],
)
def test_a_replica_is_known_by_its_arguments(args: tuple[str, ...], expected: ReplicaSupport) -> None:
    """Those of the former release have none that says so."""
    world = World()
    world.install(args=args)
    replicas = Replicas(
        cluster=world.cluster,
        deployment=NamespacedName(NAMESPACE, WEBHOOK),
        clock=world.clock,
        trouble=world.told.trouble,
    )
    replicas.support()
    world.clock.advance(GRACE)
    assert replicas.support() is expected
