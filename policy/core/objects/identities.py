"""Argo's accounts and ours, and the user for whom a Workflow counts."""

import hashlib
from typing import Final

import msgspec

from policy.core.objects import well_known
from policy.core.objects.label_selectors import Labels

LONGEST_USER: Final = 400
"""Characters of a user name that are stored; the name of a ServiceAccount has 338 at most."""
SERVICE_ACCOUNT: Final = "system:serviceaccount:"
_CREATOR_LABELS: Final = (well_known.CREATOR_EMAIL, well_known.CREATOR_NAME, well_known.CREATOR)
"""Labels of argo-server that name a person; the most readable one is first."""


def user_of(text: str) -> str:
    """Return the Kubernetes name of a user: `namespace:name` is a ServiceAccount, other names do not change.

    Raises:
        ValueError: it is empty, or an incomplete ServiceAccount.
    """
    namespace, colon, name = text.partition(":")
    if not text or (colon and not (namespace and name)):
        raise ValueError(f"{text!r} is no account: give NAMESPACE:NAME of a ServiceAccount, or a user's name")
    return f"{SERVICE_ACCOUNT}{text}" if colon and ":" not in name else text


class Identities(msgspec.Struct, frozen=True):
    """The exact users whose writes have a special meaning: our controller, Argo's controller, argo-server."""

    ours: frozenset[str] = frozenset()
    argo_controllers: frozenset[str] = frozenset({f"{SERVICE_ACCOUNT}argo:argo"})
    argo_servers: frozenset[str] = frozenset({f"{SERVICE_ACCOUNT}argo:argo-server"})


UPSTREAM: Final = Identities()
"""The users in Argo's own manifests."""


def requester(user: str, labels: Labels, identities: Identities) -> str:
    """Return the user for whom a Workflow counts: the one who sends it.

    argo-server sends it for a person whom it has authenticated and writes into labels. Any user can write
    these labels, so they are trusted from argo-server alone. What a CronWorkflow creates counts for Argo's
    controller, because its labels are copied from the CronWorkflow and any user may have written them; what a
    Sensor of Argo Events creates counts for its ServiceAccount.
    """
    if user in identities.argo_servers:
        for label in _CREATOR_LABELS:
            if person := labels.get(label):
                return person
    if len(user) <= LONGEST_USER:
        return user
    # Ledgers store the name once for each Workflow, so a long one is shortened, and stays unique.
    digest = hashlib.blake2b(user.encode(errors="replace"), digest_size=16).hexdigest()
    return f"{user[: LONGEST_USER - len(digest) - 1]}~{digest}"
