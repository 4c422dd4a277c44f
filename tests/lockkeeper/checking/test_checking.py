"""What a check finds in a healthy installation, and in each of the ways in which one can be broken."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

import msgspec
import pytest

from lockkeeper.checking.checks import excludes, nothing_seen, table
from lockkeeper.checking.facts import SERVICES, Gap, ProbeTrouble, Target, UnreadObject
from lockkeeper.checking.gatherer import ready_path, url_target
from lockkeeper.checking.reads import right
from lockkeeper.checking.results import Check, State
from lockkeeper.process.kubernetes_objects import MUTATING, VALIDATING
from policy.cluster.errors import ClusterError, Forbidden, Invalid, NotFound, TooManyRequests, Unavailable
from policy.cluster.protocol import WORKFLOW_QUOTAS, WORKFLOWS, MergePatch, Resource
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.service.leading.leader_election import LEASES, Lease, given_up, renewed
from tests.lockkeeper.checking.installation import (
    BUNDLE,
    CLUSTER_IP,
    LEADER,
    NAMESPACE,
    RELEASE,
    SERVER,
    Installation,
    registered,
    webhook,
)
from tests.policy.service.world import Call

PLACE: Final = f"{SERVER}:443"


def refusing(error: ClusterError, *plurals: str) -> Callable[[Call], None]:
    """Return a hook by which a cluster refuses to read some kinds, or all where none is named."""

    def refuse(call: Call) -> None:
        if not plurals or call.plural in plurals:
            raise error

    return refuse


def lease_of(installation: Installation) -> Lease:
    """Return the Lease as it stands."""
    obj = installation.memory.get(LEASES, f"{RELEASE}-controller", namespace=NAMESPACE)
    return msgspec.convert(obj, Lease)


def test_a_healthy_installation_has_nothing_but_ok(installation: Installation) -> None:
    """Every check says something, in the order in which one would mend things."""
    installation.quota("limits", observed=1, Ready="True", Invalid="False", Conflicting="False")
    found = installation.judgements()
    assert {each.state for each in found} == {State.OK}
    assert list(dict.fromkeys(each.check for each in found)) == [
        Check.KINDS,
        Check.ARGO,
        Check.CRDS,
        Check.ORDER,
        Check.REGISTRATION,
        Check.FAILURE_POLICY,
        Check.OWN_NAMESPACE,
        Check.CERTIFICATE,
        Check.CALLERS,
        Check.READINESS,
        Check.LEADER,
        Check.POLICIES,
    ]


def test_it_changes_nothing(installation: Installation) -> None:
    """A check may be run at any time by somebody with rights to read alone."""
    installation.facts()
    assert {call.verb for call in installation.spy.calls} == {"get", "list"}


def test_kinds_that_are_not_served_are_named(installation: Installation) -> None:
    """Without its kinds nothing of Lockkeeper works; without Argo's there is nothing to do."""
    missing = ("workflowquotas", "quotaledgers", "workflows")
    installation.spy.before = refusing(NotFound("the server could not find the requested resource"), *missing)
    assert installation.judged(Check.KINDS) == [
        (State.FAILED, "the cluster does not serve WorkflowQuota and QuotaLedger"),
        (State.FAILED, "the cluster does not serve Argo's Workflows"),
    ]


def test_workflows_are_looked_for_in_the_own_namespace_and_without_their_contents(
    installation: Installation,
) -> None:
    """There may be tens of thousands elsewhere, and a list of them all would be a load on the cluster."""
    wanted = right("list", WORKFLOWS, NAMESPACE)
    assert wanted == "list workflows.argoproj.io in namespace traffic"
    installation.spy.before = refusing(Forbidden("no"), "workflows")
    assert (State.SKIPPED, f"not seen, for want of the right to {wanted}") in installation.judged(Check.KINDS)


def test_what_may_not_be_seen_is_skipped_with_the_right_that_it_takes(installation: Installation) -> None:
    """That is no fault of the installation; whoever wants to know asks for exactly this right."""
    refused = ("mutatingwebhookconfigurations", "validatingwebhookconfigurations", "leases", "workflowquotas")
    installation.spy.before = refusing(Forbidden("no"), *refused)
    skipped = [each.message for each in installation.judgements() if each.state is State.SKIPPED]
    group = "admissionregistration.k8s.io"
    lease = "leases.coordination.k8s.io blue-controller in namespace traffic"
    assert skipped == [
        "not seen, for want of the right to list workflowquotas.lockkeeper.dev in all namespaces",
        f"not seen, for want of the right to list mutatingwebhookconfigurations.{group}",
        f"not seen, for want of the right to get mutatingwebhookconfigurations.{group} blue",
        f"not seen, for want of the right to get validatingwebhookconfigurations.{group} blue",
        f"not seen, for want of the right to get {lease}",
    ]
    assert {each.state for each in installation.judgements()} == {State.OK, State.SKIPPED}


