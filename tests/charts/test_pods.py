"""The Pods: what they run, how they are confined, and how they come and go."""

import argparse
from typing import Final

import pytest

from lockkeeper.cli.commands import COMMANDS
from tests.charts.pods import Container, breaches, pod_of, pods
from tests.charts.rendering import MODES, VERSION, WITHOUT_CRDS, Chart, Rendered

pytestmark = pytest.mark.e2e

COMPONENTS: Final = ("webhook", "controller")
DIGEST: Final = "sha256:" + "0123456789abcdef" * 4


@pytest.fixture(params=MODES)
def rendered(request: pytest.FixtureRequest, chart: Chart) -> Rendered:
    """Give the chart in each of the certificate modes."""
    mode: str = request.param
    return chart.rendered(WITHOUT_CRDS, *MODES[mode])


def container(chart: Chart, component: str, *settings: str) -> Container:
    """Return the container of one Deployment."""
    rendered = chart.rendered(WITHOUT_CRDS, *settings)
    return pod_of(rendered.one("Deployment", f"lockkeeper-{component}")).only


def understood(arguments: tuple[str, ...]) -> argparse.Namespace:
    """Parse arguments as the program does, once Kubernetes has filled in the variables."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    commands = parser.add_subparsers(required=True)
    for command in COMMANDS:
        command.load().configure(commands.add_parser(command.name, exit_on_error=False))
    variables = {"POD_IP": "10.1.2.3", "POD_NAMESPACE": "traffic", "POD_NAME": "lockkeeper-webhook-0"}
    expanded = list(arguments)
    for name, value in variables.items():
        expanded = [argument.replace(f"$({name})", value) for argument in expanded]
    assert not [argument for argument in expanded if "$(" in argument]
    return parser.parse_args(expanded)


def test_every_pod_keeps_to_the_restricted_standard(rendered: Rendered) -> None:
    """They start in a namespace that enforces it, the Pod of `helm test` too."""
    found = pods(rendered)
    assert {name.partition("-")[2] for name in found} == {"webhook", "controller", "check"}
    assert {name: list(breaches(pod)) for name, pod in found.items()} == {name: [] for name in found}


def test_every_pod_can_write_to_one_small_folder_alone(rendered: Rendered) -> None:
    """Whoever gets in finds nothing to change, and cannot fill the node's disk."""
    for name, pod in pods(rendered).items():
        assert pod.only.security_context.read_only_root_filesystem, name
        writable = [mount.name for mount in pod.only.volume_mounts if not mount.read_only]
        assert writable == ["tmp"], name
        (scratch,) = [each for each in pod.volumes if each["name"] == "tmp"]
        assert scratch["emptyDir"] == {"sizeLimit": "64Mi"}, name
        assert {mount.name for mount in pod.only.volume_mounts} == {each["name"] for each in pod.volumes}, (
            name
        )


def test_every_pod_runs_as_the_image_says_under_an_account_of_its_own(rendered: Rendered) -> None:
    """Its rights are its own, and names of other Services stay out of its environment."""
    for name, pod in pods(rendered).items():
        assert pod.security_context.run_as_user == 65532, name
        assert pod.security_context.fs_group == 65532, name
        assert pod.service_account_name == name.split("/")[1]
        assert pod.automount_service_account_token, name
        assert not pod.enable_service_links, name


