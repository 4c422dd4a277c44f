"""The templates of the cluster as reviews look them up, and what is known of their locks in each namespace.

A library follows another when templates change: what did not is kept, with all that was found about it.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from policy.core.budget import UNBOUNDED, Budget
from policy.core.locks.index import Entry, NamespaceIndex, following, index_of
from policy.core.locks.runs import FindOwner, TemplateOwner, template_owner
from policy.core.template_keys import TemplateKey, key_of
from policy.core.workflow import WorkflowSpec


class Library(msgspec.Struct, frozen=True, eq=False):
    """All templates; those of them that were looked up so far, and the namespaces that were asked about.

    `begun` has what was found out of a namespace by reviews whose time was over before all was known.
    """

    templates: Mapping[TemplateKey, WorkflowSpec]
    owners: dict[TemplateKey, TemplateOwner]
    indexes: dict[str, NamespaceIndex]
    begun: dict[str, dict[TemplateKey, Entry]] = {}

    def owner(self, key: TemplateKey) -> TemplateOwner | None:
        """Return a template object, or None where there is none of this name."""
        found = self.owners.get(key)
        if found is None and (spec := self.templates.get(key)) is not None:
            found = self.owners[key] = template_owner(key.kind, key.name, spec)
        return found

    def find(self, namespace: str) -> FindOwner:
        """Return how references are looked up in a namespace."""
        return lambda ref: self.owner(key_of(ref, namespace))

    def index(self, namespace: str, budget: Budget = UNBOUNDED) -> NamespaceIndex:
        """Return what is known of a namespace's templates together, found out at the first time."""
        found = self.indexes.get(namespace)
        if found is None:
            begun = self.begun.setdefault(namespace, {})
            found = index_of(namespace, self.templates, self.owner, begun, budget)
            self.indexes[namespace] = found
            self.begun.pop(namespace, None)
        return found


NO_LIBRARY: Final = Library({}, {}, {})


def library_of(templates: Mapping[TemplateKey, WorkflowSpec], before: Library | None = None) -> Library:
    """Return the library of these templates; with the one before, only what changed is looked at anew."""
    if before is None:
        return Library(templates, {}, {})
    known = before.templates
    changed = {
        key
        for key, spec in templates.items()
        if (old := known.get(key)) is not spec and old != spec  # Mostly it is the same object.
    }
    changed.update(key for key in known if key not in templates)
    owners = list(before.owners.items())  # Reviews add to it meanwhile.
    library = Library(templates, {key: owner for key, owner in owners if key not in changed}, {})
    for namespace, index in list(before.indexes.items()):
        stale = frozenset(changed)
        library.indexes[namespace] = following(index, stale, library.owner) if stale else index
    return library
