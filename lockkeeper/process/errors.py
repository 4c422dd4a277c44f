"""The error of a command that its caller can mend."""


class UsageError(Exception):
    """Something that the caller asked for cannot be done; each of its lines says what to do."""

    def __init__(self, *lines: str) -> None:
        self.lines = lines
        super().__init__(*lines)

    def __str__(self) -> str:
        return "\n".join(self.lines)