@pytest.mark.parametrize("error", [Unavailable("no route to host"), TooManyRequests("later")])
def test_a_cluster_that_does_not_answer_is_no_finding(
    installation: Installation, error: ClusterError
) -> None:
    """Nothing is known of anything then, and the command says that instead."""
    installation.spy.before = refusing(error)
    with pytest.raises(type(error)):
        installation.facts()


def test_credentials_that_show_nothing_at_all_are_distinguished(installation: Installation) -> None:
    """Twenty skipped checks would look like a strange success."""
    assert not nothing_seen(installation.facts())
    installation.spy.before = refusing(Forbidden("Unauthorized"))
    assert nothing_seen(installation.facts())


def test_an_object_that_makes_no_sense_fails_its_check_alone(installation: Installation) -> None:
    """The others are not held up by it."""
    installation.spy.before = refusing(Invalid("strange"), "leases")
    wrong = webhook("mutate", "/mutate", "Ignore", 2) | {"timeoutSeconds": "two"}
    installation.change(MUTATING, [wrong])
    [judged] = installation.judged(Check.LEADER)
    assert judged[0] is State.FAILED
    assert judged[1].endswith(": strange")
    failed = [message for state, message in installation.judged(Check.REGISTRATION) if state is State.FAILED]
    assert len(failed) == 1
    assert "webhooks[0].timeoutSeconds" in failed[0]


@pytest.mark.parametrize("resource", [MUTATING, VALIDATING], ids=lambda each: each.kind)
def test_a_configuration_that_is_gone_is_a_failure(installation: Installation, resource: Resource) -> None:
    """Workflows are then created past Lockkeeper without anybody noticing."""
    installation.memory.delete(resource, RELEASE)
    message = f"there is no {resource.kind} blue: Workflows are created past Lockkeeper"
    assert (State.FAILED, message) in installation.judged(Check.REGISTRATION)


def test_webhooks_that_are_missing_in_a_configuration_are_named(installation: Installation) -> None:
    """The one for policies is a comfort: the controller judges them again."""
    installation.change(VALIDATING, [])
    judged = installation.judged(Check.REGISTRATION)
    start = "ValidatingWebhookConfiguration blue has no webhook"
    assert (State.FAILED, f"{start} validate.lockkeeper.dev") in judged
    late = "what is wrong with a policy shows only in its status"
    assert (State.WARNING, f"{start} policies.lockkeeper.dev: {late}") in judged


def test_a_webhook_that_is_called_twice_is_a_failure(installation: Installation) -> None:
    """Each call would reserve a slot (docs/adr/0003)."""
    twice = webhook("mutate", "/mutate", "Ignore", 2) | {"reinvocationPolicy": "IfNeeded"}
    installation.change(MUTATING, [twice])
    message = "mutate.lockkeeper.dev has reinvocationPolicy IfNeeded"
    assert (State.FAILED, message) in installation.judged(Check.REGISTRATION)


def test_what_happens_without_an_answer_is_reported_as_it_is(installation: Installation) -> None:
    """Either choice has its price, so neither is checked."""
    assert installation.judged(Check.FAILURE_POLICY) == [
        (
            State.OK,
            "mutate.lockkeeper.dev is Ignore: Workflows pass it when it has not answered in 2 s",
        ),
        (
            State.OK,
            "validate.lockkeeper.dev is Fail: Workflows are refused when it has not answered in 5 s",
        ),
    ]


NAME_LABEL: Final = "kubernetes.io/metadata.name"


