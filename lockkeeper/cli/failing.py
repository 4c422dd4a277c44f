"""The error of a command that its caller can mend."""


class UsageError(Exception):
    """Something that the caller asked for cannot be done; the text is one line and says what to do."""
