"""What a command acts on: `workflow/NAME` or NAME, `quota/NAME`, `pool/NAME`."""

from enum import StrEnum
from typing import Final

import msgspec

from policy.cluster.protocol import CLUSTER_WORKFLOW_QUOTAS, WORKFLOW_QUOTAS, WORKFLOWS, Resource


class TargetKind(StrEnum):
    """The kinds that can be held and resumed."""

    WORKFLOW = "workflow"
    QUOTA = "quota"
    POOL = "pool"


_RESOURCES: Final = {
    TargetKind.WORKFLOW: WORKFLOWS,
    TargetKind.QUOTA: WORKFLOW_QUOTAS,
    TargetKind.POOL: CLUSTER_WORKFLOW_QUOTAS,
}
_OTHER_NAMES: Final = {
    "wf": TargetKind.WORKFLOW,
    "wfq": TargetKind.QUOTA,
    "workflowquota": TargetKind.QUOTA,
    "cwfq": TargetKind.POOL,
    "clusterworkflowquota": TargetKind.POOL,
}


class ActionTarget(msgspec.Struct, frozen=True):
    """One object by its kind and name."""

    kind: TargetKind
    name: str

    @property
    def resource(self) -> Resource:
        """The resource that it is of."""
        return _RESOURCES[self.kind]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    @classmethod
    def parse(cls, text: str) -> "ActionTarget":
        """Return the target of a text as kubectl takes it; a name alone is a Workflow.

        Raises:
            ValueError: the kind is none of these, or the name is missing.
        """
        kind, slash, name = text.partition("/")
        if not slash:
            kind, name = TargetKind.WORKFLOW, text
        known = {**_OTHER_NAMES, **{str(each): each for each in TargetKind}}
        found = known.get(kind.lower().removesuffix("s"))
        if found is None or not name:
            raise ValueError(f"{text!r} is no target: write NAME or workflow/NAME, quota/NAME or pool/NAME")
        return cls(found, name)
