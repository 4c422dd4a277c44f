"""The templates of the cluster as the graph looks them up: each numbered by name once, at its first use."""

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from policy.core.decision import ObjectKind
from policy.core.locks.runs import Find, Home, home_of
from policy.core.workflow import TemplateRef, WorkflowSpec

TemplateKey: TypeAlias = tuple[str, str]
"""Namespace and name of a WorkflowTemplate; the namespace of a ClusterWorkflowTemplate is empty."""


class Library(msgspec.Struct, frozen=True, eq=False):
    """All templates, and those of them that were looked up so far."""

    templates: Mapping[TemplateKey, WorkflowSpec]
    homes: dict[TemplateKey, Home]

    def home(self, key: TemplateKey) -> Home | None:
        """Return a template object, or None where there is none of this name."""
        found = self.homes.get(key)
        if found is None and (spec := self.templates.get(key)) is not None:
            namespace, name = key
            kind = ObjectKind.WORKFLOW_TEMPLATE if namespace else ObjectKind.CLUSTER_WORKFLOW_TEMPLATE
            found = self.homes[key] = home_of(kind, name, spec)
        return found

    def find(self, namespace: str) -> Find:
        """Return how references are looked up in a namespace."""

        def find(ref: TemplateRef) -> Home | None:
            return self.home(("" if ref.cluster_scope else namespace, ref.name or ""))

        return find
