"""The values: each does something, each is described, and nothing else is taken."""

import re
from collections.abc import Iterator
from typing import Final

import msgspec
import pytest
import yaml

from policy.core.objects.json_patch import JsonObject, JsonValue
from tests.charts.rendering import CHART, EVERYTHING, MODES, VERSION, WITHOUT_CRDS, Chart

VALUES: Final[JsonObject] = yaml.safe_load((CHART / "values.yaml").read_bytes())
SCHEMA: Final[JsonObject] = msgspec.json.decode((CHART / "values.schema.json").read_bytes())
FOR_CHARTS_ABOVE: Final = {"global", "enabled"}
"""Keys that a chart which has this one in it gives, and that stand for nothing here."""

REFUSED: Final = [
    # Keys that do not exist: the path is where, the word is which.
    ("replicaCount=3", "", "replicaCount"),
    ("webhook.replicaCount=3", "webhook", "replicaCount"),
    ("webhook.podDisruptionBudget.minAvailable=2", "webhook.podDisruptionBudget", "minAvailable"),
    ("controller.resources.limit.memory=1Gi", "controller.resources", "limit"),
    ("image.name=lockkeeper", "image", "name"),
    ("registration.failurePolicy=Ignore", "registration", "failurePolicy"),
    ("registration.mutating.reinvocationPolicy=IfNeeded", "registration.mutating", "reinvocationPolicy"),
    ("registration.objectSelector.matchLabel.a=b", "registration.objectSelector", "matchLabel"),
    ("certificates.secret.namespace=other", "certificates.secret", "namespace"),
    ("networkPolicy.webhookFrom[0].pods=all", "networkPolicy.webhookFrom.0", "pods"),
    ("metrics.enabled=true", "metrics", "enabled"),
    ("semaphores.names={a}", "semaphores", "names"),
    ("siblings.templates=true", "siblings", "templates"),
    ("page.replicas=3", "page", "replicas"),
    # Values of another sort, or out of range.
    ("webhook.replicas=two", "webhook.replicas", "integer"),
    ("webhook.replicas=0", "webhook.replicas", "1"),
    ("webhook.preStopSeconds=-1", "webhook.preStopSeconds", "0"),
    ("webhook.resources.limits.memory=lots", "webhook.resources.limits.memory", "pattern"),
    ("webhook.tolerations[0].effect=Never", "webhook.tolerations.0.effect", "NoExecute"),
    (
        "controller.topologySpreadConstraints[0].maxSkew=1",
        "controller.topologySpreadConstraints.0",
        "topologyKey",
    ),
    ("commonLabels.cost=1", "commonLabels.cost", "string"),
    ("runAsUser=0", "runAsUser", "1"),
    ("image.digest=sha256:abc", "image.digest", "pattern"),
    ("image.repository=registry.example/lockkeeper:1.0", "image.repository", "pattern"),
    ("image.repository=", "image.repository", "pattern"),
    ("image.tag=1.0@sha256:abc", "image.tag", "pattern"),
    ("image.pullPolicy=Sometimes", "image.pullPolicy", "IfNotPresent"),
    ("argoVersion=newest", "argoVersion", "pattern"),
    ("argoVersion=4.2", "argoVersion", "pattern"),
    ("argoVersion=v5.0.1", "argoVersion", "pattern"),
    ("certificates.certManager.issuerRef.kind=ClusterIssuer", "certificates.certManager.issuerRef", "name"),
    ("argo.controllerServiceAccount=null", "argo", "controllerServiceAccount"),
    ("argo.deployment=workflow-controller", "argo.deployment", "pattern"),
    ("argo.controllerServiceAccount={it's}", "argo.controllerServiceAccount.0", "pattern"),
    ("crds.install=perhaps", "crds.install", "boolean"),
    ("siblings.enabled=1", "siblings.enabled", "boolean"),
    ("page.hosts={https://queues.example}", "page.hosts.0", "pattern"),
    ("page.deployment.replicas=0", "page.deployment.replicas", "1"),
    ("page.prometheus=prometheus:9090", "page.prometheus", "pattern"),
    ("page.prometheus=http://me:secret@prometheus", "page.prometheus", "pattern"),
    ("fullnameOverride=Traffic", "fullnameOverride", "pattern"),
    ("registration.validating.failurePolicy=Maybe", "registration.validating.failurePolicy", "Ignore"),
    ("registration.validating.timeoutSeconds=31", "registration.validating.timeoutSeconds", "30"),
    ("registration.excludedNamespaces={Payments}", "registration.excludedNamespaces.0", "pattern"),
    ("registration.matchPolicy=Some", "registration.matchPolicy", "Equivalent"),
    ("certificates.mode=magic", "certificates.mode", "certManager"),
    ("certificates.extraNames={a\\,b}", "certificates.extraNames.0", "pattern"),
    ("certificates.extraNames={a b}", "certificates.extraNames.0", "pattern"),
    ("certificates.extraNames={https://a.example}", "certificates.extraNames.0", "pattern"),
    ("certificates.extraNames={10.0.0}", "certificates.extraNames.0", "pattern"),
    ("certificates.secret.caBundle=TUlJQg==", "certificates.secret.caBundle", "pattern"),
    ("certificates.certManager.duration=90d", "certificates.certManager.duration", "pattern"),
    ("networkPolicy.apiServerPorts={0}", "networkPolicy.apiServerPorts.0", "1"),
    ("metrics.prometheusRule.certificateDays=0", "metrics.prometheusRule.certificateDays", "1"),
    # What the templates rely on cannot be taken away.
    ("registration.mutating=null", "registration", "mutating"),
    ("webhook=null", "", "webhook"),
    ("page.deployment=null", "page", "deployment"),
]

