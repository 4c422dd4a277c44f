"""What the accounts may do: no more than the programs do, and by name where there is a name."""

from typing import Final

import msgspec
import pytest

from tests.charts.rendering import EVERYTHING, MODES, WITHOUT_CRDS, Chart, Rendered

pytestmark = pytest.mark.e2e

FOLLOW: Final = ("list", "watch")
READ: Final = ("get", *FOLLOW)
WRITE: Final = ("create", "update", "patch", "delete", "deletecollection")
POLICIES: Final = (
    "workflowquotas",
    "clusterworkflowquotas",
    "synchronizationpolicies",
    "clustersynchronizationpolicies",
)
TEMPLATES: Final = ("workflowtemplates", "clusterworkflowtemplates")
CONFIGURATIONS: Final = ("mutatingwebhookconfigurations", "validatingwebhookconfigurations")
ESCALATING: Final = {"escalate", "bind", "impersonate", "approve", "sign"}


class Rule(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """One rule of a role."""

    api_groups: tuple[str, ...]
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    resource_names: tuple[str, ...] = ()


READS: Final = (
    Rule(("lockkeeper.dev",), POLICIES, FOLLOW),
    Rule(("",), ("namespaces", "configmaps"), FOLLOW),
    Rule(("argoproj.io",), TEMPLATES, FOLLOW),
    Rule(("lockkeeper.dev",), ("quotaledgers",), ("get", "update")),
)
OWNERS: Final = (
    Rule(("argoproj.io",), ("workflows",), ("get", "list")),
    Rule(("argoproj.io",), ("cronworkflows",), ("get",)),
)
RELEASING: Final = (
    Rule(("argoproj.io",), ("workflows",), (*READ, "patch", "delete")),
    Rule(("lockkeeper.dev",), ("quotaledgers",), ("list", "create")),
    Rule(("lockkeeper.dev",), ("runlengths",), ("create",)),
    Rule(("lockkeeper.dev",), ("runlengths",), ("get", "patch"), ("lockkeeper",)),
    Rule(("",), ("nodes",), FOLLOW),
    Rule(("events.k8s.io",), ("events",), ("create",)),
    Rule(("lockkeeper.dev",), tuple(f"{kind}/status" for kind in POLICIES), ("patch",)),
)
PROJECTING: Final = Rule(("",), ("configmaps",), ("create", "patch"), ("workflow-semaphores",))
BUNDLE: Final = Rule(("admissionregistration.k8s.io",), CONFIGURATIONS, (*READ, "patch"), ("lockkeeper",))
PATHS: Final = Rule(("admissionregistration.k8s.io",), CONFIGURATIONS, ("get",), ("lockkeeper",))
REPLICAS: Final = Rule(("apps",), ("deployments",), READ, ("lockkeeper-webhook",))
LEASES: Final = (
    Rule(("coordination.k8s.io",), ("leases",), ("create",)),
    Rule(("coordination.k8s.io",), ("leases",), ("get", "update"), ("lockkeeper-controller",)),
)


def secrets(name: str, *verbs: str) -> Rule:
    """Return a rule about one Secret, or about those that are not made yet."""
    return Rule(("",), ("secrets",), verbs, (name,) if name else ())


def roles(rendered: Rendered) -> dict[str, tuple[Rule, ...]]:
    """Return the rules of every role."""
    return {each.id: each.read(tuple[Rule, ...], "rules") for each in rendered.all("Role", "ClusterRole")}


@pytest.fixture(params=MODES)
def granted(request: pytest.FixtureRequest, chart: Chart) -> dict[str, tuple[Rule, ...]]:
    """Give all rules in each of the certificate modes."""
    mode: str = request.param
    return roles(chart.rendered(*EVERYTHING, *MODES[mode]))


def test_no_rule_says_all(granted: dict[str, tuple[Rule, ...]]) -> None:
    """A star grants what does not exist yet."""
    stars = [
        name
        for name, rules in granted.items()
        for rule in rules
        if "*" in (*rule.api_groups, *rule.resources, *rule.verbs)
    ]
    assert stars == []


def test_no_secret_is_touched_but_by_its_name(granted: dict[str, tuple[Rule, ...]]) -> None:
    """Only a create cannot be bound to a name, and it reads nothing."""
    loose = [
        (name, rule.verbs)
        for name, rules in granted.items()
        for rule in rules
        if "secrets" in rule.resources and not rule.resource_names and rule.verbs != ("create",)
    ]
    assert loose == []


def test_no_right_leads_to_more_rights(granted: dict[str, tuple[Rule, ...]]) -> None:
    """Whoever takes over one of the accounts has what it has, and no more."""
    assert [name for name, rules in granted.items() for rule in rules if ESCALATING & set(rule.verbs)] == []
    assert [name for name, rules in granted.items() for rule in rules if "pods/exec" in rule.resources] == []


@pytest.mark.parametrize(
    ("mode", "secret_of_webhook", "secret_of_controller"),
    [
        (
            "builtIn",
            (secrets("lockkeeper-certs", "get", "update"),),
            (secrets("", "create"), secrets("lockkeeper-certs", "get", "update")),
        ),
        ("certManager", (), ()),
        ("secret", (), (secrets("my-tls", "get"),)),
    ],
)
def test_each_account_may_do_what_it_does(
    chart: Chart, mode: str, secret_of_webhook: tuple[Rule, ...], secret_of_controller: tuple[Rule, ...]
) -> None:
    """A right that is added here is one that somebody has seen."""
    granted = roles(chart.rendered(WITHOUT_CRDS, *MODES[mode]))
    assert granted["ClusterRole/lockkeeper-webhook"] == (*READS, *OWNERS, PATHS)
    assert granted.get("Role/lockkeeper-webhook", ()) == secret_of_webhook
    assert granted["ClusterRole/lockkeeper-controller"] == (*READS, *RELEASING, PROJECTING, BUNDLE)
    assert granted["Role/lockkeeper-controller"] == (*LEASES, *secret_of_controller, REPLICAS)


@pytest.mark.parametrize(
    ("mode", "bundle"), [("builtIn", (BUNDLE,)), ("certManager", ()), ("secret", (BUNDLE,))]
)
def test_without_secret_paths_their_rights_are_not_granted(
    chart: Chart, mode: str, bundle: tuple[Rule, ...]
) -> None:
    """Who keeps the paths himself need not let the controller write to what admits everything."""
    granted = roles(chart.rendered(WITHOUT_CRDS, "registration.callerToken=false", *MODES[mode]))
    assert granted["ClusterRole/lockkeeper-webhook"] == (*READS, *OWNERS, PATHS)
    assert granted["ClusterRole/lockkeeper-controller"] == (*READS, *RELEASING, PROJECTING, *bundle)
    assert REPLICAS not in granted["Role/lockkeeper-controller"]


def test_the_check_only_looks(granted: dict[str, tuple[Rule, ...]]) -> None:
    """Anybody who may run `helm test` runs it."""
    rules = granted["ClusterRole/lockkeeper-check"] + granted["Role/lockkeeper-check"]
    assert {verb for rule in rules for verb in rule.verbs} == {"get", "list"}
    assert not any("secrets" in rule.resources for rule in rules)


def test_a_bundle_that_is_given_takes_its_rights_away(chart: Chart) -> None:
    """What the user keeps, the controller neither reads nor writes."""
    values = '{"certificates": {"secret": {"caBundle": "-----BEGIN CERTIFICATE-----\\n"}}}'
    plain = "registration.callerToken=false"
    granted = roles(chart.rendered(WITHOUT_CRDS, plain, *MODES["secret"], values=values))
    assert granted["ClusterRole/lockkeeper-controller"] == (*READS, *RELEASING, PROJECTING)
    assert granted["Role/lockkeeper-controller"] == LEASES


@pytest.mark.parametrize(
    ("values", "rules"),
    [
        ("[]", ()),
        ('["a", "b"]', (Rule(("",), ("configmaps",), ("create", "patch"), ("a", "b")),)),
        ('["*"]', (Rule(("",), ("configmaps",), ("create", "patch")),)),
    ],
)
def test_the_config_maps_that_may_be_written_are_named(
    chart: Chart, values: str, rules: tuple[Rule, ...]
) -> None:
    """Each by its name; none, or all of the cluster, only where somebody says so."""
    rendered = chart.rendered(WITHOUT_CRDS, values=f'{{"semaphores": {{"configMaps": {values}}}}}')
    found = [
        rule
        for rule in roles(rendered)["ClusterRole/lockkeeper-controller"]
        if rule.resources == ("configmaps",)
    ]
    assert tuple(found) == rules


def test_templates_are_made_and_deleted_only_where_siblings_are_enabled(chart: Chart) -> None:
    """And never changed: a sibling is not edited. Names are made, so the rights cannot be bound to them."""
    enabled = roles(chart.rendered(WITHOUT_CRDS, "siblings.enabled=true"))
    usual = roles(chart.rendered(WITHOUT_CRDS))
    making = Rule(("argoproj.io",), ("workflowtemplates",), ("create", "delete"))
    name = "ClusterRole/lockkeeper-controller"
    assert [rule for rule in enabled[name] if rule not in usual[name]] == [making]
    assert {each: rules for each, rules in enabled.items() if each != name} == {
        each: rules for each, rules in usual.items() if each != name
    }


def test_the_page_has_no_rights_and_no_token(chart: Chart) -> None:
    """It reads with the tokens of those who look; its account is a name and nothing else."""
    before, after = chart.rendered(WITHOUT_CRDS), chart.rendered(WITHOUT_CRDS, "page.enabled=true")
    assert {each.id for each in after.manifests} - {each.id for each in before.manifests} == {
        "Deployment/lockkeeper-page",
        "PodDisruptionBudget/lockkeeper-page",
        "Service/lockkeeper-page",
        "ServiceAccount/lockkeeper-page",
    }
    assert roles(after) == roles(before)
    bound = [
        subject["name"]
        for each in after.all("RoleBinding", "ClusterRoleBinding")
        for subject in each.read(tuple[dict[str, str], ...], "subjects")
    ]
    assert "lockkeeper-page" not in bound
    assert not after.one("ServiceAccount", "lockkeeper-page").read(bool, "automountServiceAccountToken")


def test_every_role_is_bound_to_the_account_of_its_name(chart: Chart) -> None:
    """A binding to an account of another namespace would be somebody else's rights."""
    rendered = chart.rendered(WITHOUT_CRDS)
    bindings = rendered.all("RoleBinding", "ClusterRoleBinding")
    assert len(bindings) == 6
    for each in bindings:
        name = each.metadata.name
        kind = each.kind.removesuffix("Binding")
        assert each.read(dict[str, str], "roleRef") == {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": kind,
            "name": name,
        }
        assert each.read(tuple[dict[str, str], ...], "subjects") == (
            {"kind": "ServiceAccount", "name": name, "namespace": "traffic"},
        )
        assert {f"{kind}/{name}", f"ServiceAccount/{name}"} <= {other.id for other in rendered.manifests}


def _aggregated(rendered: Rendered) -> dict[str, list[str]]:
    """Return to which roles of the cluster each of ours is added."""
    return {
        each.metadata.name: sorted(
            label.rpartition("-")[2] for label in each.metadata.labels if "aggregate-to" in label
        )
        for each in rendered.all("ClusterRole")
        if "aggregate-to" in str(each.metadata.labels)
    }


def test_users_of_a_namespace_get_its_locks_and_see_its_limits(chart: Chart) -> None:
    """Nobody of a namespace writes its quotas, or they would bind nobody; pools are the cluster's."""
    rendered = chart.rendered(WITHOUT_CRDS)
    assert _aggregated(rendered) == {
        "lockkeeper-view": ["admin", "edit", "view"],
        "lockkeeper-edit": ["admin", "edit"],
    }
    granted = roles(rendered)
    of_namespace = ("workflowquotas", "synchronizationpolicies")
    assert granted["ClusterRole/lockkeeper-view"] == (Rule(("lockkeeper.dev",), of_namespace, READ),)
    locks = Rule(("lockkeeper.dev",), ("synchronizationpolicies",), WRITE)
    assert granted["ClusterRole/lockkeeper-edit"] == (locks,)
    assert _aggregated(chart.rendered(WITHOUT_CRDS, "rbac.aggregate=false")) == {}


@pytest.mark.parametrize(
    ("value", "writers"), [("none", None), ("admin", ["admin"]), ("edit", ["admin", "edit"]), ("null", None)]
)
def test_who_of_a_namespace_writes_its_quotas_is_a_value(
    chart: Chart, value: str, writers: list[str] | None
) -> None:
    """An upgrade that reuses the values of a release before has none, and means nobody."""
    rendered = chart.rendered(WITHOUT_CRDS, f"rbac.aggregateQuotas={value}")
    assert _aggregated(rendered).get("lockkeeper-quotas") == writers
    quotas = (Rule(("lockkeeper.dev",), ("workflowquotas",), WRITE),)
    assert roles(rendered).get("ClusterRole/lockkeeper-quotas") == (None if writers is None else quotas)
    without = chart.rendered(WITHOUT_CRDS, "rbac.aggregate=false", f"rbac.aggregateQuotas={value}")
    assert _aggregated(without) == {}
