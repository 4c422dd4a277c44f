"""What is looked up in template objects: a template there, and locks that rules want on it and it lacks."""

import msgspec

from policy.core.lock_model.rules import CompiledRule
from policy.core.objects.workflow import RawTemplate, Template
from policy.core.policy_kinds.kinds import MatchedKind


class ForeignTemplate(msgspec.Struct, frozen=True):
    """A template of another object: as it is read, and the text of that object's spec, if it is known."""

    kind: MatchedKind
    template: Template
    text: str

    def body(self) -> RawTemplate | None:
        """Return the template as it is written, or None where its text is not known."""
        templates = (msgspec.json.decode(self.text).get("templates") or ()) if self.text else ()
        found: RawTemplate | None = next(
            (each for each in templates if each.get("name") == self.template.name), None
        )
        return found


class MissingLock(msgspec.Struct, frozen=True):
    """A lock that a rule wants on a template of another object (`of`), where it is missing."""

    rule: CompiledRule
    template: str
    of: str
    kind: MatchedKind
