"""What injection needs of an object beside its spec: its kind, its text, and the templates it refers to."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from policy.core.decision.decision import NO_OBJECT
from policy.core.lock_graph.template_library import NO_LIBRARY, Library
from policy.core.lock_model.generated_names import base_name
from policy.core.lock_model.rules import CompiledRule
from policy.core.lock_model.template_bodies import ForeignTemplate
from policy.core.lock_model.template_pods import PodView
from policy.core.objects.template_keys import TEMPLATE_KINDS, ObjectKind
from policy.core.objects.workflow import TemplateRef

FindTemplate: TypeAlias = Callable[[TemplateRef], ForeignTemplate | None]
"""Looks up a template of another object that rules may select; None where there is none."""


class ReviewedObject(msgspec.Struct, frozen=True, kw_only=True):
    """An object under review: `at` points to its WorkflowSpec, `raw` is all of it, `view` how it runs.

    `spared` has the locks that templates do not get, by the name or place of the template and the lock.
    """

    view: PodView
    kind: ObjectKind = ObjectKind.WORKFLOW
    at: str = "/spec"
    raw: msgspec.Raw = NO_OBJECT
    find: FindTemplate = lambda _: None
    name: str = ""
    library: Library = NO_LIBRARY
    spared: Mapping[tuple[str, str], str] = {}

    @property
    def is_template(self) -> bool:
        """Whether other objects may call its templates."""
        return self.kind in TEMPLATE_KINDS

    def spares(self, name: str, rule: CompiledRule) -> bool:
        """Return whether a template does not get the lock of a rule."""
        return bool(self.spared) and (base_name(name), rule.plain_name) in self.spared

    def spec(self) -> Mapping[str, Any]:
        """Return the WorkflowSpec as it is written, empty where its text is unknown or cannot be decoded."""
        try:
            found: Any = msgspec.json.decode(self.raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return {}  # Parts that are read by no decoder are not checked before.
        for part in self.at.strip("/").split("/"):
            found = (found or {}).get(part)
        return found or {}
