"""Who writes Workflows for whom: Argo's own accounts, ours, and the user whom a Workflow counts for."""

import hashlib
from typing import Final

import msgspec

from policy.core.objects import well_known
from policy.core.objects.label_selectors import Labels

LONGEST_USER: Final = 400
"""Characters of a user's name that are written down; that of a ServiceAccount has 338 at most."""
SERVICE_ACCOUNT: Final = "system:serviceaccount:"
_BELIEVED: Final = (well_known.CREATOR_EMAIL, well_known.CREATOR_NAME, well_known.CREATOR)
"""Labels of argo-server that name a person, the one that people read most easily first."""


def user_of(text: str) -> str:
    """Return Kubernetes' name of a user: `namespace:name` is a ServiceAccount, others are kept as they are.

    Raises:
        ValueError: it is empty, or half of a ServiceAccount.
    """
    namespace, colon, name = text.partition(":")
    if not text or (colon and not (namespace and name)):
        raise ValueError(f"{text!r} is no account: give NAMESPACE:NAME of a ServiceAccount, or a user's name")
    return f"{SERVICE_ACCOUNT}{text}" if colon and ":" not in name else text


class Identities(msgspec.Struct, frozen=True):
    """The exact users whose writes mean more than others': our controller, Argo's controller, argo-server."""

    ours: frozenset[str] = frozenset()
    argo_controllers: frozenset[str] = frozenset({f"{SERVICE_ACCOUNT}argo:argo"})
    argo_servers: frozenset[str] = frozenset({f"{SERVICE_ACCOUNT}argo:argo-server"})


UPSTREAM: Final = Identities()
"""As Argo's own manifests install it."""


def requester(user: str, labels: Labels, identities: Identities) -> str:
    """Return whom a Workflow counts for: the user who sends it.

    argo-server sends for a person whom it has authenticated and writes into labels. Any other user could
    write these labels too, so they are trusted from no other user. What a CronWorkflow creates counts for
    Argo's controller, because the labels of a CronWorkflow are copied and any user may have written them; a
    Sensor of Argo Events counts by its ServiceAccount.
    """
    if user in identities.argo_servers:
        for label in _BELIEVED:
            if person := labels.get(label):
                return person
    return user if len(user) <= LONGEST_USER else _shortened(user)


def _shortened(user: str) -> str:
    """Return a name of bounded length for a longer one, still unique.

    It is written into ledgers, which hold it once for each Workflow.
    """
    digest = hashlib.blake2b(user.encode(errors="replace"), digest_size=16).hexdigest()
    return f"{user[: LONGEST_USER - len(digest) - 1]}~{digest}"
