"""What is true of every object: where it lies, what it is called, and that nothing is left to chance."""

from collections import Counter
from typing import Final

import pytest
import yaml

from tests.charts.rendering import CHART, EVERYTHING, MODES, NAMESPACE, RELEASE, VERSION, Chart, Rendered

pytestmark = pytest.mark.e2e

CLUSTER_WIDE: Final = {
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
}
SELECTED_BY: Final = ("app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component")
LONGEST_RELEASE: Final = "a-release-with-the-longest-name-that-helm-takes-at-all"[:53]


@pytest.fixture(params=MODES)
def everything(request: pytest.FixtureRequest, chart: Chart) -> Rendered:
    """Give the chart with all that is optional, in each of the certificate modes."""
    mode: str = request.param
    return chart.rendered(*EVERYTHING, *MODES[mode])


def test_objects_of_a_namespace_name_it_and_others_do_not(everything: Rendered) -> None:
    """`helm template | kubectl apply` puts everything where `helm install` does."""
    wrong = [
        each.id
        for each in everything.manifests
        if each.metadata.namespace != ("" if each.kind in CLUSTER_WIDE else NAMESPACE)
    ]
    assert wrong == []


def test_every_object_tells_whose_it_is(everything: Rendered) -> None:
    """`kubectl get -l app.kubernetes.io/instance=...` finds all of a release, and nothing else."""
    for each in everything.manifests:
        labels = each.metadata.labels
        assert labels["app.kubernetes.io/name"] == "lockkeeper", each.id
        assert labels["app.kubernetes.io/instance"] == RELEASE, each.id
        assert labels["app.kubernetes.io/managed-by"] == "Helm", each.id
        assert labels["app.kubernetes.io/version"] == VERSION, each.id
        assert labels["helm.sh/chart"] == f"lockkeeper-{VERSION}", each.id


def test_no_object_is_there_twice(everything: Rendered) -> None:
    """Argo CD would silently take the last of two."""
    count = Counter((each.kind, each.metadata.namespace, each.metadata.name) for each in everything.manifests)
    assert [key for key, times in count.items() if times > 1] == []


def test_the_names_are_those_that_the_parts_of_the_project_agreed_on(chart: Chart) -> None:
    """Documentation, tests and the arguments of the containers rely on them."""
    assert sorted(each.id for each in chart.rendered(*EVERYTHING).manifests) == [
        "ClusterRole/lockkeeper-check",
        "ClusterRole/lockkeeper-controller",
        "ClusterRole/lockkeeper-edit",
        "ClusterRole/lockkeeper-pools",
        "ClusterRole/lockkeeper-view",
        "ClusterRole/lockkeeper-webhook",
        "ClusterRoleBinding/lockkeeper-check",
        "ClusterRoleBinding/lockkeeper-controller",
        "ClusterRoleBinding/lockkeeper-webhook",
        "Deployment/lockkeeper-controller",
        "Deployment/lockkeeper-page",
        "Deployment/lockkeeper-webhook",
        "MutatingWebhookConfiguration/lockkeeper",
        "NetworkPolicy/lockkeeper-controller",
        "NetworkPolicy/lockkeeper-page",
        "NetworkPolicy/lockkeeper-webhook",
        "Pod/lockkeeper-check",
        "PodDisruptionBudget/lockkeeper-controller",
        "PodDisruptionBudget/lockkeeper-page",
        "PodDisruptionBudget/lockkeeper-webhook",
        "PrometheusRule/lockkeeper",
        "Role/lockkeeper-check",
        "Role/lockkeeper-controller",
        "Role/lockkeeper-webhook",
        "RoleBinding/lockkeeper-check",
        "RoleBinding/lockkeeper-controller",
        "RoleBinding/lockkeeper-webhook",
        "Secret/lockkeeper-certs",
        "Service/lockkeeper-controller",
        "Service/lockkeeper-page",
        "Service/lockkeeper-webhook",
        "ServiceAccount/lockkeeper-check",
        "ServiceAccount/lockkeeper-controller",
        "ServiceAccount/lockkeeper-page",
        "ServiceAccount/lockkeeper-webhook",
        "ServiceMonitor/lockkeeper-controller",
        "ServiceMonitor/lockkeeper-webhook",
        "ValidatingWebhookConfiguration/lockkeeper",
    ]


def test_the_longest_release_name_gives_names_that_the_api_server_takes(chart: Chart) -> None:
    """Services and label values may have 63 characters, and a release's name 53 before anything is added."""
    rendered = chart.rendered(*EVERYTHING, *MODES["certManager"], release=LONGEST_RELEASE)
    assert [each.id for each in rendered.manifests if len(each.metadata.name) > 63] == []
    values = [value for each in rendered.manifests for value in each.metadata.labels.values()]
    assert [value for value in values if len(value) > 63] == []


