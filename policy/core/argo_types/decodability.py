"""Whether an object decodes into Argo's Go types: one Workflow that does not stops Argo's whole controller.

    fits("Workflow", raw)        quick; almost nothing for an object that is right
    examine("Workflow", raw)     slow; everything that is wrong, with the fix

A held Workflow that does not decode may not be released: `misfits_of` checks one that is there as values.
"""

from itertools import islice
from typing import Final

import msgspec

from policy.core.argo_types.scalar_decoders import decode
from policy.core.argo_types.type_table import KINDS
from policy.core.argo_types.walk import Doubt, Misfit, ObjectWalk
from policy.core.objects.json_patch import JsonValue
from policy.core.values.budget import UNBOUNDED, Budget, Part

MAX_MISFITS: Final = 100
"""Misfits that are looked for; a message shows ten."""
MAX_STORED: Final = 1_000
"""Misfits of a stored object with which those of an edit are compared; more are not compared."""
_NOTHING: Final = msgspec.Raw(b"null")


class DecodeReport(msgspec.Struct, frozen=True):
    """What is wrong with an object: what does not decode, and what decodes into something else."""

    misfits: tuple[Misfit, ...] = ()
    doubts: tuple[Doubt, ...] = ()


FITS: Final = DecodeReport()


def fits(kind: str, raw: msgspec.Raw | bytes, budget: Budget = UNBOUNDED) -> bool:
    """Return whether an object of one of KINDS decodes; False for some that do, which `examine` finds."""
    try:
        decode(kind, raw, budget)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def examine(
    kind: str,
    raw: msgspec.Raw | bytes,
    old: msgspec.Raw | bytes = _NOTHING,
    budget: Budget = UNBOUNDED,
) -> DecodeReport:
    """Return everything that is wrong with an object and was not wrong with the `old` one already.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is not JSON that can be read.
        TimeSpentError: there is more of it than can be looked at.
    """
    if kind not in KINDS or fits(kind, raw, budget):
        return FITS
    wanted, before = msgspec.json.decode(raw), msgspec.json.decode(old)
    budget.check(Part.TYPES)
    old_walk, walk = ObjectWalk(kind, before, budget), ObjectWalk(kind, wanted, budget)
    stored = frozenset((each.path, each.kind) for each in islice(old_walk.misfits(), MAX_STORED))
    if len(stored) == MAX_STORED:
        return FITS
    new = (each for each in walk.misfits() if (each.path, each.kind) not in stored)
    misfits = tuple(islice(new, MAX_MISFITS))
    known = frozenset(old_walk.doubts)
    return DecodeReport(misfits, tuple(each for each in walk.doubts if each not in known))


def misfits_of(kind: str, value: JsonValue) -> tuple[Misfit, ...]:
    """Return what does not decode of an object that is at hand as values; nothing for other kinds."""
    return tuple(islice(ObjectWalk(kind, value).misfits(), MAX_MISFITS)) if kind in KINDS else ()