def test_the_page_is_confined_as_all_others_and_gets_no_token(chart: Chart) -> None:
    """It has the CA of the cluster where others have a token, too."""
    rendered = chart.rendered(WITHOUT_CRDS, "page.enabled=true", "page.tlsSecret=page-tls")
    pod = pod_of(rendered.one("Deployment", "lockkeeper-page"))
    assert list(breaches(pod)) == []
    assert pod.only.security_context.read_only_root_filesystem
    assert pod.service_account_name == "lockkeeper-page"
    assert not pod.automount_service_account_token
    assert not pod.enable_service_links
    assert [mount.name for mount in pod.only.volume_mounts if not mount.read_only] == ["tmp"]
    assert {each["name"]: each for each in pod.volumes} == {
        "tmp": {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
        "cluster-ca": {"name": "cluster-ca", "configMap": {"name": "kube-root-ca.crt"}},
        "certs": {"name": "certs", "secret": {"secretName": "page-tls"}},
    }
    assert set(pod.only.resources.requests) == {"cpu", "memory"}
    assert set(pod.only.resources.limits) == {"memory"}


def test_the_page_understands_its_arguments_and_knows_its_names(chart: Chart) -> None:
    """Any other name is refused; without a Secret it makes a certificate for them."""
    made = container(chart, "page", "page.enabled=true", "page.hosts={queues.example}")
    parsed = understood(made.args)
    assert parsed.sign_in
    assert (parsed.host, parsed.port, parsed.health_port) == ("10.1.2.3", 8443, 8081)
    assert parsed.certs_mounted is None
    assert set(parsed.host_names) == {
        "lockkeeper-page",
        "lockkeeper-page.traffic",
        "lockkeeper-page.traffic.svc",
        "lockkeeper-page.traffic.svc.cluster.local",
        "queues.example",
    }
    assert parsed.prometheus is None
    asks = container(chart, "page", "page.enabled=true", "page.prometheus=http://prometheus:9090")
    assert understood(asks.args).prometheus == "http://prometheus:9090"
    with_secret = container(chart, "page", "page.enabled=true", "page.tlsSecret=page-tls")
    assert "--certs-mounted=/certs" in with_secret.args
    for probe in (made.startup_probe, made.readiness_probe, made.liveness_probe):
        assert probe is not None
        assert (probe.http_get.scheme, probe.http_get.port) == ("HTTP", "health")


def test_the_user_can_be_left_to_the_cluster(chart: Chart) -> None:
    """OpenShift gives every namespace a range of users, and refuses any other."""
    for pod in pods(chart.rendered(WITHOUT_CRDS, "runAsUser=null")).values():
        assert pod.security_context.run_as_non_root
        assert pod.security_context.run_as_user is None
        assert pod.security_context.fs_group is None


def test_no_container_has_a_limit_of_cpu_and_each_has_one_of_memory(rendered: Rendered) -> None:
    """A throttled webhook is a slow create; a leak ends one Pod and not its node."""
    for name, pod in pods(rendered).items():
        assert set(pod.only.resources.requests) == {"cpu", "memory"}, name
        assert set(pod.only.resources.limits) == {"memory"}, name


@pytest.mark.parametrize("component", COMPONENTS)
def test_the_program_understands_its_arguments(rendered: Rendered, component: str) -> None:
    """An argument that the program does not know would be a Pod that never starts."""
    arguments = pod_of(rendered.one("Deployment", f"lockkeeper-{component}")).only.args
    parsed = understood(arguments)
    assert parsed.host == "10.1.2.3"
    assert parsed.port == {"webhook": 9443, "controller": 8080}[component]


def test_the_program_understands_the_arguments_of_the_check(chart: Chart) -> None:
    """`helm test` tests the installation and not the parser."""
    arguments = pod_of(chart.rendered(WITHOUT_CRDS).one("Pod")).only.args
    assert arguments == ("check", "--namespace=traffic", "--name=lockkeeper")
    understood(arguments)


def test_the_webhook_is_told_where_it_is_and_which_argo_there_is(chart: Chart) -> None:
    """It listens on the Pod's own address, which is right for IPv4 and IPv6."""
    made = container(chart, "webhook", "argoVersion=3.6")
    assert made.args[:10] == (
        "serve",
        "--cluster",
        "--host=$(POD_IP)",
        "--port=9443",
        "--health-port=8081",
        "--webhook-configurations=lockkeeper",
        "--argo-version=3.6",
        "--argo-controller-account=argo:argo",
        "--argo-server-account=argo:argo-server",
        "--own-account=$(POD_NAMESPACE):lockkeeper-controller",
    )
    assert {each.name: each.value_from.field_ref.field_path for each in made.env} == {
        "POD_IP": "status.podIP",
        "POD_NAMESPACE": "metadata.namespace",
        "POD_NAME": "metadata.name",
    }


def test_the_controller_is_told_which_lease_and_which_registration_are_its_own(chart: Chart) -> None:
    """Two releases in one cluster do not take each other's."""
    rendered = chart.rendered(WITHOUT_CRDS, "fullnameOverride=other")
    assert pod_of(rendered.one("Deployment", "other-controller")).only.args[:8] == (
        "controller",
        "--lease-namespace=$(POD_NAMESPACE)",
        "--lease-name=other-controller",
        "--host=$(POD_IP)",
        "--port=8080",
        "--argo-version=4.1",
        "--argo-controller-account=argo:argo",
        "--webhook-configurations=other",
    )


@pytest.mark.parametrize("component", COMPONENTS)
def test_both_sides_know_whether_paths_have_a_secret(chart: Chart, component: str) -> None:
    """The controller waits for Pods with this very argument before it gives the paths a secret."""
    knowing = {
        "webhook": "--webhook-configurations=lockkeeper",
        "controller": "--webhook-deployment=$(POD_NAMESPACE)/lockkeeper-webhook",
    }[component]
    assert knowing in container(chart, component).args
    assert knowing not in container(chart, component, "registration.callerToken=false").args


@pytest.mark.parametrize(("component", "port"), [("webhook", 8081), ("controller", 8080)])
def test_the_probes_look_at_a_port_of_their_own(chart: Chart, component: str, port: int) -> None:
    """Ready and alive are two questions: one that waits for the API server is not restarted for it."""
    made = container(chart, component)
    served = made.ports[-1]
    assert served.container_port == port
    probes = {
        "startup": made.startup_probe,
        "readiness": made.readiness_probe,
        "liveness": made.liveness_probe,
    }
    for name, probe in probes.items():
        assert probe is not None, name
        assert (probe.http_get.scheme, probe.http_get.port) == ("HTTP", served.name), name
        assert probe.http_get.path == ("/readyz" if name == "readiness" else "/livez"), name


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_pod_waits_before_it_stops_unless_told_not_to(chart: Chart, component: str) -> None:
    """Who still sends reviews has time to learn; the wait is no second long where nobody asked for it."""
    waiting = container(chart, component).lifecycle
    assert waiting is not None
    assert waiting.pre_stop.sleep.seconds == 10
    assert container(chart, component, f"{component}.preStopSeconds=0").lifecycle is None


def test_an_image_is_named_by_its_tag_or_better_by_its_digest(chart: Chart) -> None:
    """The default is the version of the program that the chart was made for."""
    own = ("image.repository=example/traffic",)
    assert container(chart, "webhook").image == f"lockkeeper:{VERSION}"
    assert container(chart, "webhook", *own, "image.tag=1.2").image == "example/traffic:1.2"
    assert container(chart, "webhook", *own, f"image.digest={DIGEST}").image == f"example/traffic@{DIGEST}"
    settings = (*own, "imagePullSecrets[0].name=mine")
    for pod in pods(chart.rendered(WITHOUT_CRDS, *settings)).values():
        assert pod.image_pull_secrets == ({"name": "mine"},)


@pytest.mark.parametrize("component", COMPONENTS)
def test_replicas_are_spread_over_nodes_by_default(chart: Chart, component: str) -> None:
    """One lost node leaves one replica; a cluster of one node is no reason not to start."""
    pod = pod_of(chart.rendered(WITHOUT_CRDS).one("Deployment", f"lockkeeper-{component}"))
    (spread,) = pod.topology_spread_constraints
    labels = {
        "app.kubernetes.io/name": "lockkeeper",
        "app.kubernetes.io/instance": "lockkeeper",
        "app.kubernetes.io/component": component,
    }
    assert spread == {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": labels},
    }


@pytest.mark.parametrize("component", COMPONENTS)
def test_pods_go_where_the_values_say(chart: Chart, component: str) -> None:
    """Each Deployment has its own: the controller may do with cheaper nodes."""
    settings = (
        f"{component}.nodeSelector.pool=infra",
        f"{component}.tolerations[0].key=infra",
        f"{component}.tolerations[0].operator=Exists",
        f"{component}.affinity.nodeAffinity.x=y",
        f"{component}.priorityClassName=system-cluster-critical",
        f"{component}.topologySpreadConstraints=null",
    )
    rendered = chart.rendered(WITHOUT_CRDS, *settings)
    pod = pod_of(rendered.one("Deployment", f"lockkeeper-{component}"))
    assert pod.node_selector == {"pool": "infra"}
    assert pod.tolerations == ({"key": "infra", "operator": "Exists"},)
    assert pod.affinity == {"nodeAffinity": {"x": "y"}}
    assert pod.priority_class_name == "system-cluster-critical"
    assert pod.topology_spread_constraints == ()
    (other,) = set(COMPONENTS) - {component}
    assert pod_of(rendered.one("Deployment", f"lockkeeper-{other}")).node_selector == {}


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_rollout_never_has_fewer_replicas_than_were_asked_for(chart: Chart, component: str) -> None:
    """A new one is ready before an old one goes."""
    deployment = chart.rendered(WITHOUT_CRDS).one("Deployment", f"lockkeeper-{component}")
    assert deployment.read(int, "spec", "replicas") == 2
    assert deployment.read(dict[str, int], "spec", "strategy", "rollingUpdate") == {
        "maxSurge": 1,
        "maxUnavailable": 0,
    }