@pytest.mark.parametrize(
    ("selector", "left_out"),
    [
        ({}, False),
        ({"matchLabels": {"team": "etl"}}, False),
        ({"matchLabels": {NAME_LABEL: "other"}}, True),
        ({"matchLabels": {NAME_LABEL: NAMESPACE}}, False),
        ({"matchExpressions": [{"key": NAME_LABEL, "operator": "NotIn", "values": [NAMESPACE]}]}, True),
        ({"matchExpressions": [{"key": NAME_LABEL, "operator": "NotIn", "values": ["other"]}]}, False),
        ({"matchExpressions": [{"key": NAME_LABEL, "operator": "In", "values": ["a", "b"]}]}, True),
        ({"matchExpressions": [{"key": "ignore", "operator": "DoesNotExist"}]}, False),
    ],
)
def test_a_namespace_is_left_out_by_its_name_only(selector: object, *, left_out: bool) -> None:
    """Any other label can be taken away by whoever may edit the namespace."""
    assert excludes(registered("x", namespaceSelector=selector), NAMESPACE) is left_out


def test_a_webhook_that_is_asked_about_its_own_namespace_is_a_warning(installation: Installation) -> None:
    """It does no harm until it does."""
    everywhere = webhook("mutate", "/mutate", "Ignore", 2) | {"namespaceSelector": {}}
    installation.change(MUTATING, [everywhere])
    message = "mutate.lockkeeper.dev is asked about namespace traffic, where Lockkeeper itself runs"
    assert (State.WARNING, message) in installation.judged(Check.OWN_NAMESPACE)


def test_a_service_is_asked_once_at_its_address_and_by_its_name(installation: Installation) -> None:
    """That is where the API server goes, and the name that it checks; DNS plays no part."""
    installation.facts()
    assert installation.asked == [
        Target(CLUSTER_IP, 443, SERVER, "/readyz", BUNDLE, ("/mutate", "/validate", "/policies"))
    ]


@pytest.mark.parametrize("unknown", ["None", ""])
def test_a_service_without_an_address_is_asked_by_its_name(installation: Installation, unknown: str) -> None:
    """A headless Service has none."""
    patch = MergePatch({"spec": {"clusterIP": unknown}})
    installation.memory.patch(SERVICES, f"{RELEASE}-webhook", patch, namespace=NAMESPACE)
    installation.facts()
    assert [target.host for target in installation.asked] == [SERVER]


def test_without_the_right_to_see_the_service_its_name_is_asked(installation: Installation) -> None:
    """In a Pod the name is as good, as long as DNS works."""
    installation.spy.before = refusing(Forbidden("no"), "services")
    installation.facts()
    assert [target.host for target in installation.asked] == [SERVER]


def test_webhooks_that_trust_others_are_asked_apart(installation: Installation) -> None:
    """Somebody edited one of the two caBundles, and that one only fails."""
    installation.change(MUTATING, [webhook("mutate", "/mutate", "Ignore", 2, bundle="b3RoZXI=")])
    installation.facts()
    assert [target.ca_bundle for target in installation.asked] == ["b3RoZXI=", BUNDLE]


def test_webhooks_of_others_in_our_configuration_are_left_alone(installation: Installation) -> None:
    """We know nothing of their certificates."""
    others: JsonObject = {
        "name": "sidecar.example.com",
        "clientConfig": {"url": "https://example.com/inject"},
    }
    installation.change(MUTATING, [webhook("mutate", "/mutate", "Ignore", 2), others])
    installation.facts()
    assert [target.server_name for target in installation.asked] == [SERVER]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://127.0.0.1:9443/mutate", Target("127.0.0.1", 9443, "127.0.0.1", "/readyz", "CA")),
        ("https://hooks.org/lk/mutate", Target("hooks.org", 443, "hooks.org", "/lk/readyz", "CA")),
        ("https://[::1]:9443/mutate", Target("::1", 9443, "::1", "/readyz", "CA")),
    ],
)
def test_a_url_says_where_its_webhook_is_served(url: str, expected: Target) -> None:
    """Readiness is asked for beside the webhook."""
    assert url_target(url, "CA") == expected
    assert ready_path("") == "/readyz"


@pytest.mark.parametrize(
    ("trouble", "error", "message"),
    [
        (
            ProbeTrouble.NO_BUNDLE,
            "",
            f"the registration has no caBundle, so the API server trusts no certificate at {PLACE}",
        ),
        (ProbeTrouble.BAD_BUNDLE, "not PEM", f"the caBundle for {PLACE} is of no use: not PEM"),
        (ProbeTrouble.UNTRUSTED, "expired", f"the API server refuses the certificate of {PLACE}: expired"),
    ],
)
def test_a_certificate_that_the_api_server_would_refuse_is_a_failure(
    installation: Installation, trouble: ProbeTrouble, error: str, message: str
) -> None:
    """Whether we are in the cluster or not."""
    installation.inside = False
    installation.answer = msgspec.structs.replace(installation.answer, trouble=trouble, error=error)
    assert installation.judged(Check.CERTIFICATE) == [(State.FAILED, message)]
    assert installation.judged(Check.READINESS) == []