TOGETHER: Final = [
    (
        ("certificates.mode=secret",),
        "of type kubernetes.io/tls in the release's namespace, with certificates.secret.name",
    ),
    (
        ("certificates.mode=certManager", "certificates.certManager.duration=1h"),
        "it has to be shorter than duration, which is 1h; a third of it is usual",
    ),
    (
        ("certificates.mode=certManager", "certificates.certManager.renewBefore=2159h59m3600s"),
        "it has to be shorter than duration, which is 2160h; a third of it is usual",
    ),
    (
        ("certificates.mode=certManager", "certificates.certManager.duration=59m59s"),
        "cert-manager makes no certificate of less than 1h",
    ),
    (
        ("certificates.mode=certManager", "certificates.certManager.renewBefore=299s"),
        "cert-manager takes no less than 5m",
    ),
    (
        ("metrics.serviceMonitor.enabled=true", "metrics.serviceMonitor.scrapeTimeout=1m"),
        "Prometheus takes none that is longer than interval, which is 30s",
    ),
    (
        ("webhook.preStopSeconds=60",),
        "it has to be longer than preStopSeconds, or the Pod is killed before it is told to stop",
    ),
    (
        ("controller.podLabels.app\\.kubernetes\\.io/name=mine",),
        "the label app.kubernetes.io/name is the chart's own, objects are found by it: choose another one",
    ),
]

