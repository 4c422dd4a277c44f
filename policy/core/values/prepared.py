"""Struct types made ready for threads.

msgspec 0.22 works out how to decode a struct at the first use of it, and two threads that do so at once crash
the process: one of them reads what the other has half built (seen with `msgspec.convert`). So
every struct that is decoded at run time is prepared where it is defined, while the module is imported.
"""

import msgspec


def prepare(*types: type) -> None:
    """Make struct types, and those that they contain, safe to decode from any thread."""
    for each in types:
        msgspec.json.Decoder(each)
