"""The Deployment that the tests of the podrunner run: `sample_server.py`, with all that a Pod of ours has."""

import sys
from pathlib import Path
from typing import Final

from policy.cluster.kube.kube_cluster import KubeCluster
from policy.cluster.protocol import CONFIG_MAPS, NAMESPACES, Resource
from policy.core.objects.json_patch import JsonObject, JsonValue
from tests.e2e.podrunner.api import SECRETS, SERVICES
from tests.e2e.podrunner.launch import DEPLOYMENTS

NAMESPACE: Final = "sample"
NAME: Final = "server"
USER: Final = 65532
PORT: Final = 8080
ACCOUNTS: Final = Resource("", "v1", "serviceaccounts", "ServiceAccount")
LABELS: Final[JsonObject] = {"app.kubernetes.io/name": "lockkeeper", "app.kubernetes.io/component": "sample"}
SELECTOR: Final = "app.kubernetes.io/component=sample"
_SCRIPT: Final = Path(__file__).with_name("sample_server.py")


def settings(*, ready: bool = True, alive: bool = True) -> JsonObject:
    """Return the ConfigMap by which a test says how the server answers its probes."""
    return {
        "apiVersion": "v1",
        "kind": CONFIG_MAPS.kind,
        "metadata": {"name": "settings", "namespace": NAMESPACE},
        "data": {"ready": "yes" if ready else "no", "alive": "yes" if alive else "no"},
    }


def secret(value: str) -> JsonObject:
    """Return the Secret that is mounted, and is in the environment."""
    return {
        "apiVersion": "v1",
        "kind": SECRETS.kind,
        "metadata": {"name": "secret", "namespace": NAMESPACE},
        "stringData": {"word": value},
    }


def container(*arguments: str) -> JsonObject:
    """Return the container; it serves on the Pod's own address."""
    probe: JsonObject = {"periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": 1}
    return {
        "name": "server",
        "image": "lockkeeper:test",
        "command": [sys.executable, "/script/sample_server.py", "$(POD_IP)", str(PORT)],
        "args": list(arguments),
        "env": [
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "secret", "key": "word"}}},
            {"name": "SENTENCE", "value": "the word is $(WORD), not $$(WORD)"},
            {"name": "VERSION", "value": "1"},
        ],
        "ports": [{"name": "http", "containerPort": PORT}],
        "startupProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1, "failureThreshold": 30},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, **probe},
        "livenessProbe": {"httpGet": {"path": "/livez", "port": "http"}, **probe},
        "lifecycle": {"preStop": {"sleep": {"seconds": 1}}},
        "securityContext": {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "script", "mountPath": "/script"},
            {"name": "settings", "mountPath": "/settings"},
            {"name": "secret", "mountPath": "/etc/secret"},
            {"name": "space", "mountPath": "/tmp"},  # noqa: S108 - the container's own
        ],
    }


def deployment(
    *, name: str = NAME, replicas: int = 1, container: JsonObject, grace: int = 10, **spec: JsonValue
) -> JsonObject:
    """Return the Deployment; never fewer Pods than wanted, also in a roll-out."""
    labels: JsonObject = {**LABELS, "app": name}
    return {
        "apiVersion": DEPLOYMENTS.api_version,
        "kind": DEPLOYMENTS.kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "serviceAccountName": "sample",
                    "terminationGracePeriodSeconds": grace,
                    "securityContext": {"runAsUser": USER, "runAsGroup": USER, "runAsNonRoot": True},
                    "containers": [container],
                    "volumes": [
                        {"name": "script", "configMap": {"name": "script"}},
                        {"name": "settings", "configMap": {"name": "settings"}},
                        {"name": "secret", "secret": {"secretName": "secret"}},
                        {"name": "space", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
                    ],
                    **spec,
                },
            },
        },
    }


def service(*, name: str = NAME) -> JsonObject:
    """Return the Service of a Deployment."""
    return {
        "apiVersion": "v1",
        "kind": SERVICES.kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"selector": {"app": name}, "ports": [{"name": "web", "port": 80, "targetPort": "http"}]},
    }


def prepare_namespace(cluster: KubeCluster) -> None:
    """Create all that the Deployment refers to."""
    cluster.apply(
        NAMESPACES,
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        field_manager="tests",
    )
    account: JsonObject = {
        "apiVersion": "v1",
        "kind": ACCOUNTS.kind,
        "metadata": {"name": "sample", "namespace": NAMESPACE},
    }
    script: JsonObject = {
        "apiVersion": "v1",
        "kind": CONFIG_MAPS.kind,
        "metadata": {"name": "script", "namespace": NAMESPACE},
        "data": {_SCRIPT.name: _SCRIPT.read_text()},
    }
    for resource, obj in (
        (ACCOUNTS, account),
        (CONFIG_MAPS, script),
        (CONFIG_MAPS, settings()),
        (SECRETS, secret("first")),
    ):
        cluster.apply(resource, obj, field_manager="tests", force=True)