OF_A_DEPLOYMENT: Final = {
    "replicas": ("3",),
    "resources.requests.cpu": ("2",),
    "resources.requests.memory": ("2Gi",),
    "resources.limits.memory": ("2Gi",),
    "podDisruptionBudget.enabled": ("false",),
    "preStopSeconds": ("20",),
    "terminationGracePeriodSeconds": ("50",),
    "priorityClassName": ("high",),
    "topologySpreadConstraints": ("null",),
    "nodeSelector": ("{}", ".a=b"),
    "tolerations": ("{}", "[0].operator=Exists"),
    "affinity": ("{}", ".podAffinity.a=b"),
    "podAnnotations": ("{}", ".a=b"),
    "podLabels": ("{}", ".a=b"),
}
"""Another value for each setting of a Deployment; where a text follows, that is what is set below it."""
CHANGES: Final = {
    "fullnameOverride": ("fullnameOverride=other",),
    "commonLabels": ("commonLabels.a=b",),
    "image.repository": ("image.repository=other",),
    "image.tag": ("image.tag=other",),
    "image.digest": (f"image.digest=sha256:{'a' * 64}",),
    "image.pullPolicy": ("image.pullPolicy=Always",),
    "imagePullSecrets": ("imagePullSecrets[0].name=a",),
    "argoVersion": ("argoVersion=3.6",),
    "argo.controllerServiceAccount": ("argo.controllerServiceAccount={flows:runner}",),
    "argo.serverServiceAccount": ("argo.serverServiceAccount={flows:server}",),
    "argo.deployment": ("argo.deployment=argo/workflow-controller",),
    "semaphores.configMaps": ("semaphores.configMaps={other}",),
    "siblings.enabled": ("siblings.enabled=true",),
    "runAsUser": ("runAsUser=1000",),
    "crds.install": ("crds.install=true",),
    "rbac.aggregate": ("rbac.aggregate=false",),
    "rbac.aggregateQuotas": ("rbac.aggregateQuotas=admin",),
    "rbac.poolReaders": ("rbac.poolReaders[0].kind=Group", "rbac.poolReaders[0].name=team"),
    **{
        f"{component}.{path}": (
            f"{component}.{path}{change[1]}" if len(change) > 1 else f"{component}.{path}={change[0]}",
        )
        for component in ("webhook", "controller", "page.deployment")
        for path, change in OF_A_DEPLOYMENT.items()
    },
    "page.enabled": ("page.enabled=false",),
    "page.hosts": ("page.hosts={queues.example}",),
    "page.tlsSecret": ("page.tlsSecret=page-tls",),
    "page.prometheus": ("page.prometheus=https://prometheus.example/p",),
    "registration.excludedNamespaces": ("registration.excludedNamespaces={a}",),
    "registration.namespaceSelector": ("registration.namespaceSelector.matchLabels.a=b",),
    "registration.objectSelector": ("registration.objectSelector.matchLabels.a=b",),
    "registration.annotations": ("registration.annotations.a=b",),
    "registration.callerToken": ("registration.callerToken=false",),
    "registration.matchPolicy": ("registration.matchPolicy=Exact",),
    **{
        f"registration.{webhook}.{field}": (f"registration.{webhook}.{field}={value}",)
        for webhook, policy in (("mutating", "Fail"), ("validating", "Ignore"), ("policies", "Fail"))
        for field, value in (("failurePolicy", policy), ("timeoutSeconds", "9"))
    },
    "certificates.mode": MODES["certManager"],
    "certificates.extraNames": ("certificates.extraNames={127.0.0.1}",),
    "certificates.certManager.issuerRef": (
        *MODES["certManager"],
        "certificates.certManager.issuerRef.name=a",
    ),
    "certificates.certManager.duration": (*MODES["certManager"], "certificates.certManager.duration=1000h"),
    "certificates.certManager.renewBefore": (
        *MODES["certManager"],
        "certificates.certManager.renewBefore=1h",
    ),
    "certificates.secret.name": ("certificates.mode=secret", "certificates.secret.name=other"),
    "certificates.secret.caBundle": (
        *MODES["secret"],
        "certificates.secret.caBundle=-----BEGIN CERTIFICATE-----",
    ),
    "networkPolicy.enabled": ("networkPolicy.enabled=false",),
    "networkPolicy.webhookFrom": ("networkPolicy.webhookFrom[0].ipBlock.cidr=10.0.0.0/8",),
    "networkPolicy.pageFrom": ("networkPolicy.pageFrom[0].podSelector.matchLabels.a=b",),
    "networkPolicy.metricsFrom": ("networkPolicy.metricsFrom[0].podSelector.matchLabels.a=b",),
    "networkPolicy.apiServerPorts": ("networkPolicy.apiServerPorts={8443}",),
    "metrics.serviceMonitor.enabled": ("metrics.serviceMonitor.enabled=false",),
    "metrics.serviceMonitor.interval": ("metrics.serviceMonitor.interval=1m",),
    "metrics.serviceMonitor.scrapeTimeout": ("metrics.serviceMonitor.scrapeTimeout=5s",),
    "metrics.serviceMonitor.labels": ("metrics.serviceMonitor.labels.a=b",),
    "metrics.dashboards.enabled": ("metrics.dashboards.enabled=true",),
    "metrics.dashboards.labels.grafana_dashboard": (
        "metrics.dashboards.enabled=true",
        "metrics.dashboards.labels.grafana_dashboard=yes",
    ),
    "metrics.dashboards.annotations": (
        "metrics.dashboards.enabled=true",
        "metrics.dashboards.annotations.grafana_folder=Lockkeeper",
    ),
    "metrics.prometheusRule.enabled": ("metrics.prometheusRule.enabled=false",),
    "metrics.prometheusRule.labels": ("metrics.prometheusRule.labels.a=b",),
    "metrics.prometheusRule.certificateDays": ("metrics.prometheusRule.certificateDays=7",),
    "metrics.prometheusRule.stillFor": ("metrics.prometheusRule.stillFor=6h",),
    "metrics.prometheusRule.waitHours": ("metrics.prometheusRule.waitHours=48",),
    "metrics.prometheusRule.runbooks": ("metrics.prometheusRule.runbooks=https://wiki/lockkeeper",),
}


