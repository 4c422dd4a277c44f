"""Names of the templates and template objects that injection creates, and how they are recognised.

The name of a template is the base's, a check of it and a digest of the content: `load-lk1a2b3c4d5e`. A user
who gives a template such a name gains nothing: by a name of this form it counts as its base, and it is a
layer only if it does nothing but call its base.

A sibling is a copy of a template object, its origin. Its name ends with a digest of the origin and of all
that it is made of. So another content has another name, and a sibling is never edited: where Argo holds runs
to their template (`Secure`), an edit would end those that are running.
"""

import hashlib
import re
from typing import Final

import msgspec

from policy.core.decision.decision import Injection, Reason
from policy.core.objects import well_known
from policy.core.objects.template_keys import TemplateKey
from policy.core.objects.workflow import Call, Metadata, Template

MAX_NAME: Final = 128
"""Longest name of a template in Argo's full CRD."""
BASE_TASK: Final = "base"
LOCKED_TASK: Final = "locked"
FREE_TASK: Final = "free"
_MARK: Final = "-lk"
_CHECK: Final = 4
_DIGEST: Final = 6
_FORM: Final = re.compile(rf"(?P<base>.+){_MARK}(?P<check>[0-9a-f]{{{_CHECK}}})[0-9a-f]{{{_DIGEST}}}")
_VALID: Final = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]*", re.ASCII)
_LONGEST_LABEL: Final = 63
"""Longest name that Argo can write into its label of the template that a Workflow is made of."""
_DIGEST_BYTES: Final = 5
_SIBLING_MARK: Final = re.compile(r"lk[0-9a-f]{10}")
_LONGEST_ORIGIN: Final = _LONGEST_LABEL - len("-lk") - 2 * _DIGEST_BYTES


def can_name(base: str) -> bool:
    """Return whether a name can be generated from this one: by Argo's rule, and by its length."""
    longest = MAX_NAME - len(_MARK) - _CHECK - _DIGEST
    return len(base) <= longest and _VALID.fullmatch(base) is not None


def generated_name(base: str, *what: str) -> str:
    """Return the name of what is generated from the template `base`; the same for the same parts."""
    base = base_name(base)
    return f"{base}{_MARK}{_hex(base)[:_CHECK]}{_hex(base, *what)[:_DIGEST]}"


def base_name(name: str) -> str:
    """Return the name of the template that one was generated from, else the name as it is."""
    if _MARK not in name:
        return name
    found = _FORM.fullmatch(name)
    return found["base"] if found is not None and found["check"] == _hex(found["base"])[:_CHECK] else name


def is_generated(name: str) -> bool:
    """Return whether a name has the form of those that are generated here."""
    return base_name(name) != name


def is_layer(template: Template) -> bool:
    """Return whether a template does nothing but call another: a wrapper, or a choice of two."""
    if template.dag is None or template.name is None:
        return False
    tasks = template.dag.tasks or ()
    names = [task.name for task in tasks]
    if names not in ([BASE_TASK], [LOCKED_TASK, FREE_TASK]):
        return False
    own = template.name
    return all(base_name(target) == base_name(own) and target != own for target in map(_target, tasks)) and (
        is_generated(own) or all(is_generated(_target(task)) for task in tasks)
    )


def _target(task: Call) -> str:
    if task.template_ref is not None:
        return task.template_ref.template or ""
    return task.template or ""


def _hex(*parts: str) -> str:
    return hashlib.blake2b("\x00".join(parts).encode(), digest_size=8).hexdigest()


class Sibling(msgspec.Struct, frozen=True):
    """A copy of an origin with the locks that it lacks, or why there can be none (`faults`).

    `text` is its spec in the one way of writing that equal specs have in common; with `exists`, just this is
    in the snapshot. `policies` are those that require it.
    """

    namespace: str
    origin: TemplateKey
    policies: tuple[str, ...]
    name: str = ""
    mark: str = ""
    text: str = ""
    exists: bool = False
    injected: tuple[Injection, ...] = ()
    note: str = ""
    faults: tuple[Reason, ...] = ()

    @property
    def key(self) -> TemplateKey:
        """Its key in a snapshot."""
        return TemplateKey(self.namespace, self.name)


def sibling_mark(origin: TemplateKey, uid: str, text: str) -> str:
    """Return the mark of a sibling with this spec, as canonical text, of the origin with this uid."""
    what = f"{origin.text}\x00{uid}\x00{text}".encode()
    return f"lk{hashlib.blake2b(what, digest_size=_DIGEST_BYTES).hexdigest()}"


def sibling_name(origin: TemplateKey, mark: str) -> str:
    """Return the name of a sibling: that of its origin, cut where it is too long, and the mark."""
    return f"{origin.name[:_LONGEST_ORIGIN].rstrip('-.')}-{mark}"


def is_sibling_name(name: str) -> bool:
    """Return whether a name could be that of a sibling."""
    return _SIBLING_MARK.fullmatch(name.rpartition("-")[2]) is not None


def is_sibling(metadata: Metadata) -> bool:
    """Return whether a template claims to be a sibling: by its label, and by its name that ends with it."""
    mark = (metadata.labels or {}).get(well_known.SIBLING, "")
    return _SIBLING_MARK.fullmatch(mark) is not None and (metadata.name or "").endswith(f"-{mark}")


def header_of(metadata: Metadata) -> Metadata:
    """Return the part of the metadata that identifies a template, and its origin if it is a sibling."""
    return Metadata(
        name=metadata.name,
        namespace=metadata.namespace,
        uid=metadata.uid,
        labels=_only(well_known.SIBLING, metadata.labels),
        annotations=_only(well_known.SIBLING_OF, metadata.annotations),
    )


def _only(key: str, texts: dict[str, str] | None) -> dict[str, str] | None:
    return {key: texts[key]} if texts is not None and key in texts else None
