"""A problem with a policy: where it is and what to do about it."""

import msgspec


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong with a document: its field path (`spec.limits.workflows`) and a sentence."""

    path: str
    message: str
