"""What siblings of templates are, what they are called, and how they and their origins are known again.

The name ends with a digest of the origin and of everything that the sibling is made of. So another content
has another name, and a sibling is never edited: where Argo holds runs to their template (`Secure`), an edit
would end those that are under way.
"""

import hashlib
import re
from typing import Final

import msgspec

from policy.core.decision.decision import Injection, Reason
from policy.core.objects import well_known
from policy.core.objects.template_keys import TemplateKey
from policy.core.objects.workflow import Metadata

_MAX_NAME: Final = 63
"""Longest name that Argo can write into its label of the template that a Workflow is made of."""
_DIGEST_BYTES: Final = 5
_MARK: Final = re.compile(r"lk[0-9a-f]{10}")
_LONGEST: Final = _MAX_NAME - len("-lk") - 2 * _DIGEST_BYTES


class Sibling(msgspec.Struct, frozen=True):
    """What an origin lacks: the copy that has it, or why none can be made (`faults`).

    `text` is its spec in the one way of writing that equal specs have in common; `made` tells that just this
    stands in the snapshot. `policies` are those that want it.
    """

    namespace: str
    origin: TemplateKey
    policies: tuple[str, ...]
    name: str = ""
    mark: str = ""
    text: str = ""
    made: bool = False
    injected: tuple[Injection, ...] = ()
    note: str = ""
    faults: tuple[Reason, ...] = ()

    @property
    def key(self) -> TemplateKey:
        """Where a snapshot has it."""
        return TemplateKey(self.namespace, self.name)


def sibling_mark(origin: TemplateKey, uid: str, text: str) -> str:
    """Return the mark of a sibling with this spec, as canonical text, of the origin with this uid."""
    what = f"{origin.text}\x00{uid}\x00{text}".encode()
    return f"lk{hashlib.blake2b(what, digest_size=_DIGEST_BYTES).hexdigest()}"


def sibling_name(origin: TemplateKey, mark: str) -> str:
    """Return the name of a sibling: that of its origin as far as there is room, and the mark."""
    return f"{origin.name[:_LONGEST].rstrip('-.')}-{mark}"


def has_form(name: str) -> bool:
    """Tell whether a name could be that of a sibling."""
    return _MARK.fullmatch(name.rpartition("-")[2]) is not None


def is_sibling(metadata: Metadata) -> bool:
    """Tell whether a template says that it is a sibling: by its label, and by its name that ends with it."""
    mark = (metadata.labels or {}).get(well_known.SIBLING, "")
    return _MARK.fullmatch(mark) is not None and (metadata.name or "").endswith(f"-{mark}")


def header_of(metadata: Metadata) -> Metadata:
    """Return what tells which template one is, and whose sibling."""
    labels, annotations = metadata.labels or {}, metadata.annotations or {}
    return Metadata(
        name=metadata.name,
        namespace=metadata.namespace,
        uid=metadata.uid,
        labels={well_known.SIBLING: labels[well_known.SIBLING]} if well_known.SIBLING in labels else None,
        annotations={well_known.SIBLING_OF: annotations[well_known.SIBLING_OF]}
        if well_known.SIBLING_OF in annotations
        else None,
    )