def leaves(value: JsonValue, path: str = "") -> Iterator[str]:
    """Yield the path of every value that is no map with values in it."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else key)
    else:
        yield path


def resolved(schema: JsonValue) -> JsonObject:
    """Return a schema, or the definition that it refers to."""
    assert isinstance(schema, dict)
    reference = schema.get("$ref")
    if isinstance(reference, str):
        definitions = SCHEMA["definitions"]
        assert isinstance(definitions, dict)
        return resolved(definitions[reference.removeprefix("#/definitions/")])
    return schema


def described(schema: JsonValue, path: str = "") -> Iterator[tuple[str, JsonObject]]:
    """Yield every object of a schema with fields of its own, and the path to it."""
    found = resolved(schema)
    properties = found.get("properties")
    if isinstance(properties, dict):
        yield path, found
        for key, inner in properties.items():
            yield from described(inner, f"{path}.{key}" if path else key)
    if "items" in found:
        yield from described(found["items"], f"{path}[]")


def test_the_chart_is_for_the_program_beside_it() -> None:
    """Its appVersion is the tag of the image that is pulled."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_bytes())
    assert (chart["version"], chart["appVersion"]) == (VERSION, VERSION)


def test_the_schema_knows_the_values_that_there_are() -> None:
    """A value that the schema does not have could never be set; one that only it has would do nothing."""
    for path, schema in described(SCHEMA):
        value: JsonValue = VALUES
        for key in path.split(".") if path else ():
            value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, dict) and value:
            properties = schema["properties"]
            assert isinstance(properties, dict)
            assert set(properties) - (set() if path else FOR_CHARTS_ABOVE) == set(value), path


def test_the_schema_takes_no_key_that_it_does_not_name() -> None:
    """A slip of the pen is told at once, and not found out when it was needed."""
    assert [
        path for path, schema in described(SCHEMA) if schema.get("additionalProperties") is not False
    ] == []


def test_the_templates_ask_for_no_value_that_is_not_there() -> None:
    """A template would take it for empty without a word."""
    asked = {
        (path, match)
        for path in (CHART / "templates").rglob("*")
        if path.is_file()
        for match in re.findall(r"\.Values((?:\.[A-Za-z]+)+)", path.read_text(encoding="utf-8"))
    }
    assert asked
    for path, match in sorted(asked):
        value: JsonValue = VALUES
        for key in match.removeprefix(".").split("."):
            assert isinstance(value, dict), f"{path.name}: {match}"
            assert key in value, f"{path.name}: {match}"
            value = value[key]


def test_every_value_has_a_change_that_is_tried_below() -> None:
    """A new value needs a line there."""
    assert set(CHANGES) == set(leaves(VALUES)) - {"webhook.topologySpreadConstraints.0"}


@pytest.mark.e2e
@pytest.mark.parametrize("path", CHANGES)
def test_every_value_changes_what_is_installed(chart: Chart, path: str) -> None:
    """A value that does nothing is a promise that is not kept."""
    change = CHANGES[path]
    before = chart.rendered(*EVERYTHING, *(MODES["certManager"] if "certManager." in path else ()))
    assert chart.rendered(*EVERYTHING, *change).manifests != before.manifests


@pytest.mark.e2e
@pytest.mark.parametrize(("setting", "path", "word"), REFUSED, ids=[case[0] for case in REFUSED])
def test_what_is_unknown_or_wrong_is_refused_with_its_place(
    chart: Chart, setting: str, path: str, word: str
) -> None:
    """The text names the place, and what would be right or which key is meant."""
    done = chart.attempt(WITHOUT_CRDS, setting)
    assert done.returncode != 0
    told = [line for line in done.stderr.splitlines() if line.startswith("- ")]
    assert told, done.stderr
    place = "/" + path.replace(".", "/") if path else ""
    for line in told:
        assert line.startswith((f"- {path or '(root)'}: ", f"- at '{place}': "))
    assert word in told[0]


@pytest.mark.e2e
@pytest.mark.parametrize(("settings", "text"), TOGETHER)
def test_values_that_do_not_go_together_are_refused_in_a_sentence(
    chart: Chart, settings: tuple[str, ...], text: str
) -> None:
    """A schema cannot say it so that a reader understands."""
    done = chart.attempt(WITHOUT_CRDS, *settings)
    assert done.returncode != 0
    assert f" {text}\n" in done.stderr


@pytest.mark.e2e
def test_a_chart_above_this_one_may_share_its_values(chart: Chart) -> None:
    """As a dependency it is given `global`, and often a condition `enabled`."""
    given = chart.rendered(*EVERYTHING, "global.region=eu", "enabled=true")
    assert given.manifests == chart.rendered(*EVERYTHING).manifests
