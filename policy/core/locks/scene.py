"""What injection has to know of an object beside its spec: its kind, its text, and what it refers to."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from policy.core.budget import UNBOUNDED, Budget
from policy.core.decision import NO_OBJECT, ObjectKind
from policy.core.kinds import MatchedKind
from policy.core.locks.as_run import View
from policy.core.locks.layers import Body
from policy.core.locks.library import NO_LIBRARY, Library
from policy.core.locks.rules import CompiledRule
from policy.core.nearest import Hints
from policy.core.patches import JsonObject
from policy.core.workflow import Template, TemplateRef


class Foreign(msgspec.Struct, frozen=True):
    """A template of another object: as it is read, and the text of that object's spec, if it is known."""

    kind: MatchedKind
    template: Template
    text: str

    def body(self) -> Body | None:
        """Return the template as it is written, or None where its text is not known."""
        templates = (msgspec.json.decode(self.text).get("templates") or ()) if self.text else ()
        found: Body | None = next(
            (each for each in templates if each.get("name") == self.template.name), None
        )
        return found


class Lacking(msgspec.Struct, frozen=True):
    """A lock that a rule wants on a template of another object (`of`), where it is missing."""

    rule: CompiledRule
    template: str
    of: str
    kind: MatchedKind


Find: TypeAlias = Callable[[TemplateRef], Foreign | None]
LackingIn: TypeAlias = Callable[[TemplateRef], tuple[Lacking, ...]]


def nowhere(ref: TemplateRef) -> Foreign | None:
    """Find nothing."""
    del ref
    return None


def nothing_lacks(ref: TemplateRef) -> tuple[Lacking, ...]:
    """Find nothing missing."""
    del ref
    return ()


class Scene(msgspec.Struct, frozen=True):
    """An object under review; `at` points to its WorkflowSpec, `raw` is the whole of it.

    `hints` are the near keys that were found for undefined ones: the same of the object before and after.
    `view` is how its templates run, and `budget` the time of the review.
    """

    kind: ObjectKind = ObjectKind.WORKFLOW
    at: str = "/spec"
    raw: msgspec.Raw = NO_OBJECT
    find: Find = nowhere
    name: str = ""
    library: Library = NO_LIBRARY
    lacking: LackingIn = nothing_lacks
    hints: Hints = msgspec.field(default_factory=Hints)
    view: View | None = None
    budget: Budget = UNBOUNDED

    @property
    def is_template(self) -> bool:
        """Whether other objects may call its templates."""
        return self.kind in (ObjectKind.WORKFLOW_TEMPLATE, ObjectKind.CLUSTER_WORKFLOW_TEMPLATE)

    def spec(self) -> Mapping[str, Any]:
        """Return the WorkflowSpec as it is written, empty where the text is not known, or is no text."""
        try:
            found: Any = msgspec.json.decode(self.raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return {}  # What nobody reads of an object is not looked at before.
        for part in self.at.strip("/").split("/"):
            found = (found or {}).get(part)
        return found or {}


def target_of(ref: TemplateRef) -> JsonObject:
    """Return how a task names a template of another object."""
    written: JsonObject = {"name": ref.name or "", "template": ref.template or ""}
    if ref.cluster_scope:
        written["clusterScope"] = True
    return {"templateRef": written}
