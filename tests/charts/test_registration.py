"""The webhook configurations: what the API server asks about, and what it does without an answer."""

import re
from typing import Final

import msgspec
import pytest

from policy.core.objects import well_known
from tests.charts.rendering import MODES, WITHOUT_CRDS, Chart, Manifest, Rendered

pytestmark = pytest.mark.e2e

KINDS: Final = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
CA: Final = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


class ServiceReference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a webhook is served."""

    name: str
    namespace: str
    path: str
    port: int


class ClientConfig(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """How the API server reaches it."""

    service: ServiceReference
    ca_bundle: str = ""


class Rule(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Which requests are meant."""

    api_groups: tuple[str, ...]
    api_versions: tuple[str, ...]
    resources: tuple[str, ...]
    operations: tuple[str, ...]
    scope: str


class Requirement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One expression of a selector."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


class Selector(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A label selector."""

    match_labels: dict[str, str] = {}
    match_expressions: tuple[Requirement, ...] = ()


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An expression that has to be true."""

    name: str
    expression: str


class Webhook(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """One webhook. What the API server would fill in has no default here: the chart has to give it."""

    name: str
    admission_review_versions: tuple[str, ...]
    client_config: ClientConfig
    failure_policy: str
    timeout_seconds: int
    match_policy: str
    side_effects: str
    namespace_selector: Selector
    object_selector: Selector
    rules: tuple[Rule, ...]
    match_conditions: tuple[Condition, ...]
    reinvocation_policy: str = ""


def webhooks(rendered: Rendered) -> dict[str, Webhook]:
    """Return all webhooks by their names."""
    found = [each.read(tuple[Webhook, ...], "webhooks") for each in rendered.all(*KINDS)]
    return {webhook.name: webhook for several in found for webhook in several}


def test_the_webhooks_are_those_that_were_agreed_on(chart: Chart) -> None:
    """Names show in every denial, and paths are routes of the server."""
    found = webhooks(chart.rendered(WITHOUT_CRDS))
    shown = {
        name: (each.client_config.service.path, each.failure_policy, each.timeout_seconds, each.side_effects)
        for name, each in found.items()
    }
    assert shown == {
        "mutate.lockkeeper.dev": ("/mutate", "Ignore", 2, "NoneOnDryRun"),
        "validate.lockkeeper.dev": ("/validate", "Fail", 5, "NoneOnDryRun"),
        "policies.lockkeeper.dev": ("/policies", "Ignore", 5, "None"),
    }
    for each in found.values():
        service = each.client_config.service
        assert (service.name, service.namespace, service.port) == ("lockkeeper-webhook", "traffic", 443)
        assert each.admission_review_versions == ("v1",)
        assert each.match_policy == "Equivalent"


def test_nobody_is_asked_twice_about_one_create(chart: Chart) -> None:
    """A second call would reserve a second slot (docs/adr/0003)."""
    found = webhooks(chart.rendered(WITHOUT_CRDS))
    assert found["mutate.lockkeeper.dev"].reinvocation_policy == "Never"


def test_what_people_write_of_argos_is_asked_about_and_nothing_else(chart: Chart) -> None:
    """A rule of more kinds could keep a cluster from healing itself while we are away."""
    found = webhooks(chart.rendered(WITHOUT_CRDS))
    namespaced = ("workflows", "workflows/status", "workflowtemplates", "cronworkflows")
    wanted = tuple(
        Rule(("argoproj.io",), ("v1alpha1",), resources, ("CREATE", "UPDATE"), scope)
        for resources, scope in ((namespaced, "Namespaced"), (("clusterworkflowtemplates",), "Cluster"))
    )
    assert found["mutate.lockkeeper.dev"].rules == wanted
    assert found["validate.lockkeeper.dev"].rules == wanted


def test_all_four_kinds_of_policies_are_asked_about(chart: Chart) -> None:
    """Their status is not: the controller writes it, and would wait for itself."""
    kinds = (
        "workflowquotas",
        "clusterworkflowquotas",
        "synchronizationpolicies",
        "clustersynchronizationpolicies",
    )
    (rule,) = webhooks(chart.rendered(WITHOUT_CRDS))["policies.lockkeeper.dev"].rules
    assert rule == Rule(("lockkeeper.dev",), ("v1alpha1",), kinds, ("CREATE", "UPDATE"), "*")


def test_own_namespace_and_the_systems_are_left_out_by_a_name_that_nobody_can_forge(chart: Chart) -> None:
    """Lockkeeper is never asked about its own start, and values only add to that."""
    settings = (
        "registration.excludedNamespaces={argo,traffic}",
        "registration.namespaceSelector.matchLabels.governed=yes",
        "registration.namespaceSelector.matchExpressions[0].key=team",
        "registration.namespaceSelector.matchExpressions[0].operator=Exists",
    )
    for given, left_out, others, labels in (
        ((), ("kube-system", "traffic"), (), {}),
        (settings, ("kube-system", "traffic", "argo"), (Requirement("team", "Exists"),), {"governed": "yes"}),
    ):
        found = webhooks(chart.rendered(WITHOUT_CRDS, *given))
        for name in ("mutate.lockkeeper.dev", "validate.lockkeeper.dev"):
            selector = found[name].namespace_selector
            assert selector.match_expressions == (
                Requirement("kubernetes.io/metadata.name", "NotIn", left_out),
                *others,
            )
            assert selector.match_labels == labels
        assert found["policies.lockkeeper.dev"].namespace_selector == Selector()


def test_a_trial_can_be_bound_to_labels_of_workflows(chart: Chart) -> None:
    """Policies are judged all the same."""
    found = webhooks(chart.rendered(WITHOUT_CRDS, "registration.objectSelector.matchLabels.trial=on"))
    assert found["validate.lockkeeper.dev"].object_selector == Selector({"trial": "on"})
    assert found["mutate.lockkeeper.dev"].object_selector == Selector({"trial": "on"})
    assert found["policies.lockkeeper.dev"].object_selector == Selector()


def test_both_sides_are_asked_under_the_same_conditions(chart: Chart) -> None:
    """What one side changes, the other judges. Whether they hold is tried on the API server."""
    found = webhooks(chart.rendered(WITHOUT_CRDS, release="other"))
    conditions = found["mutate.lockkeeper.dev"].match_conditions
    assert conditions == found["validate.lockkeeper.dev"].match_conditions
    assert [each.name for each in conditions] == ["not-our-controller", "new-or-changed"]
    assert conditions[0].expression == (
        "request.userInfo.username != 'system:serviceaccount:traffic:other-controller'"
    )


def test_the_conditions_know_all_of_our_marks(chart: Chart) -> None:
    """A mark that is left out could be changed behind our back; what has our prefix is a mark."""
    expression = (
        webhooks(chart.rendered(WITHOUT_CRDS))["validate.lockkeeper.dev"].match_conditions[1].expression
    )
    for written in (well_known.COMPLETED, well_known.PREFIX):
        assert f"'{written}'" in expression
    assert all(
        mark.startswith(well_known.PREFIX) for mark in (*well_known.OUR_LABELS, *well_known.OUR_ANNOTATIONS)
    )


def test_the_conditions_leave_out_the_labels_that_no_policy_selects_by(chart: Chart) -> None:
    """Just those: a label that is left out and selected by is a way out of a quota."""
    expression = (
        webhooks(chart.rendered(WITHOUT_CRDS))["validate.lockkeeper.dev"].match_conditions[1].expression
    )
    listed = re.search(r"!\(key in \[([^\]]*)\]", expression)
    assert listed is not None
    assert set(re.findall(r"'([^']+)'", listed[1])) == well_known.CHANGING


def test_argo_is_known_by_the_accounts_of_the_values(chart: Chart) -> None:
    """Its writes of a status are not asked about; everybody else's are."""
    accounts = "argo.controllerServiceAccount={argo:argo,flows:runner,someone}"
    expression = (
        webhooks(chart.rendered(WITHOUT_CRDS, accounts))["mutate.lockkeeper.dev"]
        .match_conditions[1]
        .expression
    )
    known = "['system:serviceaccount:argo:argo', 'system:serviceaccount:flows:runner', 'someone']"
    assert f"!(request.userInfo.username in {known})" in expression


@pytest.mark.parametrize("mode", MODES)
def test_the_bundle_is_left_to_whoever_keeps_it(chart: Chart, mode: str) -> None:
    """What the chart does not write, an upgrade does not take away, and no comparing tool complains about."""
    rendered = chart.rendered(WITHOUT_CRDS, *MODES[mode])
    assert "caBundle" not in rendered.text
    for each in rendered.all(*KINDS):
        wanted = (
            {"cert-manager.io/inject-ca-from": "traffic/lockkeeper-webhook"} if mode == "certManager" else {}
        )
        assert each.metadata.annotations == wanted


def test_a_bundle_that_is_given_is_written(chart: Chart) -> None:
    """Then it is the user's to keep, and the controller lets it be."""
    values = msgspec.json.encode({"certificates": {"secret": {"caBundle": CA}}}).decode()
    rendered = chart.rendered(WITHOUT_CRDS, *MODES["secret"], values=values)
    bundles = {each.client_config.ca_bundle for each in webhooks(rendered).values()}
    assert bundles == {"LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUIKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo="}
    assert "--ca-secret" not in rendered.text


def test_annotations_of_the_values_stand_beside_those_of_cert_manager(chart: Chart) -> None:
    """Argo CD orders by annotations, whoever makes the certificate."""
    settings = ("registration.annotations.wave=last", *MODES["certManager"])
    for each in chart.rendered(WITHOUT_CRDS, *settings).all(*KINDS):
        assert each.metadata.annotations == {
            "wave": "last",
            "cert-manager.io/inject-ca-from": "traffic/lockkeeper-webhook",
        }


def test_what_takes_the_webhooks_away_is_shown_to_no_one_but_a_helm_with_a_cluster(chart: Chart) -> None:
    """Argo CD would take the empty configuration for the real one, and nobody would be governed."""
    hooks = [each for each in chart.rendered(WITHOUT_CRDS).manifests if _is_hook(each)]
    assert [each.id for each in hooks] == ["Pod/lockkeeper-check"]


def _is_hook(manifest: Manifest) -> bool:
    return "helm.sh/hook" in manifest.metadata.annotations
