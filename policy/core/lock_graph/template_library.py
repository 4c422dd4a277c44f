"""The templates of the cluster as reviews look them up, and what is known of their locks in each namespace.

A library follows another when templates change: what did not is kept, with all that was found about it.
"""

from collections.abc import Mapping
from typing import Final

from policy.core.lock_graph.namespace_index import Entry, NamespaceIndex, following, index_of
from policy.core.lock_graph.run_sources import FindOwner, TemplateOwner, template_owner
from policy.core.objects.template_keys import TemplateKey, key_of
from policy.core.objects.workflow import WorkflowSpec
from policy.core.values.budget import UNBOUNDED, Budget
from policy.core.values.memo import Memo


class Library:
    """All templates, which stay as they are, and what was found out about them so far.

    That is who was looked up (`homes`), and what is known of namespaces that were asked about (`indexes`).
    `begun` has what was found out of a namespace by reviews whose time was over before all was known. The
    library owns all three; they are bounded by the templates and by the namespaces with lock policies.
    """

    def __init__(self, templates: Mapping[TemplateKey, WorkflowSpec]) -> None:
        self.templates = templates
        self.owners: Memo[TemplateKey, TemplateOwner] = Memo()
        self.indexes: Memo[str, NamespaceIndex] = Memo()
        self.begun: Memo[str, dict[TemplateKey, Entry]] = Memo()

    def owner(self, key: TemplateKey) -> TemplateOwner | None:
        """Return a template object, or None where there is none of this name."""
        found = self.owners.get(key)
        if found is None and (spec := self.templates.get(key)) is not None:
            found = self.owners.keep(key, template_owner(key.kind, key.name, spec))
        return found

    def find(self, namespace: str) -> FindOwner:
        """Return how references are looked up in a namespace."""
        return lambda ref: self.owner(key_of(ref, namespace))

    def index(self, namespace: str, budget: Budget = UNBOUNDED) -> NamespaceIndex:
        """Return what is known of a namespace's templates together, found out at the first time."""
        found = self.indexes.get(namespace)
        if found is None:
            begun = self.begun.get_or(namespace, dict)
            found = index_of(namespace, self.templates, self.owner, begun, budget)
            self.indexes.keep(namespace, found)
            self.begun.forget(namespace)
        return found


NO_LIBRARY: Final = Library({})


def library_of(templates: Mapping[TemplateKey, WorkflowSpec], before: Library | None = None) -> Library:
    """Return the library of these templates; with the one before, only what changed is looked at anew."""
    library = Library(templates)
    if before is None:
        return library
    known = before.templates
    changed = {
        key
        for key, spec in templates.items()
        if (old := known.get(key)) is not spec and old != spec  # Mostly it is the same object.
    }
    changed.update(key for key in known if key not in templates)
    for key, owner in before.owners.items():
        if key not in changed:
            library.owners.keep(key, owner)
    stale = frozenset(changed)
    for namespace, index in before.indexes.items():
        library.indexes.keep(namespace, following(index, stale, library.owner) if stale else index)
    return library
