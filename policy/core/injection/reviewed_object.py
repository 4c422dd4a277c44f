"""What injection has to know of an object beside its spec: its kind, its text, and what it refers to."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from policy.core.decision.decision import NO_OBJECT
from policy.core.lock_graph.template_library import NO_LIBRARY, Library
from policy.core.lock_model.template_bodies import ForeignTemplate
from policy.core.lock_model.template_pods import PodView
from policy.core.objects.template_keys import TEMPLATE_KINDS, ObjectKind
from policy.core.objects.workflow import TemplateRef
from policy.core.values.budget import UNBOUNDED, Budget
from policy.core.values.problems import Hints

FindTemplate: TypeAlias = Callable[[TemplateRef], ForeignTemplate | None]
"""Looks a template of another object up that rules may select; None where there is none."""


def _nowhere(_ref: TemplateRef) -> None:
    """Find nothing."""


class ReviewedObject(msgspec.Struct, frozen=True):
    """An object under review; `at` points to its WorkflowSpec, `raw` is the whole of it.

    `hints` are the near keys that were found for undefined ones: the same of the object before and after.
    `view` is how its templates run, and `budget` the time of the review.
    """

    kind: ObjectKind = ObjectKind.WORKFLOW
    at: str = "/spec"
    raw: msgspec.Raw = NO_OBJECT
    find: FindTemplate = _nowhere
    name: str = ""
    library: Library = NO_LIBRARY
    hints: Hints = msgspec.field(default_factory=Hints)
    view: PodView | None = None
    budget: Budget = UNBOUNDED

    @property
    def is_template(self) -> bool:
        """Whether other objects may call its templates."""
        return self.kind in TEMPLATE_KINDS

    def spec(self) -> Mapping[str, Any]:
        """Return the WorkflowSpec as it is written, empty where the text is not known, or is no text."""
        try:
            found: Any = msgspec.json.decode(self.raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return {}  # What nobody reads of an object is not looked at before.
        for part in self.at.strip("/").split("/"):
            found = (found or {}).get(part)
        return found or {}
