"""What came out of the cases of test files."""

import msgspec

from policy.core.objects.json_patch import JsonValue


class Mismatch(msgspec.Struct, frozen=True):
    """One thing that is not as expected: of which object, what, and the line that expects it."""

    object: str
    what: str
    expected: JsonValue
    actual: JsonValue
    line: int


class CaseResult(msgspec.Struct, frozen=True):
    """One case: where it stands, how many objects were decided, and what is not as expected."""

    file: str
    line: int
    case: str
    objects: int
    mismatches: tuple[Mismatch, ...]

    @property
    def passed(self) -> bool:
        """Whether everything is as expected."""
        return not self.mismatches
