"""The templates in creates, read once for all reviews that bring the same bytes.

A Workflow is mostly templates, and most Workflows repeat those of others. A list that was seen before is
found by a comparison of bytes, and a stand-in takes its place, so that only the rest is parsed. In a list
that is new, each template that was seen before is found by its bytes. Nothing here changes what is read: what
is unusual is left to be read as a whole.
"""

from secrets import token_hex
from typing import Final, Generic, TypeVar

import msgspec

from policy.core.objects.shared_templates import SharedTemplates
from policy.core.objects.workflow import Template, Workflow
from policy.core.values.prepared import prepare

_FIELD: Final = b'"templates":'
_STAND_IN: Final = token_hex(16)
"""The name of the template that stands for a list. Nobody knows it, so it occurs nowhere else."""
_STAND_IN_LIST: Final = f'[{{"name":"{_STAND_IN}"}}]'.encode()
_KEY: Final = 512
"""Bytes by which a list is looked for; whether it is that list is for the comparison to tell."""
SHORTEST: Final = 512
_LONGEST: Final = 256 * 1024
"""Bytes of a list that is remembered; a shorter one is read as quickly."""
ValueT = TypeVar("ValueT")


class ByBytes(Generic[ValueT]):
    """Values by the bytes that they were read from; of more than `most` bytes the oldest are removed.

    Safe for any number of threads: what one of them misses is read again.
    """

    def __init__(self, most: int) -> None:
        self._values: dict[bytes, tuple[ValueT, int]] = {}
        self._most = most
        self._size = 0

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: bytes) -> ValueT | None:
        """Return the value of a key."""
        found = self._values.get(key)
        return None if found is None else found[0]

    def keep(self, key: bytes, value: ValueT, size: int) -> None:
        """Store a value that was read from `size` bytes, in place of an older one of its key."""
        self._remove(key)
        self._values[key] = value, size
        self._size += size
        while self._size > self._most and self._values:
            self._remove(next(iter(tuple(self._values))))

    def _remove(self, key: bytes) -> None:
        _, size = self._values.pop(key, (None, 0))
        self._size -= size


class SharedWorkflow(msgspec.Struct, frozen=True):
    """A Workflow whose templates are shared, and `rest`: its JSON with a stand-in for them."""

    workflow: Workflow
    rest: bytes

    def whole(self) -> bytes:
        """Return its JSON as it was sent."""
        spec = self.workflow.spec
        templates = spec.templates if spec is not None else None
        text = templates.text if isinstance(templates, SharedTemplates) else _STAND_IN_LIST
        return self.rest.replace(_STAND_IN_LIST, text, 1)


class _TemplateTexts(msgspec.Struct, frozen=True, gc=False):
    """The templates of a spec, unread."""

    templates: tuple[msgspec.Raw, ...] | None = None


class _SpecTexts(msgspec.Struct, frozen=True, gc=False):
    """A Workflow of which only the templates are looked for."""

    spec: _TemplateTexts | None = None


prepare(_SpecTexts)
_WORKFLOW: Final = msgspec.json.Decoder(Workflow)
_TEMPLATE: Final = msgspec.json.Decoder(Template)
_TEXTS: Final = msgspec.json.Decoder(_SpecTexts)
_UNUSUAL: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class TemplateLists:
    """The lists and templates that were read, in so many bytes of JSON each; their structs take as much."""

    def __init__(self, *, lists: int = 8 * 1024 * 1024, templates: int = 4 * 1024 * 1024) -> None:
        self._lists: ByBytes[SharedTemplates] = ByBytes(lists)
        self._templates: ByBytes[Template] = ByBytes(templates)

    def without_known(self, body: bytes) -> tuple[bytes, SharedTemplates] | None:
        """Return a body with a stand-in for a list that was read before, and that list; None where none is.

        Whether the list is that of the spec is shown when the rest is read (`with_known`).
        """
        at = body.find(_FIELD) + len(_FIELD)
        known = self._lists.get(body[at : at + _KEY]) if at >= len(_FIELD) else None
        if known is None or not body.startswith(known.text, at):
            return None
        return b"".join((body[:at], _STAND_IN_LIST, body[at + len(known.text) :])), known

    def with_known(self, rest: bytes, known: SharedTemplates) -> SharedWorkflow | None:
        """Return the Workflow of JSON with a stand-in, None where the stand-in is not its templates."""
        try:
            workflow = _WORKFLOW.decode(rest)
        except _UNUSUAL:
            return None
        spec = workflow.spec
        templates = spec.templates if spec is not None else None
        if spec is None or not templates or len(templates) != 1 or templates[0].name != _STAND_IN:
            return None
        msgspec.structs.force_setattr(spec, "templates", known)  # Nobody else has this spec yet.
        return SharedWorkflow(workflow, rest)

    def read(self, raw: bytes) -> SharedWorkflow | None:
        """Return a Workflow whose list was not known, and remember the list; None where it is unusual."""
        try:
            spec = _TEXTS.decode(raw).spec
            texts = tuple(map(bytes, spec.templates or ())) if spec is not None else ()
            text = b"[%s]" % b",".join(texts)
            at = raw.find(_FIELD) + len(_FIELD)
            if not SHORTEST <= len(text) <= _LONGEST or not raw.startswith(text, at):
                return None
            known = SharedTemplates.of(text, [self._template(each) for each in texts])
        except _UNUSUAL:
            return None
        found = self.with_known(b"".join((raw[:at], _STAND_IN_LIST, raw[at + len(text) :])), known)
        if found is not None:
            self._lists.keep(text[:_KEY], known, len(text))
        return found

    def _template(self, text: bytes) -> Template:
        known = self._templates.get(text)
        if known is None:
            known = _TEMPLATE.decode(text)
            self._templates.keep(text, known, len(text))
        return known
