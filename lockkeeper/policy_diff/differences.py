"""What is different between two sets of policies."""

from enum import StrEnum

import msgspec

from lockkeeper.reviewing.object_review import ReviewedReason
from policy.core.objects.json_patch import JsonObject, JsonValue


class ChangeKind(StrEnum):
    """What became of a policy."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class FieldChange(msgspec.Struct, frozen=True):
    """A field that is not the same; None where it is absent."""

    field: str
    before: JsonValue
    after: JsonValue


class PolicyChange(msgspec.Struct, frozen=True):
    """A policy, or what stands beside policies, that is not the same."""

    object: str
    change: ChangeKind
    fields: tuple[FieldChange, ...] = ()


class LimitChange(msgspec.Struct, frozen=True):
    """A limit in force at the time that is assumed; "" where no quota gives one."""

    namespace: str
    quota: str
    before: str
    after: str


class DecidedSide(msgspec.Struct, frozen=True):
    """What one set of policies decides about an object."""

    outcome: str
    reasons: tuple[ReviewedReason, ...]
    warnings: tuple[str, ...]
    locks: tuple[str, ...]
    policies: tuple[str, ...]
    patch: tuple[JsonObject, ...]


class ObjectDifference(msgspec.Struct, frozen=True, rename="camel"):
    """An object about which two sets of policies decide differently, and in what."""

    file: str
    line: int
    object: str
    differs: tuple[str, ...]
    before: DecidedSide
    after: DecidedSide
    diff: tuple[str, ...] = ()


class PolicyDiff(msgspec.Struct, frozen=True):
    """Everything that is different; `reviewed` is how many objects were decided on both sides."""

    policies: tuple[PolicyChange, ...]
    limits: tuple[LimitChange, ...]
    objects: tuple[ObjectDifference, ...]
    reviewed: int

    @property
    def is_empty(self) -> bool:
        """Whether both sets are the same, and decide the same."""
        return not (self.policies or self.limits or self.objects)

    @property
    def summary(self) -> str:
        """How many objects are decided differently."""
        if not self.reviewed:
            return "no Workflows were given, so no decisions were compared"
        objects = "object" if self.reviewed == 1 else "objects"
        return f"{len(self.objects)} of {self.reviewed} {objects} decided differently"
