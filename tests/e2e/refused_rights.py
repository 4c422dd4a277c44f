"""Rights that no account of a release has, and some that one of them has in another mode only."""

from collections.abc import Iterator
from typing import Final

from tests.e2e.charted import GOVERNED, NAMESPACE
from tests.e2e.grants import RBAC, Right

_OURS: Final = "lockkeeper.dev"
_REGISTRATION: Final = "admissionregistration.k8s.io"
_CONFIGURATIONS: Final = ("mutatingwebhookconfigurations", "validatingwebhookconfigurations")
_POLICIES: Final = (
    "workflowquotas",
    "clusterworkflowquotas",
    "synchronizationpolicies",
    "clustersynchronizationpolicies",
)
_WRITES: Final = ("create", "update", "patch", "delete", "deletecollection")
_EVERYTHING: Final = ("get", "list", "watch", *_WRITES)


def refused_to_all(name: str) -> Iterator[Right]:
    """Yield what none of the accounts may, of a release with this name."""
    yield Right("*", "*", "*")
    yield from _of_secrets(name)
    for verb in ("create", "update", "deletecollection"):
        yield Right(verb, "argoproj.io", "workflows", namespace=GOVERNED)
    for resource in ("workflowtemplates", "clusterworkflowtemplates", "cronworkflows"):
        yield from (Right(verb, "argoproj.io", resource, namespace=GOVERNED) for verb in _WRITES)
    for resource in ("pods", "pods/exec", "pods/log", "services", "events", "persistentvolumes"):
        yield from (Right(verb, "", resource) for verb in _EVERYTHING)
    yield from (Right(verb, "", "nodes") for verb in ("get", *_WRITES))
    for resource in ("namespaces", "configmaps"):
        yield from (Right(verb, "", resource) for verb in _WRITES)
    yield from _that_lead_to_more()
    for resource in _CONFIGURATIONS:
        yield from (each for verb in _EVERYTHING if (each := _of_others(verb, resource)) != _LIST_OF_OTHERS)
        yield from (Right(verb, _REGISTRATION, resource, name) for verb in ("create", "update", "delete"))
    for resource in _POLICIES:
        yield from (Right(verb, _OURS, resource) for verb in _WRITES)
        yield from (Right(verb, _OURS, f"{resource}/status") for verb in ("update", "delete"))
    yield from (Right(verb, _OURS, "quotaledgers") for verb in ("watch", "patch", "delete"))
    yield from (Right(verb, _OURS, "runlengths") for verb in ("list", "watch", "update", "delete"))
    for resource in ("deployments", "daemonsets", "statefulsets"):
        yield from (Right(verb, "apps", resource, namespace=NAMESPACE) for verb in _EVERYTHING)
    for verb in ("get", "update"):
        yield Right(verb, "coordination.k8s.io", "leases", "somebody-elses", NAMESPACE)
        yield Right(verb, "coordination.k8s.io", "leases", f"{name}-controller", "kube-system")
    yield Right("delete", "coordination.k8s.io", "leases", f"{name}-controller", NAMESPACE)
    yield Right("create", "coordination.k8s.io", "leases", namespace="kube-system")


def _of_others(verb: str, resource: str) -> Right:
    return Right(verb, _REGISTRATION, resource, "somebody-elses")


_LIST_OF_OTHERS: Final = _of_others("list", "mutatingwebhookconfigurations")
"""The check alone lists those: what changes Workflows after us."""


def refused_to_webhook(name: str) -> Iterator[Right]:
    """Yield what the controller alone may: whoever is asked by users changes nothing but ledgers."""
    for verb in ("watch", *_WRITES):
        yield Right(verb, "argoproj.io", "workflows", namespace=GOVERNED)
    for resource in _POLICIES:
        yield Right("patch", _OURS, f"{resource}/status")
    for resource in _CONFIGURATIONS:
        yield from (Right(verb, _REGISTRATION, resource, name) for verb in _EVERYTHING if verb != "get")
    for verb in ("get", "create", "update"):
        yield Right(verb, "coordination.k8s.io", "leases", f"{name}-controller", NAMESPACE)
    yield Right("create", "", "secrets", namespace=NAMESPACE)
    yield from (Right(verb, _OURS, "quotaledgers") for verb in ("list", "create"))
    yield from (Right(verb, _OURS, "runlengths", "lockkeeper") for verb in ("get", "create", "patch"))
    yield from (Right(verb, "", "nodes") for verb in ("list", "watch"))
    yield _LIST_OF_OTHERS


def refused_to_controller() -> Iterator[Right]:
    """Yield what it has no use for, though others have."""
    yield _LIST_OF_OTHERS
    for resource in _POLICIES:
        yield Right("get", _OURS, resource)


def _of_secrets(name: str) -> Iterator[Right]:
    for verb in _EVERYTHING:
        yield Right(verb, "", "secrets", f"{name}-certs", "kube-system")
        yield Right(verb, "", "secrets", namespace=GOVERNED)
        if verb != "create":  # It cannot be bound to a name: what asks has none yet.
            yield Right(verb, "", "secrets", "somebody-elses", NAMESPACE)
            yield Right(verb, "", "secrets", namespace=NAMESPACE)
    for verb in ("list", "watch", "patch", "delete"):
        yield Right(verb, "", "secrets", f"{name}-certs", NAMESPACE)


def _that_lead_to_more() -> Iterator[Right]:
    for resource in ("roles", "clusterroles", "rolebindings", "clusterrolebindings"):
        yield from (Right(verb, RBAC, resource) for verb in (*_EVERYTHING, "escalate", "bind"))
    for resource in ("users", "groups", "serviceaccounts"):
        yield Right("impersonate", "", resource)
    yield Right("create", "", "serviceaccounts/token", namespace=NAMESPACE)
    yield Right("create", "", "pods/ephemeralcontainers", namespace=NAMESPACE)
    yield Right("create", "authentication.k8s.io", "tokenreviews")
    yield Right("create", "authorization.k8s.io", "subjectaccessreviews")
    yield Right("approve", "certificates.k8s.io", "signers")
    yield Right("sign", "certificates.k8s.io", "signers")