def test_a_webhook_that_cannot_be_reached_is_a_failure_only_from_within(installation: Installation) -> None:
    """A laptop has no way to a Service; a Pod has."""
    unreachable = msgspec.structs.replace(
        installation.answer, trouble=ProbeTrouble.UNREACHABLE, error="connection refused"
    )
    installation.answer = unreachable
    message = f"{PLACE} does not answer at {CLUSTER_IP}: connection refused"
    assert installation.judged(Check.READINESS) == [(State.FAILED, message)]
    installation.inside = False
    message = f"{PLACE} cannot be reached from here: connection refused"
    assert installation.judged(Check.READINESS) == [(State.SKIPPED, message)]


@pytest.mark.parametrize(("days", "state"), [(15, State.OK), (14, State.WARNING), (0, State.WARNING)])
def test_a_certificate_that_is_about_to_end_is_a_warning(
    installation: Installation, days: int, state: State
) -> None:
    """Its renewal was due long before."""
    expires = installation.clock() + timedelta(days=days)
    installation.answer = msgspec.structs.replace(installation.answer, expires=expires)
    message = f"the caBundle is right for the certificate of {PLACE}, for {days} more days"
    assert installation.judged(Check.CERTIFICATE) == [(state, message)]


@pytest.mark.parametrize(
    ("said", "why"), [("one thing\nanother", "one thing, another"), ("", "it does not say why")]
)
def test_a_webhook_that_is_not_ready_is_a_failure(installation: Installation, said: str, why: str) -> None:
    """Its own words say what is missing."""
    installation.answer = msgspec.structs.replace(installation.answer, ready=False, text=said)
    assert installation.judged(Check.READINESS) == [(State.FAILED, f"{PLACE} is not ready: {why}")]


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("", "answers every caller: the paths in the webhook configurations are plain"),
        ("/5e5e", "answers only who knows the paths in the webhook configurations"),
    ],
)
def test_who_is_answered_is_reported(installation: Installation, secret: str, said: str) -> None:
    """And never the path itself."""
    installation.change(MUTATING, [webhook("mutate", f"/mutate{secret}", "Ignore", 2)])
    validating = [webhook(each, f"/{each}{secret}", "Fail", 5) for each in ("validate", "policies")]
    installation.change(VALIDATING, validating)
    assert installation.judged(Check.CALLERS) == [(State.OK, f"{PLACE} {said}")]
    assert installation.asked[0].ready_path == "/readyz"
    assert not any("5e5e" in each.message for each in installation.judgements())


def test_a_path_that_is_not_answered_is_a_failure(installation: Installation) -> None:
    """The API server would be refused there; which secret it sends is not shown."""
    refused = ("/mutate/5e5e", "/validate/5e5e")
    installation.answer = msgspec.structs.replace(installation.answer, refused=refused)
    message = f"{PLACE} does not answer at the paths in the webhook configurations: mutate, validate"
    assert installation.judged(Check.CALLERS) == [(State.FAILED, message)]


def test_readiness_is_asked_at_its_own_port_where_there_is_one(installation: Installation) -> None:
    """The port of admission answers nothing but admission."""
    ports: list[JsonValue] = [{"name": "webhook", "port": 443}, {"name": "health", "port": 8081}]
    patch = MergePatch({"spec": {"ports": ports}})
    installation.memory.patch(SERVICES, f"{RELEASE}-webhook", patch, namespace=NAMESPACE)
    installation.facts()
    assert installation.asked[0].health_port == 8081


def test_a_fresh_lease_needs_no_second_look(installation: Installation) -> None:
    """The check ends at once where all is well."""
    assert installation.judged(Check.LEADER) == [(State.OK, f"{LEADER} leads")]
    assert installation.paused == []


def test_a_lease_that_is_not_renewed_is_a_failure(installation: Installation) -> None:
    """The leader has died and nobody took over."""
    installation.clock.advance(timedelta(minutes=2))
    message = (
        f"{LEADER} holds the Lease traffic/blue-controller and does not renew it, last 124 s ago by our clock"
    )
    assert installation.judged(Check.LEADER) == [(State.FAILED, message)]
    assert installation.paused == [4.0]


