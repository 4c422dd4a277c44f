"""Values that are JSON and that nobody reads: numbers of thousands of digits, or nested too deep.

Such a request is wrong, whatever its object says; the API server sends none like it.
"""

import msgspec

from policy.core.patches import JsonValue


class UnreadableError(Exception):
    """A value that cannot be read; `message` says why."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def decoded(raw: msgspec.Raw | None) -> JsonValue:
    """Return a part of an object as plain values; of one that is not there, None.

    Raises:
        UnreadableError: it cannot be read.
    """
    if raw is None:
        return None
    try:
        value: JsonValue = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableError(f"a part of the object cannot be read: {error}") from error
    return value
