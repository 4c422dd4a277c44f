"""One object of a file, as it was written, with the places of its fields."""

import re
from typing import Final

import msgspec

from policy.core.objects.json_patch import JsonObject
from policy.core.values.problems import Problem
from policy.sources.default_namespace import placed
from policy.sources.directory import DocumentOrigin, SourceError
from policy.sources.yaml_positions import ParsedDocument

_LINES: Final = re.compile(r"(in lines? [0-9 and]+),")
"""Where a key stands twice."""


class Carrier(msgspec.Struct, frozen=True):
    """The object that another one stands in, and what replaces the tags that the carrier fills in later.

    What a tag will be is not known, so nothing is to be said that rests on its replacement. `text` is the
    object as it was read, where the carrier has it as text.
    """

    object: str
    replaced: dict[str, str] = {}
    text: ParsedDocument | None = None

    def rests_on_tag(self, text: str) -> bool:
        """Return whether a sentence shows the replacement of a tag."""
        return any(each in text for each in self.replaced)


class Manifest(msgspec.Struct, frozen=True, eq=False):
    """One object, where it was read, and what it is called; `namespace` is "" where it names none."""

    api_version: str
    kind: str
    namespace: str
    name: str
    value: JsonObject
    origin: DocumentOrigin
    carrier: Carrier | None = None

    @property
    def file(self) -> str:
        """The file that it was read from."""
        return self.origin.file

    @property
    def line(self) -> int:
        """Where it begins: of an item of a list, where the item begins."""
        return self.place("").line

    def place(self, field: str) -> SourceError:
        """Return where a field is, or the nearest one around it."""
        return self.origin.error(Problem(field, ""))

    @property
    def repeated_keys(self) -> tuple[Problem, ...]:
        """Keys that it has twice; those of an object that stands in another one are told with that."""
        carrier = self.carrier
        if carrier is None:
            keys = ((self.origin.inner(each.path), each) for each in self.origin.source.faults)
            return tuple(
                Problem(path, key.message) for path, key in keys if key.repeated and path is not None
            )
        faults = carrier.text.faults if carrier.text is not None else ()
        # Its lines are those of a text that may stand anywhere in the file.
        return tuple(
            Problem(each.path, _LINES.sub(r"\1 of the text,", each.message))
            for each in faults
            if each.repeated
        )

    def namespace_or(self, given: str) -> str:
        """Return its namespace, else the given one; "" for an object of the whole cluster."""
        metadata = placed(self.value, given).get("metadata")
        named = metadata if isinstance(metadata, dict) else {"namespace": given}
        return str(named.get("namespace") or "")

    def called(self, namespace: str) -> str:
        """Return its kind and name, and what carries it."""
        name = f"{namespace}/{self.name}" if namespace else self.name
        inside = f" in {self.carrier.object}" if self.carrier is not None else ""
        return f"{self.kind} {name}{inside}"


def manifest_of(value: JsonObject, origin: DocumentOrigin, carrier: Carrier | None = None) -> Manifest:
    """Return an object as a manifest; what it is called is read as far as it is text."""
    metadata = value.get("metadata")
    named = metadata if isinstance(metadata, dict) else {}
    return Manifest(
        api_version=str(value.get("apiVersion") or ""),
        kind=str(value.get("kind") or ""),
        namespace=str(named.get("namespace") or ""),
        name=str(named.get("name") or named.get("generateName") or ""),
        value=value,
        origin=origin,
        carrier=carrier,
    )
