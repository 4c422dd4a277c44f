"""The rights that the chart's roles grant, one by one: listed, asked for, and taken away for a while."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import product
from typing import Final

import msgspec

from policy.cluster.kube import KubeCluster
from policy.cluster.protocol import MergePatch, Resource
from policy.core.patches import JsonObject, JsonValue
from policy.core.prepared import prepare
from tests.e2e.auditing import Asked
from tests.e2e.charted import GOVERNED, NAMESPACE, RELEASE
from tests.e2e.product import until

RBAC: Final = "rbac.authorization.k8s.io"
ROLES: Final = Resource(RBAC, "v1", "roles", "Role")
CLUSTER_ROLES: Final = Resource(RBAC, "v1", "clusterroles", "ClusterRole", namespaced=False)
REVIEWS: Final = Resource(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False
)
VIEWER: Final = "viewer"
EDITOR: Final = "editor"
PEOPLE: Final = {f"{RELEASE}-view": VIEWER, f"{RELEASE}-edit": EDITOR}
"""Users that have the roles which the cluster's own are put together from; the tests bind those in GOVERNED."""
_OF_RELEASE: Final = f"app.kubernetes.io/instance={RELEASE}"


class Metadata(msgspec.Struct, frozen=True):
    """The name of a role."""

    name: str
    namespace: str = ""


class Rule(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One rule of a role."""

    verbs: tuple[str, ...]
    api_groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    resource_names: tuple[str, ...] = ()


class Role(msgspec.Struct, frozen=True):
    """A Role, or a ClusterRole."""

    metadata: Metadata
    rules: tuple[Rule, ...] | None = None

    @property
    def resource(self) -> Resource:
        """Which of the two it is."""
        return ROLES if self.metadata.namespace else CLUSTER_ROLES


class Review(msgspec.Struct, frozen=True):
    """What came of a SubjectAccessReview."""

    allowed: bool


class Reviewed(msgspec.Struct, frozen=True):
    """A SubjectAccessReview."""

    status: Review


prepare(Role, Reviewed)


class Right(msgspec.Struct, frozen=True, order=True):
    """A verb on a resource; without a name on all of them, without a namespace in all of them."""

    verb: str
    group: str
    resource: str
    name: str = ""
    namespace: str = ""

    def __str__(self) -> str:
        what = f"{self.resource}.{self.group}" if self.group else self.resource
        where = f" in {self.namespace}" if self.namespace else ""
        return " ".join(filter(None, (self.verb, what, self.name))) + where


class Grant(msgspec.Struct, frozen=True, order=True):
    """One right that one role grants, and the user that has it by this role."""

    role: str
    user: str
    right: Right

    def __str__(self) -> str:
        return f"{self.role} grants {self.right}"

    def allows(self, asked: Asked) -> bool:
        """Tell whether a request needed it."""
        right = self.right
        return (asked.user, asked.verb, asked.group, asked.resource) == (
            self.user,
            right.verb,
            right.group,
            right.resource,
        ) and all(
            wanted in ("", found)
            for wanted, found in ((right.name, asked.name), (right.namespace, asked.namespace))
        )

    @property
    def refusal(self) -> str:
        """The words in which the API server says that it is missed."""
        right = self.right
        return f'"{self.user}" cannot {right.verb} resource "{right.resource}" in API group "{right.group}"'


def roles(cluster: KubeCluster) -> list[Role]:
    """Return the roles of the release."""
    items = (
        *cluster.list(CLUSTER_ROLES, labels=_OF_RELEASE).items,
        *cluster.list(ROLES, labels=_OF_RELEASE).items,
    )
    return [msgspec.convert(item, Role) for item in items]


def grants(cluster: KubeCluster) -> list[Grant]:
    """Return all that the release grants."""
    return [grant for role in roles(cluster) for grant in _granted(role)]


def may(cluster: KubeCluster, user: str, right: Right) -> bool:
    """Ask the API server whether a user has a right."""
    resource, _, subresource = right.resource.partition("/")
    asked: JsonObject = {
        "verb": right.verb,
        "group": right.group,
        "resource": resource,
        "subresource": subresource,
        "name": right.name,
        "namespace": right.namespace,
    }
    review: JsonObject = {
        "apiVersion": REVIEWS.api_version,
        "kind": REVIEWS.kind,
        "spec": {"user": user, "resourceAttributes": asked},
    }
    return msgspec.convert(cluster.create(REVIEWS, review), Reviewed).status.allowed


@contextmanager
def without(cluster: KubeCluster, missed: Callable[[Grant], bool]) -> Iterator[list[Grant]]:
    """Take grants out of the roles while the context lasts, and give those; the roles are whole afterwards."""
    before = roles(cluster)
    taken = [grant for role in before for grant in _granted(role) if missed(grant)]
    assert taken, "no role grants such a thing"
    touched = [role for role in before if any(missed(grant) for grant in _granted(role))]
    try:
        for role in touched:
            _write(cluster, role, [_alone(grant.right) for grant in _granted(role) if not missed(grant)])
        until(lambda: not any(_has(cluster, each) for each in taken), "rights are there without their grants")
        yield taken
    finally:
        for role in touched:
            _write(cluster, role, role.rules or ())
        until(lambda: all(_has(cluster, each) for each in taken), "rights did not come back")


def _has(cluster: KubeCluster, grant: Grant) -> bool:
    return may(cluster, grant.user, grant.right)


def _granted(role: Role) -> Iterator[Grant]:
    """Yield every right of a role, one verb on one resource of one name each."""
    name, namespace = role.metadata.name, role.metadata.namespace
    person = PEOPLE.get(name)
    user = person or f"system:serviceaccount:{NAMESPACE}:{name}"
    for rule in role.rules or ():
        for each in product(rule.verbs, rule.api_groups, rule.resources, rule.resource_names or ("",)):
            right = Right(*each, namespace or (GOVERNED if person else ""))
            yield Grant(f"{role.resource.kind} {name}", user, right)


def _alone(right: Right) -> Rule:
    names = (right.name,) if right.name else ()
    return Rule((right.verb,), (right.group,), (right.resource,), names)


def _write(cluster: KubeCluster, role: Role, rules: Iterable[Rule]) -> None:
    written: list[JsonValue] = [msgspec.to_builtins(rule) for rule in rules]
    meta = role.metadata
    cluster.patch(role.resource, meta.name, MergePatch({"rules": written}), namespace=meta.namespace)
