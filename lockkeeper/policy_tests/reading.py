"""Reads test files: every fault of a file at once, with its place, or a suite that can be run."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from lockkeeper.manifests.manifest import Manifest, manifest_of
from lockkeeper.manifests.object_kinds import is_object, misspelt
from lockkeeper.manifests.reading import read_manifests
from lockkeeper.policy_tests.case_format import Expectation, PolicyCase, PolicyTestFile, WorkflowEntry
from lockkeeper.policy_tests.field_paths import steps_of, value_at
from lockkeeper.reviewing.assumptions import time_with_zone
from policy.core.objects.argo_version import DEFAULT_VERSION, ArgoVersion
from policy.core.values.durations import duration
from policy.core.values.problems import Problem
from policy.sources.directory import DocumentOrigin, PolicyErrors, SourceError, fault_error
from policy.sources.file_tree import FileEntry, content_of, entries
from policy.sources.schema_check import decode, did_you_mean, walk
from policy.sources.yaml_positions import ParsedDocument, child, parse

NAME_ENDS: Final = ("lockkeeper-test.yaml", "lockkeeper-test.yml", "lockkeeper-test.json")
"""How the name of a test file in a folder ends."""
MOST_PLAYED: Final = 1000
"""Workflows of a namespace that run while a case with `released` is played."""
_ONE_SECOND: Final = timedelta(seconds=1)
_Value = TypeVar("_Value")


class Subject(msgspec.Struct, frozen=True, eq=False):
    """An object to be decided: who creates it how much later, and what is expected where in the file."""

    manifest: Manifest
    user: str
    after: timedelta
    expect: Expectation | None
    expect_path: str


class SuiteCase(msgspec.Struct, frozen=True, eq=False):
    """A case with its objects; `at` is None where the time of the run counts."""

    case: PolicyCase
    path: str
    at: datetime | None
    subjects: tuple[Subject, ...]


class Suite(msgspec.Struct, frozen=True, eq=False):
    """One test file: its policies, what stands beside them, and its cases.

    With `names_policies` the file says where policies are; else all of them are among its objects.
    """

    origin: DocumentOrigin
    policies: Path
    names_policies: bool
    argo: ArgoVersion
    namespace: str
    beside: tuple[Manifest, ...]
    cases: tuple[SuiteCase, ...]

    def line(self, path: str) -> int:
        """Return the line of a field, or of the nearest one around it."""
        return self.origin.error(Problem(path, "")).line


def test_file_entries(path: Path) -> Iterator[FileEntry]:
    """Yield a test file itself, or those below a folder, and what cannot be read there."""
    for each in sorted(entries(path), key=lambda entry: entry.name):
        if not each.name or each.name.endswith(NAME_ENDS) or each.status is None:
            yield each


def read_suite(path: Path, entry: FileEntry) -> Suite:
    """Return the suite of one test file.

    Raises:
        PolicyErrors: it cannot be read, or something in it is wrong; all faults at once.
    """
    file = path / entry.name
    content = content_of(file, entry, any_file=not entry.name)
    if isinstance(content, str):
        raise PolicyErrors([SourceError(str(file), 0, 0, "", content)])
    text = parse(content)
    if text.fault is not None:
        raise PolicyErrors([fault_error(str(file), text.fault)])
    if len(text.documents) != 1:
        message = f"must be one document with policies and cases; found {len(text.documents)}"
        raise PolicyErrors([SourceError(str(file), 0, 0, "", message)])
    return _SuiteReader(file, text.documents[0]).suite()


class _SuiteReader:
    """Reads one document, and collects what is wrong with it."""

    def __init__(self, file: Path, source: ParsedDocument) -> None:
        self._file = file
        self._folder = file.parent
        self._source = source
        self._origin = DocumentOrigin(str(file), "", source)
        self._errors: list[SourceError] = [fault_error(str(file), each) for each in source.faults]
        self._files: dict[str, list[Manifest]] = {}

    def suite(self) -> Suite:
        """Return the suite. Raises PolicyErrors."""
        self._errors += map(self._origin.error, walk(self._source.value, PolicyTestFile))
        self._check()
        read = decode(self._source.value, PolicyTestFile)
        self._tell_twice([each.name for each in read.cases], "cases", "name")
        cases = tuple(self._case(each, f"cases[{index}]") for index, each in enumerate(read.cases))
        if not cases:
            self._tell("cases", "is empty: write at least one case")
        beside = tuple(
            manifest
            for index, each in enumerate(read.objects)
            for manifest in (
                self._in_file(each, f"objects[{index}]")
                if isinstance(each, str)
                else self._written_here(f"objects[{index}]")
            )
        )
        argo = self._argo(read.argo_version)
        self._check()
        # Where no policies are named the file itself is read, in which there are none but its objects.
        policies = self._file if read.policies is None else self._folder / read.policies
        names = read.policies is not None
        return Suite(self._origin, policies, names, argo, read.namespace, beside, cases)

    def _case(self, case: PolicyCase, path: str) -> SuiteCase:
        subjects: list[Subject] = []
        for index, entry in enumerate(case.workflows):
            where = f"{path}.workflows[{index}]"
            own = entry.expect is not None
            expect, place = (entry.expect, f"{where}.expect") if own else (case.expect, f"{path}.expect")
            self._check_expectation(expect, place, told=case.released is not None, entry=where)
            after = self._read(entry.after, f"{where}.after", duration) or _ONE_SECOND
            subjects += [
                Subject(self._as_named(each, entry), entry.user or case.user or "", after, expect, place)
                for each in self._of_entry(entry, where)
            ]
        if not case.workflows:
            self._tell(f"{path}.workflows", "is empty: nothing would be decided")
        for index, name in enumerate(case.released or ()):
            names = [each.manifest.name for each in subjects if each.manifest.kind == "Workflow"]
            if name not in names:
                hint = did_you_mean(name, names) or f"; its Workflows are {', '.join(names) or 'none'}"
                self._tell(f"{path}.released[{index}]", f'"{name}" is no Workflow of the case{hint}')
        if case.released is not None:
            self._tell_twice(
                [each.manifest.name for each in subjects], f"{path}.workflows", "name", index_only=True
            )
        self._check_running(case, path)
        at = self._read(case.at, f"{path}.at", time_with_zone)
        return SuiteCase(case, path, at, tuple(subjects))

    def _check_expectation(self, expect: Expectation | None, path: str, *, told: bool, entry: str) -> None:
        if expect is None and not told:
            self._tell(entry, "expects nothing: write expect here, or expect or released in the case")
        elif expect is not None and expect.is_empty:
            self._tell(path, "is empty: write what is expected, such as decision")
        if expect is not None:
            for field in (*(expect.fields or ()), *expect.absent):
                self._read(field, path, steps_of)

    def _check_running(self, case: PolicyCase, path: str) -> None:
        for namespace, each in case.running.items():
            workflows = each if isinstance(each, int) else each.workflows
            tasks = 0 if isinstance(each, int) else each.tasks or 0
            where = child(f"{path}.running", namespace)
            if workflows < 0 or tasks < 0:
                self._tell(where, "must be 0 or more")
            elif case.released is not None and workflows > MOST_PLAYED:
                self._tell(where, f"must be at most {MOST_PLAYED} where released is given")

    # Objects.

    def _of_entry(self, entry: WorkflowEntry, path: str) -> list[Manifest]:
        if (entry.file is None) == (entry.object is None):
            self._tell(path, "must have one of file and object")
            return []
        if entry.object is not None:
            return self._written_here(f"{path}.object")
        found = self._in_file(entry.file or "", f"{path}.file")
        if entry.only is not None:
            names = [each.name for each in found]
            hint = did_you_mean(entry.only, names) or f"; there are {', '.join(names)}"
            found = [each for each in found if each.name == entry.only]
            if not found and names:
                self._tell(f"{path}.only", f'there is no "{entry.only}" in {entry.file}{hint}')
        if entry.name is not None and len(found) > 1:
            self._tell(f"{path}.name", f"would name {len(found)} objects: say with only which is meant")
        return found

    def _written_here(self, path: str) -> list[Manifest]:
        """Return an object of the test file itself, with its nulls."""
        value = value_at(self._source.value, path)
        if not isinstance(value, dict) or not is_object(value):
            self._tell(path, "must be a Kubernetes object, with apiVersion and kind")
            return []
        problem = misspelt(value)
        if problem is not None:
            self._tell(f"{path}.{problem.path}", problem.message)
        return [manifest_of(value, DocumentOrigin(self._origin.file, path, self._source))]

    def _in_file(self, file: str, path: str) -> list[Manifest]:
        known = self._files.get(file)
        if known is None:
            try:
                known = read_manifests(self._folder / file)
            except PolicyErrors as errors:
                for each in errors.errors:
                    if each.line:
                        self._errors.append(each)
                    else:  # The file itself, and not something in it.
                        self._tell(path, f"{file}: {each.message}")
                known = []
            else:
                if not known:
                    self._tell(path, f"there is no Kubernetes object in {file}")
            self._files[file] = known
        return known

    def _as_named(self, manifest: Manifest, entry: WorkflowEntry) -> Manifest:
        """Return an object with the name and namespace of its entry, where these are given."""
        if entry.name is None and entry.namespace is None:
            return manifest
        written = manifest.value.get("metadata")
        metadata = dict(written) if isinstance(written, dict) else {}
        if entry.name is not None:
            metadata.pop("generateName", None)
            metadata["name"] = entry.name
        if entry.namespace is not None:
            metadata["namespace"] = entry.namespace
        return manifest_of({**manifest.value, "metadata": metadata}, manifest.origin)

    # What is wrong.

    def _argo(self, text: str | None) -> ArgoVersion:
        return self._read(text, "argoVersion", ArgoVersion.parse_known) or DEFAULT_VERSION

    def _read(self, text: str | None, path: str, read: Callable[[str], _Value]) -> _Value | None:
        if text is None:
            return None
        try:
            return read(text)
        except ValueError as error:
            self._tell(path, str(error))
            return None

    def _tell_twice(self, names: Iterable[str], path: str, field: str, *, index_only: bool = False) -> None:
        seen: set[str] = set()
        for index, name in enumerate(names):
            if name in seen:
                where = path if index_only else f"{path}[{index}].{field}"
                self._tell(where, f'"{name}" stands twice: give each another name')
            seen.add(name)

    def _tell(self, path: str, message: str) -> None:
        self._errors.append(self._origin.error(Problem(path, message)))

    def _check(self) -> None:
        if self._errors:
            raise PolicyErrors(self._errors)
