"""The sentences about references to what does not exist: what is missing, what happens, and the fix."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

import msgspec

from policy.core.lock_graph.template_library import Library
from policy.core.lock_graph.unknown_references import Missing, UnknownReference
from policy.core.objects.json_patch import field_path
from policy.core.objects.read_extent import Extent
from policy.core.values.problems import MOST_HINTS, nearest

MAX_UNKNOWN: Final = 100
"""References to what does not exist that are reported of one object; a message shows ten."""
_ENDS: Final = "Argo would end the Workflow with an error"


class BrokenReference(msgspec.Struct, frozen=True):
    """A reference to what does not exist: the field, the sentence, and what is missing."""

    field: str
    message: str
    missing: Missing

    @property
    def absent(self) -> bool:
        """Whether it is another object that is not known, which may be created before this one runs."""
        return self.missing is Missing.OBJECT


def broken_references(
    found: Iterable[UnknownReference], library: Library, extent: Extent
) -> Iterator[BrokenReference]:
    """Yield references that lead nowhere, as they are told; the first hundred.

    Where no template of the cluster is known, no object can be called missing. Where only files are known,
    it is said that it is not among them.
    """
    told = (
        each
        for each in found
        if each.missing is not Missing.OBJECT or (library.templates and each.key not in extent.unread)
    )
    for number, each in enumerate(islice(told, MAX_UNKNOWN)):
        near = nearest(each.name, each.known) if number < MOST_HINTS else ""
        yield BrokenReference(field_path(each.pointer), _sentence(each, near, extent), each.missing)


def _sentence(found: UnknownReference, near: str, extent: Extent) -> str:
    if found.missing is Missing.OBJECT and extent.files:
        return f"{found.what} is not among the files; if the cluster has none either, {_ENDS}"
    text = f"{found.what} does not exist, and {_ENDS}"
    if near:
        return f'{text}: did you mean "{near}"?'
    match found.missing:
        case Missing.OBJECT:
            return f"{text}; if it is created later, do so before this runs"
        case Missing.TEMPLATE:
            return f"{text}; if it is added later, do so before this runs"
        case Missing.NAME:
            return text
