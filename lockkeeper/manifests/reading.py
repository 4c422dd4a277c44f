"""Reads files, folders and standard input: objects with their places, and what cannot be read as findings."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from lockkeeper.findings.finding import FileCode, FileFinding, Level
from lockkeeper.manifests.carriers import carried
from lockkeeper.manifests.helm_templates import HelmTemplate, helm_template
from lockkeeper.manifests.manifest import Manifest, manifest_of
from lockkeeper.manifests.object_kinds import is_object, is_policy, misspelt
from lockkeeper.manifests.path_patterns import is_excluded
from policy.core.values.problems import Problem
from policy.sources.directory import DocumentOrigin, PolicyErrors, SourceError, fault_error
from policy.sources.file_tree import content_of, entries
from policy.sources.yaml_positions import Fault, Json, ParsedDocument, ParsedText, item, parse

STANDARD_INPUT: Final = "-"
_STANDARD_INPUT_NAME: Final = "standard input"
_MOST_CARRIED: Final = 3
"""How deep objects in objects are looked for."""


class Inputs(msgspec.Struct, frozen=True):
    """What was read: objects, what could not be read or is misspelt, and how much there was."""

    manifests: tuple[Manifest, ...]
    findings: tuple[FileFinding, ...]
    files: int
    passed_over: int


def read_inputs(paths: Sequence[str], *, beside: Sequence[str] = (), exclude: Sequence[str] = ()) -> Inputs:
    """Read everything, each file once, whatever of it is wrong; nothing `beside` the paths is left out."""
    reading = _InputReader()
    for path in beside:
        reading.add_path(path, ())
    for path in paths:
        reading.add_path(path, exclude)
    return Inputs(tuple(reading.manifests), tuple(reading.findings), reading.files, reading.passed_over)


def unread(inputs: Inputs, manifest: Manifest, message: str) -> Inputs:
    """Return what was read with one object that turned out to be unreadable."""
    about = manifest.called(manifest.namespace)
    finding = FileFinding(manifest.file, manifest.line, Level.ERROR, FileCode.UNREADABLE, about, "", message)
    return msgspec.structs.replace(inputs, findings=(*inputs.findings, finding))


def read_manifests(path: Path) -> list[Manifest]:
    """Return the objects of a file, or of the files below a folder, for callers that need all of them.

    Raises:
        PolicyErrors: something cannot be read; all faults of all files at once.
    """
    inputs = read_inputs([str(path)])
    wrong = [each for each in inputs.findings if each.level is Level.ERROR]
    if wrong:
        raise PolicyErrors(SourceError(each.file, each.line, 0, each.field, each.message) for each in wrong)
    return [each for each in inputs.manifests if each.carrier is None]


class _InputReader:
    """Collects what the files hold."""

    def __init__(self) -> None:
        self.manifests: list[Manifest] = []
        self.findings: list[FileFinding] = []
        self.files = 0
        self.passed_over = 0
        self._read: set[str] = set()
        self._charts: set[Path] = set()

    def add_path(self, path: str, exclude: Sequence[str]) -> None:
        """Read a file, the files below a folder that are not left out, or standard input."""
        if path == STANDARD_INPUT:
            self._add_standard_input()
            return
        root = Path(path)
        for entry in sorted(entries(root), key=lambda each: each.name):
            file = root / entry.name
            shown = os.fsencode(file).decode(errors="replace")
            if is_excluded(shown, entry.name, exclude) or not self._is_new(file):
                continue
            content = content_of(file, entry, any_file=not entry.name)
            if isinstance(content, bytes):
                self.add(shown, content)
            else:
                self._tell_unread(SourceError(shown, 0, 0, "", content))

    def _add_standard_input(self) -> None:
        try:
            content = sys.stdin.buffer.read()
        except AttributeError:  # Python has none where the caller closed it.
            self._tell_unread(SourceError(_STANDARD_INPUT_NAME, 0, 0, "", "is closed"))
        except OSError as error:
            message = f"cannot be read: {error.strerror}"
            self._tell_unread(SourceError(_STANDARD_INPUT_NAME, 0, 0, "", message))
        else:
            self.add(_STANDARD_INPUT_NAME, content)

    def add(self, file: str, content: bytes) -> None:
        """Read one text."""
        self.files += 1
        text = parse(content)
        is_yaml = text.fault is None and not any(_faults_of(each) for each in text.documents)
        helm = helm_template(file, content, is_yaml=is_yaml)
        if helm is not None:
            self._tell_helm_template(file, helm)
            return
        self._add_documents(file, text)
        if text.fault is not None:
            self._tell_unread(fault_error(file, text.fault))

    def _tell_helm_template(self, file: str, helm: HelmTemplate) -> None:
        """Tell of each template that would have to be checked, and of the others once for a chart."""
        if not helm.holds_ours and helm.chart is not None:
            if helm.chart in self._charts:
                self.passed_over += 1
                return
            self._charts.add(helm.chart)
        level = Level.ERROR if helm.holds_ours else Level.WARNING
        self._tell_unread(SourceError(file, 0, 0, "", str(helm)), level)

    def _add_documents(self, file: str, text: ParsedText) -> None:
        for source in text.documents:
            if source.value is None:
                for fault in _faults_of(source):
                    self._tell_unread(fault_error(file, fault))
            for value, path in _objects(source.value, ""):
                self._add_object(value, DocumentOrigin(file, path, source))

    def _add_object(self, value: Json, origin: DocumentOrigin) -> None:
        problem = misspelt(value)
        if problem is not None:
            known = isinstance(value, dict) and is_object(value)
            self._tell_misspelt(value, origin, problem, Level.ERROR if known else Level.WARNING)
            return
        if not isinstance(value, dict) or not (is_object(value) or is_policy(value)):
            self.passed_over += 1
            return
        manifest = manifest_of(value, origin)
        faults = [each for each in _faults_of(origin.source) if origin.inner(each.path) is not None]
        for fault in faults:
            self._tell_unread(fault_error(origin.file, fault), about=manifest.called(manifest.namespace))
        if not faults:
            self._add_manifest(manifest)

    def _add_manifest(self, manifest: Manifest, depth: int = 0) -> None:
        self.manifests.append(manifest)
        if depth < _MOST_CARRIED:
            for each in carried(manifest):
                self._add_manifest(each, depth + 1)

    def _is_new(self, file: Path) -> bool:
        real = os.path.realpath(file)
        known = real in self._read
        self._read.add(real)
        return not known

    def _tell_unread(self, error: SourceError, level: Level = Level.ERROR, *, about: str = "") -> None:
        code = FileCode.UNREADABLE
        self.findings.append(
            FileFinding(error.file, error.line, level, code, about, error.path, error.message)
        )

    def _tell_misspelt(self, value: Json, origin: DocumentOrigin, problem: Problem, level: Level) -> None:
        found = manifest_of(value if isinstance(value, dict) else {}, origin)
        place = origin.error(problem)
        about = found.called(found.namespace).strip()
        code = FileCode.UNKNOWN_KIND
        self.findings.append(
            FileFinding(place.file, place.line, level, code, about, problem.path, problem.message)
        )


def _faults_of(source: ParsedDocument) -> list[Fault]:
    """Return what has no value; a repeated key has one, the last, as for the API server."""
    return [fault for fault in source.faults if not fault.repeated]


def _objects(value: Json, path: str) -> Iterator[tuple[Json, str]]:
    """Yield the objects of a document with their paths in it, lists taken apart."""
    if value is None:
        return
    items = value.get("items") if isinstance(value, dict) else None
    if isinstance(value, dict) and str(value.get("kind")).endswith("List") and isinstance(items, list):
        for index, each in enumerate(items):
            yield from _objects(each, item(f"{path}.items" if path else "items", index))
        return
    yield value, path
