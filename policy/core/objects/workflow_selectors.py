"""Selectors of Workflows: by labels, and by what a Workflow refers to.

What it refers to is no label: it is in the spec and in the owner references. Admission writes it into
annotations (`well_known.REFERS_TO`, `STARTED_BY`), and `hold.original_labels` has these as labels under the
same keys, whose values hold a slash and so cannot be those of any real label.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from policy.core.objects import well_known
from policy.core.objects.label_selectors import Labels, LabelSelector
from policy.core.objects.template_keys import ObjectKind
from policy.core.values.problems import Problem, too_many

MAX_REFERENCES: Final = 64
_MAX_NAME: Final = 253


class References(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The templates and CronWorkflows of which a Workflow has to refer to one, by name."""

    workflow_templates: tuple[str, ...] = ()
    cluster_workflow_templates: tuple[str, ...] = ()
    cron_workflows: tuple[str, ...] = ()

    def matches(self, labels: Labels) -> bool:
        """Return whether a Workflow with these labels refers to one of them."""
        kind, _, name = labels.get(well_known.REFERS_TO, "").partition("/")
        if name and name in (
            self.workflow_templates
            if kind == ObjectKind.WORKFLOW_TEMPLATE
            else self.cluster_workflow_templates
        ):
            return True
        _, _, cron = labels.get(well_known.STARTED_BY, "").partition("/")
        return bool(cron) and cron in self.cron_workflows

    def problems(self, path: str) -> Iterator[Problem]:
        """Yield what the CRDs refuse: no name at all, too many, or no name of an object."""
        lists = {
            "workflowTemplates": self.workflow_templates,
            "clusterWorkflowTemplates": self.cluster_workflow_templates,
            "cronWorkflows": self.cron_workflows,
        }
        if not any(lists.values()):
            yield Problem(path, f"names nothing, so it selects no Workflow: give one of {', '.join(lists)}")
        for field, names in lists.items():
            yield from too_many(names, MAX_REFERENCES, f"{path}.{field}")
            for index, name in enumerate(names[:MAX_REFERENCES]):
                if not 0 < len(name) <= _MAX_NAME:
                    message = f"must be the name of an object, 1 to {_MAX_NAME} characters"
                    yield Problem(f"{path}.{field}[{index}]", message)


class WorkflowSelector(LabelSelector, frozen=True, rename="camel", omit_defaults=True):
    """A selector of Workflows; the empty one matches all."""

    match_references: References | None = None

    @property
    def selects_all(self) -> bool:
        """Whether it matches every Workflow."""
        return self.match_references is None and not (self.match_labels or self.match_expressions)

    def matches(self, labels: Labels) -> bool:
        """Return whether every part of the selector holds for the labels."""
        if self.match_references is not None and not self.match_references.matches(labels):
            return False
        return LabelSelector.matches(self, labels)

    def keys(self) -> list[str]:
        """Return the labels that it requires, and those of what it selects by beside them."""
        found = LabelSelector.keys(self)
        return found if self.match_references is None else [*found, *well_known.REFERENCES]

    def problems(self, path: str) -> list[Problem]:
        """Return what the CRDs refuse."""
        found = LabelSelector.problems(self, path)
        if self.match_references is not None:
            found += self.match_references.problems(f"{path}.matchReferences")
        return found


EVERY_WORKFLOW: Final = WorkflowSelector()
