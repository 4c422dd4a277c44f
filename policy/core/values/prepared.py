"""Struct types that are safe to decode from any thread.

msgspec 0.22 prepares a struct at its first use, and two threads that do so at once crash the process: one
reads what the other has half built (seen with `msgspec.convert`). So every struct that is decoded at run time
is prepared where it is defined, while the module is imported.
"""

import msgspec


def prepare(*types: type) -> None:
    """Make struct types, and those that they contain, safe to decode from any thread."""
    for each in types:
        msgspec.json.Decoder(each)
