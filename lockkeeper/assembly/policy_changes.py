"""What changed between two readings of a folder of policies, and what is in force now, in a sentence."""

from collections.abc import Mapping, Sequence
from typing import Final

from policy.core.policy_kinds.kinds import Policy
from policy.sources.directory import Loaded
from policy.sources.documents import Document

_MOST_NAMED: Final = 5
"""Names in one part of the sentence; of more only the number is said."""


def policies_of(documents: Sequence[Document]) -> int:
    """Return how many of the documents are policies."""
    return sum(isinstance(each, Policy) for each in documents)


def in_force(documents: Sequence[Document]) -> str:
    """Return how many policies are in force, and what none means."""
    count = policies_of(documents)
    if not count:
        return "0 policies: nothing is governed"
    return "1 policy is in force" if count == 1 else f"{count} policies are in force"


def policy_changes(before: Loaded, after: Loaded) -> str:
    """Return which documents came, went and changed, and how many policies are in force now."""
    old = _by_name(before.documents)
    new = _by_name(after.documents)
    parts = [
        _part("new", [name for name in new if name not in old]),
        _part("gone", [name for name in old if name not in new]),
        _part("changed", [name for name, each in new.items() if name in old and old[name] != each]),
    ]
    told = "; ".join(part for part in parts if part) or "nothing that counts changed"
    return f"{in_force(after.documents)} ({told})"


def _by_name(documents: Sequence[Document]) -> Mapping[str, Document]:
    return {_name_of(each): each for each in documents}


def _name_of(document: Document) -> str:
    kind = getattr(document, "kind", "") or type(document).__name__.removesuffix("Object")
    name, namespace = document.metadata.name, document.metadata.namespace
    scoped = kind.startswith("Cluster") or kind == "Namespace" or not namespace
    return f"{kind} {name}" if scoped else f"{kind} {namespace}/{name}"


def _part(what: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    shown = ", ".join(sorted(names)[:_MOST_NAMED])
    more = len(names) - _MOST_NAMED
    return f"{what}: {shown} and {more} more" if more > 0 else f"{what}: {shown}"
