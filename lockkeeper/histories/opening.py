"""Opens a history, whatever form it has, and reads it once."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import msgspec

from lockkeeper.histories.archive_rows import (
    is_sqlite,
    rows_of_csv,
    rows_of_database,
    rows_of_sqlite,
    scheme_of,
    without_password,
)
from lockkeeper.histories.history import RunHistory
from lockkeeper.histories.json_objects import TruncatedJson, json_objects
from lockkeeper.histories.length_record import recorded_load
from lockkeeper.histories.load_description import Load, LoadError, read_load
from lockkeeper.histories.load_drawing import drawn_runs
from lockkeeper.histories.recorded import NONE, RecordedWorkflow, RunReader
from lockkeeper.histories.remarks import Remarks
from lockkeeper.manifests.reading import read_inputs
from lockkeeper.process.console import UsageError, reason_of
from policy.core.values.prepared import prepare
from policy.service.simulation.past_run import PastRun
from policy.sources.yaml_positions import parse

STANDARD_INPUT: Final = "-"
_JSON: Final = frozenset({".json", ".jsonl", ".ndjson"})
_CSV: Final = frozenset({".csv"})
_YAML: Final = frozenset({".yaml", ".yml"})
_MOST_LOAD: Final = 1 << 20
"""Bytes of a file that may describe a load; longer ones hold Workflows."""
prepare(RecordedWorkflow)
_WORKFLOW: Final = msgspec.json.Decoder(RecordedWorkflow)
_TEXT: Final = msgspec.json.Decoder(str)


def open_history(source: str, *, with_nodes: bool, namespace: str) -> RunHistory:
    """Return the history that a path names; `namespace` is that of Workflows that name none.

    Raises:
        UsageError: it cannot be read, or there is no run in it.
    """
    remarks = Remarks()
    history = RunHistory(without_password(source), remarks=remarks)
    reader = RunReader(remarks=remarks, with_nodes=with_nodes, default_namespace=namespace)
    for run in _runs(source, reader, remarks):
        history.add(run)
    if not history.count:
        left_out = "".join(f"\n{each}" for each in remarks.lines())
        raise UsageError(f"there is no Workflow in {_shown(source)} that can be played{left_out}")
    return history


def _runs(source: str, reader: RunReader, remarks: Remarks) -> Iterator[PastRun]:
    """Yield the runs of a source."""
    load = described_load(source, remarks.note)
    if load is not None:
        remarks.note("it is a described load, drawn at random by its seed: no history of what has run")
        yield from drawn_runs(load)
        return
    for found, place in _workflows(source, remarks):
        run = reader.read(found, place)
        if run is not None:
            yield run


def described_load(source: str, note: Callable[[str], None] = lambda _: None) -> Load | None:
    """Return the load that a file describes, None where it is no such file; `note` is told of its record."""
    path = Path(source)
    if path.suffix not in _YAML or not path.is_file():
        return None
    with _opened(path) as file:
        text = file.read(_MOST_LOAD)
    documents = parse(text).documents
    value = documents[0].value if len(documents) == 1 else None
    if not isinstance(value, dict) or "arrivals" not in value:
        return None
    try:
        return recorded_load(read_load(msgspec.json.encode(value)), path.parent, note)
    except LoadError as error:
        raise UsageError(f"{path} describes a load, but {error}") from error


def _workflows(source: str, remarks: Remarks) -> Iterator[tuple[RecordedWorkflow, str]]:
    """Yield the Workflows of a source with their places."""
    if source == STANDARD_INPUT:
        yield from _of_json(sys.stdin.buffer.read, _shown(source), remarks)
        return
    if scheme_of(source):
        yield from _of_rows(rows_of_database(source), without_password(source), remarks)
        return
    path = Path(source)
    if not path.exists():
        raise UsageError(f"{source} does not exist: give a file, a folder, - or the address of an archive")
    if path.is_file() and is_sqlite(path):
        yield from _of_rows(rows_of_sqlite(path), source, remarks)
        return
    if path.suffix in _CSV and path.is_file():
        with _opened(path) as file:
            yield from _of_rows(rows_of_csv(file, source), source, remarks)
        return
    if path.suffix in _JSON and path.is_file():
        with _opened(path) as file:
            yield from _of_json(file.read, source, remarks)
        return
    yield from _of_manifests(source, remarks)


def _of_json(
    read: Callable[[int], bytes], shown: str, remarks: Remarks
) -> Iterator[tuple[RecordedWorkflow, str]]:
    """Yield the Workflows of JSON; what cannot be read is told with its number."""
    number = 0
    try:
        for number, text in enumerate(json_objects(read), start=1):
            yield from decoded(text, f"{shown}: object {number}", remarks)
    except TruncatedJson as error:
        remarks.add(f"left out: what follows; {error}", f"{shown}: after object {number}")


def _of_rows(rows: Iterator[bytes], shown: str, remarks: Remarks) -> Iterator[tuple[RecordedWorkflow, str]]:
    """Yield the Workflows of a table."""
    for number, text in enumerate(rows, start=1):
        yield from decoded(text, f"{shown}: row {number}", remarks)


def decoded(text: bytes, place: str, remarks: Remarks) -> Iterator[tuple[RecordedWorkflow, str]]:
    """Yield the Workflow in a text, or in the row of an archive that a text is."""
    try:
        found = _WORKFLOW.decode(text)
        if found.workflow != NONE:
            inner = bytes(found.workflow)
            found = _WORKFLOW.decode(_TEXT.decode(inner) if inner.startswith(b'"') else inner)
        yield found, place
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        remarks.add(f"left out: it is no Workflow that can be read: {error}", place)


def _of_manifests(source: str, remarks: Remarks) -> Iterator[tuple[RecordedWorkflow, str]]:
    """Yield the Workflows of files of YAML or JSON."""
    inputs = read_inputs([source])
    for finding in inputs.findings:
        remarks.add(f"left out: {finding.message}", f"{finding.file}:{finding.line}")
    for manifest in inputs.manifests:
        if manifest.carrier is not None:
            continue
        place = f"{manifest.file}:{manifest.line}"
        try:
            yield _WORKFLOW.decode(msgspec.json.encode(manifest.value)), place
        except msgspec.MsgspecError as error:
            remarks.add(f"left out: it is no Workflow that can be read: {error}", place)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {reason_of(error)}") from error


def _shown(source: str) -> str:
    return "standard input" if source == STANDARD_INPUT else source
