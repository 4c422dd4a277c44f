"""The rights that the chart's roles grant, one by one: listed, asked for, and taken away for a while."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import product
from typing import Final

import msgspec

from policy.cluster.errors import NotFound
from policy.cluster.kube.kube_cluster import KubeCluster
from policy.cluster.protocol import MergePatch, Resource
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.values.prepared import prepare
from tests.e2e.auditing import Asked
from tests.e2e.charted import GOVERNED, NAMESPACE, RELEASE
from tests.e2e.kubectl import Kubectl
from tests.e2e.product import until

RBAC: Final = "rbac.authorization.k8s.io"
ROLES: Final = Resource(RBAC, "v1", "roles", "Role")
CLUSTER_ROLES: Final = Resource(RBAC, "v1", "clusterroles", "ClusterRole", namespaced=False)
REVIEWS: Final = Resource(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False
)
VIEWER: Final = "viewer"
EDITOR: Final = "editor"
POOL_READER: Final = "pool-reader"
PEOPLE: Final = {f"{RELEASE}-view": VIEWER, f"{RELEASE}-edit": EDITOR}
"""Users that have the roles which become part of the cluster's own, in the namespace GOVERNED."""
POOLS: Final = f"{RELEASE}-pools"
"""The role of who sees pools: they are of the cluster."""
_ACCOUNT: Final = "system:serviceaccount:"
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


class RuleList(msgspec.Struct, frozen=True, rename="camel"):
    """All rules that hold for somebody."""

    resource_rules: tuple[Rule, ...]


class Rights(msgspec.Struct, frozen=True):
    """A SelfSubjectRulesReview."""

    status: RuleList


prepare(Role, Reviewed, Rights)


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
        # To create by name is to apply, and that stands in the audit as a patch.
        verb = "patch" if right.verb == "create" and right.name else right.verb
        return (asked.user, asked.verb, asked.group, asked.resource) == (
            self.user,
            verb,
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


def granted(cluster: KubeCluster, account: str) -> set[Right]:
    """Return what the roles with an account's name grant, whoever's release they are of."""
    found: set[Right] = set()
    for resource, namespace in ((CLUSTER_ROLES, ""), (ROLES, NAMESPACE)):
        with suppress(NotFound):
            role = msgspec.convert(cluster.get(resource, account, namespace=namespace), Role)
            found.update(grant.right for grant in _granted(role))
    return found


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
        "spec": {"user": user, "groups": _groups(user), "resourceAttributes": asked},
    }
    return msgspec.convert(cluster.create(REVIEWS, review), Reviewed).status.allowed


def rights_of(kubectl: Kubectl, account: str, namespace: str) -> set[Right]:
    """Return all that an account of NAMESPACE may in a namespace, as the API server tells it itself."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    who = f"--as={account_name(account)}"
    # To look at the schema takes rights of its own.
    asked = ("create", who, "--validate=false", "-f", "-", "-o", "json")
    said = kubectl.said(*asked, text=json.dumps(review))
    rules = msgspec.json.decode(said, type=Rights).status.resource_rules
    return {right for rule in rules for right in _rights(rule)}


def account_name(account: str) -> str:
    """Return the user name of a ServiceAccount of NAMESPACE."""
    return f"{_ACCOUNT}{NAMESPACE}:{account}"


@contextmanager
def without(cluster: KubeCluster, missed: Callable[[Grant], bool]) -> Iterator[list[Grant]]:
    """Take grants out of the roles while the context lasts, and give those; afterwards they are back."""
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
    user = POOL_READER if name == POOLS else person or account_name(name)
    for rule in role.rules or ():
        for right in _rights(rule, namespace or (GOVERNED if person else "")):
            yield Grant(f"{role.resource.kind} {name}", user, right)


def _rights(rule: Rule, namespace: str = "") -> Iterator[Right]:
    for each in product(rule.verbs, rule.api_groups, rule.resources, rule.resource_names or ("",)):
        yield Right(*each, namespace)


def _groups(user: str) -> list[JsonValue]:
    """Return the groups that everybody is in who comes by this name."""
    kinds = ("serviceaccounts", f"serviceaccounts:{NAMESPACE}") if user.startswith(_ACCOUNT) else ()
    return [f"system:{each}" for each in (*kinds, "authenticated")]


def _alone(right: Right) -> Rule:
    names = (right.name,) if right.name else ()
    return Rule((right.verb,), (right.group,), (right.resource,), names)


def _write(cluster: KubeCluster, role: Role, rules: Iterable[Rule]) -> None:
    written: list[JsonValue] = [msgspec.to_builtins(rule) for rule in rules]
    meta = role.metadata
    cluster.patch(role.resource, meta.name, MergePatch({"rules": written}), namespace=meta.namespace)
