"""A directory of YAML becomes policy documents, or every error of every file at once."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from policy.core.policy_kinds.kinds import DEFAULT_NAMESPACE
from policy.core.values.problems import Problem
from policy.sources.default_namespace import all_placed, unplaced_policies
from policy.sources.documents import Document, Identity, join, read
from policy.sources.file_tree import FileEntry, content_of, entries
from policy.sources.yaml_positions import Fault, ParsedDocument, parse

_OF_OBJECTS: Final = frozenset({"apiVersion", "kind", "metadata", "spec"})
"""Keys of which a Kubernetes object has one at least, however wrong it is."""


class SourceError(msgspec.Struct, frozen=True, order=True):
    """One error in a file; line and column are 0 where the file itself is the problem."""

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(part for part in (place, self.path, self.message) if part)


class PolicyErrors(Exception):  # noqa: N818 - it holds many
    """Everything that is wrong with the policies, sorted by file and line; as text one line each."""

    def __init__(self, errors: Iterable[SourceError]) -> None:
        self.errors = tuple(sorted(set(errors)))
        super().__init__(*self.errors)

    def __str__(self) -> str:
        return "\n".join(map(str, self.errors))


class DocumentOrigin(msgspec.Struct, frozen=True):
    """Where a document was read, to place what is found wrong with it."""

    file: str
    path: str
    source: ParsedDocument

    def inner(self, path: str) -> str | None:
        """Return a path of the text as one in this document, None where it is in another one."""
        inside = path.removeprefix(self.path)
        if len(inside) + len(self.path) != len(path) or (self.path and inside[:1] not in ("", ".", "[")):
            return None
        return inside.removeprefix(".") if self.path else inside

    def error(self, problem: Problem) -> SourceError:
        """Return the problem of this document as an error at its place in the file."""
        path = join(self.path, problem.path)
        mark = self.source.locate(path)
        return SourceError(self.file, mark.line, mark.column, path, problem.message)


class Loaded(msgspec.Struct, frozen=True):
    """The documents of a directory in the order of files."""

    documents: tuple[Document, ...] = ()
    fingerprint: str = ""
    unplaced: tuple[SourceError, ...] = ()
    """Policies that name no namespace, with a message that says in which they count."""


class PolicyFiles(msgspec.Struct, frozen=True):
    """The contents of a directory's policy files by name, and the files that could not be read."""

    files: tuple[tuple[str, bytes], ...]
    errors: tuple[SourceError, ...]
    fingerprint: str


class Signature(msgspec.Struct, frozen=True):
    """What `stat` returns for every file, which differs after most changes, and the newest time in it."""

    files: tuple[tuple[str | int, ...], ...]
    newest: float


def load_tree(tree: PolicyFiles, namespace: str = DEFAULT_NAMESPACE) -> Loaded:
    """Return the documents of files that were read already; what names no namespace is in the given one.

    Raises:
        PolicyErrors: at least one file or document is wrong; nothing is loaded then.
    """
    reading = _DirectoryReader(namespace)
    for file, content in tree.files:
        reading.add(file, content)
    errors = [*tree.errors, *reading.errors]
    if errors:
        raise PolicyErrors(errors)
    return Loaded(tuple(reading.documents), tree.fingerprint, tuple(reading.unplaced))


class _DirectoryReader:
    """Collects what the files hold, one after the other."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self.unplaced: list[SourceError] = []
        self.documents: list[Document] = []
        self.errors: list[SourceError] = []
        self._names: dict[Identity, SourceError] = {}

    def add(self, file: str, content: bytes) -> None:
        text = parse(content)
        for document in text.documents:
            self._add_document(file, document)
        if text.fault is not None:
            self.errors.append(fault_error(file, text.fault))

    def _add_document(self, file: str, source: ParsedDocument) -> None:
        if isinstance(source.value, dict) and source.value and not source.value.keys() & _OF_OBJECTS:
            return  # A kustomization or values, which lie beside policies and are none.
        contents = read(all_placed(source.value, self._namespace))
        whole = DocumentOrigin(file, "", source)
        self.errors += [fault_error(file, fault) for fault in source.faults]
        # What could not be read is null in the value: that is no second error. A repeated key has a value.
        unread = {fault.path for fault in source.faults if not fault.repeated}
        self.errors += [whole.error(found) for found in contents.problems if found.path not in unread]
        for named in contents.named:
            self._add_name(named.identity, DocumentOrigin(file, named.path, source))
        for path, policy in unplaced_policies(source.value):
            message = f"{policy} names no namespace: it counts in {self._namespace} alone"
            place = DocumentOrigin(file, path, source).error(Problem("", message))
            self.unplaced.append(msgspec.structs.replace(place, path=""))
        self.documents += [decoded.document for decoded in contents.documents]

    def _add_name(self, identity: Identity, origin: DocumentOrigin) -> None:
        here = origin.error(Problem("metadata.name", ""))
        first = self._names.setdefault(identity, here)
        if first is not here:
            message = f"{identity} is defined in {first.file}:{first.line} too: remove one of them"
            self.errors.append(origin.error(Problem("metadata.name", message)))


def fault_error(file: str, fault: Fault) -> SourceError:
    """Return what could not be read of a text as an error at its place in the file."""
    return SourceError(file, fault.mark.line, fault.mark.column, fault.path, fault.message)


def read_tree(path: Path) -> PolicyFiles:
    """Return the contents of a policy file, or of those below a folder, and what cannot be read."""
    files: list[tuple[str, bytes]] = []
    errors: list[SourceError] = []
    digest = hashlib.sha256()
    for entry in sorted(entries(path), key=lambda entry: entry.name):
        shown = os.fsencode(path / entry.name).decode(errors="replace")
        content = content_of(path / entry.name, entry)
        if isinstance(content, bytes):
            files.append((shown, content))
        else:
            errors.append(SourceError(shown, 0, 0, "", content))
            content = content.encode()
        # Without lengths the end of one part could be read as the start of the next.
        for part in (os.fsencode(entry.name), content):
            digest.update(b"%d:%b" % (len(part), part))
    return PolicyFiles(tuple(files), tuple(errors), digest.hexdigest())


def signature(path: Path) -> Signature:
    """Return what differs after most changes of a folder, without reading its files."""
    found = sorted(entries(path), key=lambda entry: entry.name)
    statuses = [entry.status for entry in found if entry.status is not None]
    times = [max(status.st_mtime, status.st_ctime) for status in statuses]
    return Signature(tuple(_facts(entry) for entry in found), max(times, default=0.0))


def _facts(entry: FileEntry) -> tuple[str | int, ...]:
    status = entry.status
    if status is None:
        return (entry.name, entry.reason)
    identity = (status.st_dev, status.st_ino, status.st_size)
    return (entry.name, *identity, status.st_mtime_ns, status.st_ctime_ns)