@pytest.mark.parametrize(("away", "ago"), [(timedelta(minutes=5), "304"), (timedelta(minutes=-5), "-296")])
def test_a_lease_that_is_renewed_by_another_clock_is_a_warning(
    installation: Installation, away: timedelta, ago: str
) -> None:
    """It changed while we looked, so somebody leads, whatever the date in it."""
    there = installation.clock()
    installation.clock.advance(away)

    def renew(call: Call) -> None:
        if call.plural == "leases" and installation.paused:
            installation.memory.replace(LEASES, renewed(lease_of(installation), there))

    installation.spy.before = renew
    patch = MergePatch({"metadata": {"annotations": {"touched": "before"}}})
    installation.memory.patch(LEASES, f"{RELEASE}-controller", patch, namespace=NAMESPACE)
    there += timedelta(microseconds=1)
    message = f"{LEADER} leads, but its clock and ours differ: it renewed the Lease {ago} s ago by our clock"
    assert installation.judged(Check.LEADER) == [(State.WARNING, message)]


def test_a_lease_that_was_given_up_is_a_failure(installation: Installation) -> None:
    """Both controllers have stopped in good order."""
    installation.memory.replace(LEASES, given_up(lease_of(installation), installation.clock()))
    installation.clock.advance(timedelta(seconds=9))
    message = (
        "nobody leads: the Lease traffic/blue-controller was given up 9 s ago by our clock, "
        "and queued Workflows wait"
    )
    assert installation.judged(Check.LEADER) == [(State.FAILED, message)]


def test_no_lease_at_all_is_a_failure(installation: Installation) -> None:
    """No controller has come so far as to lead."""
    installation.memory.delete(LEASES, f"{RELEASE}-controller", namespace=NAMESPACE)
    message = "no controller has ever led: there is no Lease traffic/blue-controller"
    assert installation.judged(Check.LEADER) == [(State.FAILED, message)]


def test_policies_that_are_not_in_force_are_listed_with_their_reason(installation: Installation) -> None:
    """And only those."""
    installation.quota("good", observed=1, Ready="True", Invalid="False")
    installation.quota("wrong", observed=1, Ready="False")
    installation.quota("against", observed=1, Ready="True", Conflicting="True")
    installation.quota("new", observed=None)
    installation.quota("edited", observed=1, Ready="True")
    installation.memory.patch(
        WORKFLOW_QUOTAS, "edited", MergePatch({"spec": {"limits": {"workflows": 1}}}), namespace="etl"
    )
    start = "WorkflowQuota etl/"
    assert installation.judged(Check.POLICIES) == [
        (State.WARNING, f"{start}against stands against another policy: because of Conflicting"),
        (State.WARNING, f"{start}edited was not checked yet since it was written"),
        (State.WARNING, f"{start}new was not checked yet since it was written"),
        (State.WARNING, f"{start}wrong is not in force as it stands: because of Ready"),
    ]


def test_no_policy_is_no_fault(installation: Installation) -> None:
    """A new installation has none."""
    assert installation.judged(Check.POLICIES) == [(State.OK, "there is no policy yet")]
    installation.quota("one", observed=1, Ready="True")
    assert installation.judged(Check.POLICIES) == [(State.OK, "policies in force: 1, and none that is not")]


def test_the_table_says_what_to_do_and_sums_up(installation: Installation) -> None:
    """Columns for the eye, and the next step for each thing that is not right."""
    installation.spy.before = refusing(Forbidden("no"), "workflows")
    installation.memory.delete(LEASES, f"{RELEASE}-controller", namespace=NAMESPACE)
    lines = table(installation.judgements()).splitlines()
    assert lines[0] == "ok       kinds           all 5 kinds of lockkeeper.dev are served"
    where = "not seen, for want of the right to list workflows.argoproj.io in namespace traffic"
    assert f"skipped  kinds           {where}" in lines
    assert lines[lines.index(f"kinds: {where}") + 1].startswith("  next: ask for this right")
    assert lines[-1] == "16 ok, 1 failed, 1 skipped"


def test_a_gap_is_a_value(installation: Installation) -> None:
    """Facts can be compared, and written down in a test."""
    installation.spy.before = refusing(NotFound("none"), "leases")
    wanted = "get leases.coordination.k8s.io blue-controller in namespace traffic"
    assert installation.facts().lease == UnreadObject(Gap.ABSENT, wanted, "none")
