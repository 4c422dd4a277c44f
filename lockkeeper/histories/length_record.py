"""What the controller keeps of how long runs take (RunLengths), for a load that is described and for `--now`.

The record has sketches of lengths and no single runs: not when these were created or by whom, not how many
they were, nor their tasks and priorities. So it is no history by itself; a load says the rest.
"""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec

from lockkeeper.histories.load_description import ArrivalProcess, Load, LoadError
from policy.core.cluster_view.run_lengths import AllSeries, KnownSeries, RunLengths, series_of
from policy.core.values.prepared import prepare
from policy.core.values.quantile_sketch import Lengths
from policy.sources.yaml_positions import parse

KIND: Final = "RunLengths"
NO_HISTORY: Final = (
    "left out: an object of kind RunLengths tells how long runs take, and not when they were created, by "
    "whom and how large they were: describe these in a load, with runLengths: FILE and "
    "runTime: {recorded: TEMPLATE}"
)
_READ_WITH: Final = "kubectl get runlengths lockkeeper -o json prints one"


class _Kept(msgspec.Struct, frozen=True):
    """A RunLengths object, or a List of such."""

    kind: str = ""
    series: tuple[KnownSeries, ...] = ()
    items: tuple["_Kept", ...] = ()


prepare(_Kept)


def recorded_load(load: Load, folder: Path, note: Callable[[str], None]) -> Load:
    """Return a load with the recorded run times written out; `folder` is where its paths begin.

    Raises:
        LoadError: the record cannot be read, or knows too little.
    """
    wanted = [each for each in load.arrivals if each.run_time.recorded is not None]
    if load.run_lengths is None:
        if wanted:
            raise LoadError("runTime has recorded, and the load no runLengths: FILE with the record")
        return load
    record, namespaces = _read_record(folder / load.run_lengths)
    arrivals = tuple(
        _with_recorded(each, f"arrivals[{number}]", record, namespaces, note)
        for number, each in enumerate(load.arrivals)
    )
    note(
        f"{len(wanted)} of its {len(load.arrivals)} arrivals run as long as {load.run_lengths} has recorded: "
        "right to an eighth, and with each week that has passed a run counts half as much; when, by whom and "
        "how large they are created is as described, since a record has none of it"
    )
    return msgspec.structs.replace(load, arrivals=arrivals)


def series_of_template(namespace: str, name: str, template: str) -> AllSeries:
    """Return the series of a run; only `kind/name` is a template, else it is the name without its end."""
    return series_of(namespace, name, template if "/" in template else "")


def _with_recorded(
    process: ArrivalProcess,
    place: str,
    record: RunLengths,
    namespaces: set[str],
    note: Callable[[str], None],
) -> ArrivalProcess:
    """Return arrivals with their lengths as the record has them, or those of their namespace with a note."""
    wanted = process.run_time.recorded
    if wanted is None:
        return process
    series = _series(process.namespace, wanted)
    found = record.lengths(series)
    if not found.total:
        known = ", ".join(sorted(namespaces)) or "no namespace"
        raise LoadError(
            f"{place}: the record knows too little of {wanted!r} and of all of namespace "
            f"{process.namespace}; it knows of {known}"
        )
    if not record.knows(series):
        note(
            f"{place}: the record knows too little of {wanted!r} in {process.namespace}: all runs of the "
            "namespace stand in; write kind/name of a template, the generateName, or the CronWorkflow's name"
        )
    length = msgspec.structs.replace(process.run_time, recorded=None, among=_weights(found))
    return msgspec.structs.replace(process, run_time=length)


def _series(namespace: str, wanted: str) -> AllSeries:
    """Return the series that a text of a load names: a template, or names with or without their end."""
    if "/" in wanted:
        return (series_of(namespace, "", wanted)[0],)
    return (*series_of(namespace, wanted), *series_of(namespace, f"{wanted}-"))


def _weights(lengths: Lengths) -> dict[str, float]:
    """Return lengths as `runTime.among` has them: from and to in seconds, with how much each counts."""
    counts = [float(after - before) for before, after in pairwise((0, *lengths.below))]
    return {
        f"{low}s-{low + width}s": count
        for low, width, count in zip(lengths.lowest, lengths.width, counts, strict=True)
    }


def _read_record(path: Path) -> tuple[RunLengths, set[str]]:
    """Return what a file has recorded, and of which namespaces."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise LoadError(f"runLengths: {path} cannot be read: {error.strerror or error}") from error
    try:
        kept = _decoded(text)
        series = tuple(each for item in (kept, *kept.items) if item.kind == KIND for each in item.series)
        record = RunLengths.read(series)
    except (msgspec.MsgspecError, ValueError) as error:
        raise LoadError(f"runLengths: {path} is no record of Lockkeeper: {error}; {_READ_WITH}") from error
    if not record:
        raise LoadError(f"runLengths: {path} has no RunLengths with a series in it; {_READ_WITH}")
    return record, {each.namespace for each in series if each.namespace}


def _decoded(text: bytes) -> _Kept:
    """Return what JSON or YAML has."""
    if text.lstrip().startswith(b"{"):
        return msgspec.json.decode(text, type=_Kept)
    read = parse(text)
    if len(read.documents) != 1:
        raise ValueError(f"it has {len(read.documents)} documents")
    return msgspec.convert(read.documents[0].value, _Kept)