@pytest.mark.parametrize("release", ["1st", "team.lockkeeper"])
def test_a_release_name_that_no_service_can_have_is_refused_with_the_way_out(
    chart: Chart, release: str
) -> None:
    """The API server would refuse the Service after half of the objects were made."""
    done = chart.attempt(release=release)
    assert done.returncode != 0
    assert f'the release name "{release}" cannot be in the name of a Service' in done.stderr
    assert "set fullnameOverride" in done.stderr
    renamed = chart.rendered("fullnameOverride=lockkeeper", release=release).one(
        "Service", "lockkeeper-webhook"
    )
    assert renamed.metadata.labels["app.kubernetes.io/instance"] == release


@pytest.mark.parametrize("word", ["on", "null", "true", "007", "12e3"])
def test_names_that_yaml_takes_for_something_else_stay_names(chart: Chart, word: str) -> None:
    """A namespace may be called `on`."""
    rendered = chart.rendered(*EVERYTHING, "fullnameOverride=lockkeeper", release=word, namespace=word)
    namespaces = {each.metadata.namespace for each in rendered.manifests}
    assert namespaces == {"", word}
    assert {each.metadata.labels["app.kubernetes.io/instance"] for each in rendered.manifests} == {word}


def test_two_renderings_are_the_same(chart: Chart) -> None:
    """Nothing is drawn by chance or taken from a clock: tools that compare see no difference."""
    once, again = chart.attempt(*EVERYTHING), chart.attempt(*EVERYTHING)
    assert once.stdout
    assert once.stdout == again.stdout


def test_helm_finds_nothing_to_complain_about(chart: Chart) -> None:
    """Its own checks, warnings too."""
    done = chart.lint()
    assert done.returncode == 0, done.stdout
    assert "0 chart(s) failed" in done.stdout


def test_the_kinds_are_brought_as_they_are_and_stay_at_an_uninstall(chart: Chart) -> None:
    """What is tested against the API server is what is installed; without its kind every policy is gone."""
    files = {path.name: path.read_bytes() for path in (CHART / "files" / "crds").glob("*.yaml")}
    wanted = {content["metadata"]["name"]: content for content in map(yaml.safe_load, files.values())}
    found = {each.metadata.name: each for each in chart.rendered().all("CustomResourceDefinition")}
    assert {name: each.body for name, each in found.items()} == wanted
    assert {each.metadata.annotations["helm.sh/resource-policy"] for each in found.values()} == {"keep"}


def test_further_labels_are_on_every_object_and_those_of_pods_win(chart: Chart) -> None:
    """A cluster that asks for a cost centre on everything gets one on everything."""
    settings = ("commonLabels.cost=ours", "commonLabels.team=a", "webhook.podLabels.team=b")
    rendered = chart.rendered(*EVERYTHING, *settings)
    assert {each.metadata.labels["cost"] for each in rendered.manifests} == {"ours"}
    assert {each.metadata.labels["team"] for each in rendered.manifests} == {"a"}
    pods = rendered.one("Deployment", "lockkeeper-webhook").read(
        dict[str, str], "spec", "template", "metadata", "labels"
    )
    assert (pods["cost"], pods["team"]) == ("ours", "b")


@pytest.mark.parametrize("component", ["webhook", "controller", "page"])
def test_whatever_selects_pods_selects_those_of_its_deployment(chart: Chart, component: str) -> None:
    """The version is not part of a selector: it cannot change, and an upgrade changes it."""
    rendered = chart.rendered(*EVERYTHING)
    name = f"lockkeeper-{component}"
    deployment = rendered.one("Deployment", name)
    labels = deployment.read(dict[str, str], "spec", "template", "metadata", "labels")
    wanted = {key: labels[key] for key in SELECTED_BY}
    assert wanted["app.kubernetes.io/component"] == component
    assert rendered.one("Service", name).read(dict[str, str], "spec", "selector") == wanted
    for kind, field in (
        ("Deployment", "selector"),
        ("PodDisruptionBudget", "selector"),
        ("NetworkPolicy", "podSelector"),
        ("ServiceMonitor", "selector"),
    ):
        if (component, kind) == ("page", "ServiceMonitor"):
            continue  # It has no metrics.
        found = rendered.one(kind, name).read(dict[str, str], "spec", field, "matchLabels")
        assert found == wanted, kind


@pytest.mark.parametrize(
    ("component", "path"),
    [("webhook", "webhook"), ("controller", "controller"), ("page", "page.deployment")],
)
def test_a_single_replica_has_no_disruption_budget(chart: Chart, component: str, path: str) -> None:
    """With one it could never be evicted, and a node never be drained."""
    rendered = chart.rendered(*EVERYTHING, f"{path}.replicas=1")
    names = [each.metadata.name for each in rendered.all("PodDisruptionBudget")]
    assert f"lockkeeper-{component}" not in names
    assert len(names) == 2
