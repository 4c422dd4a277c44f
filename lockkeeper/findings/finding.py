"""One thing that was found in files, and all that one command found."""

from enum import StrEnum

import msgspec


class Level(StrEnum):
    """How bad a finding is: an error fails or hangs in every run, or is refused by a policy."""

    ERROR = "error"
    WARNING = "warning"


class FileCode(StrEnum):
    """Codes of what is found in files besides the reasons of the webhook."""

    UNREADABLE = "Unreadable"
    UNKNOWN_KIND = "UnknownKind"
    LOCK_WARNING = "LockWarning"
    SCHEDULE = "Schedule"
    DROPPED = "Dropped"
    REPEATED_KEY = "RepeatedKey"
    WARNING = "Warning"
    TEST_FAILED = "TestFailed"


class FileFinding(msgspec.Struct, frozen=True):
    """One thing found: where, how bad, what about which object, and the policy behind it, if any."""

    file: str
    line: int
    level: Level
    code: str
    object: str
    field: str
    message: str
    policy: str = ""

    @property
    def sentence(self) -> str:
        """The message, behind the field that it is about."""
        return f"{self.field}: {self.message}" if self.field else self.message


class CheckedObject(msgspec.Struct, frozen=True):
    """An object that was checked, and where it begins."""

    file: str
    line: int
    object: str


class FilesReport(msgspec.Struct, frozen=True):
    """What a command checked, and what it found there; `policies` were read beside the objects."""

    findings: tuple[FileFinding, ...]
    checked: tuple[CheckedObject, ...]
    files: int = 0
    passed_over: int = 0
    policies: int = 0

    @property
    def errors(self) -> int:
        """How many of the findings are errors."""
        return sum(each.level is Level.ERROR for each in self.findings)

    @property
    def about_files(self) -> tuple["FileFinding", ...]:
        """The findings about files and documents that are no object to check."""
        return tuple(
            each for each in self.findings if each.code in (FileCode.UNREADABLE, FileCode.UNKNOWN_KIND)
        )

    @property
    def unreadable(self) -> bool:
        """Whether something could not be read, so that not everything was checked."""
        unread = (FileCode.UNREADABLE, "WrongPolicy")
        return any(each.code in unread and each.level is Level.ERROR for each in self.findings)


def sort_key(finding: FileFinding) -> tuple[str, int, str, str]:
    """Return what findings are sorted by: as they stand in the files, errors first."""
    return (finding.file, finding.line, finding.level.value, finding.message)
