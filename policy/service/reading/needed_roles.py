"""Which role gives the right that somebody lacks, and which installation has the kind that is not there.

The API server says which verb on which resource was refused; who may give it is known here, from the roles of
the chart and of Argo. Roles are named as an install with the release name `lockkeeper` has them.
"""

import re
from typing import Final

from policy.cluster.errors import ClusterError, Forbidden, NotFound
from policy.cluster.protocol import WORKFLOWS, Resource

_REFUSED: Final = re.compile(r'cannot (?P<verb>\w+) resource "(?P<resource>[\w/]+)"')
_READ: Final = frozenset({"get", "list", "watch"})
_POOLS: Final = (
    "the ClusterRole lockkeeper-pools (rbac.poolReaders in the values of the chart) gives that right"
)
_ADMINISTRATORS: Final = "only administrators of the cluster have that right"
_IN_ROLE: Final = "the ClusterRole {} gives that right, and so does the role {} of a namespace"
_READERS: Final = {
    "clusterworkflowquotas": _POOLS,
    "runlengths": _POOLS,
    "workflowquotas": _IN_ROLE.format("lockkeeper-view", "view"),
    "synchronizationpolicies": _IN_ROLE.format("lockkeeper-view", "view"),
    "workflows": _IN_ROLE.format("argo-aggregate-to-view of Argo", "view"),
    "quotaledgers": _ADMINISTRATORS,
}
_WRITERS: Final = {
    "clusterworkflowquotas": _ADMINISTRATORS,
    "workflowquotas": "the ClusterRole lockkeeper-quotas gives that right to whom rbac.aggregateQuotas says",
    "synchronizationpolicies": _IN_ROLE.format("lockkeeper-edit", "edit"),
    "workflows": _IN_ROLE.format("argo-aggregate-to-edit of Argo", "edit"),
}


def with_role(error: Forbidden) -> str:
    """Return the sentence of an error, with the role that gives what it lacks where that is known."""
    found = _REFUSED.search(error.message)
    if found is None:
        return error.message
    roles = _READERS if found["verb"] in _READ else _WRITERS
    role = roles.get(found["resource"].partition("/")[0])
    return error.message if role is None or role in error.message else f"{error.message}; {role}"


def missing_kind(resource: Resource, error: NotFound) -> ClusterError:
    """Return an error that says what is not installed where the cluster does not know a kind."""
    product = "Argo Workflows" if resource == WORKFLOWS else "Lockkeeper"
    return ClusterError(
        f"it has no kind {resource.kind} of {resource.api_version}: {product} is not installed, or another "
        f"version of it; lockkeeper check tells more ({error.message})"
    )
