"""Rows of Argo's archive table, of which the column `workflow` has the Workflow: exports, SQLite, PostgreSQL.

The databases are read and never written. PostgreSQL is read by `psql`, which knows how people log in there:
a service file, `.pgpass`, certificates. A password in an address reaches it by the environment, where others
on the machine do not see it.
"""

import csv
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import TextIOWrapper
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from lockkeeper.process.console import UsageError

COLUMN: Final = "workflow"
TABLE: Final = "argo_archived_workflows"
POSTGRES: Final = frozenset({"postgres", "postgresql"})
SQLITE: Final = "sqlite"
_STORE: Final = "argo_workflows"
"""The table of argo-server's own store, which has the same column."""
_MAGIC: Final = b"SQLite format 3\x00"
_READ_ONLY: Final = "set session characteristics as transaction read only"
_COPY: Final = f"copy (select {COLUMN} from {TABLE}) to stdout with (format csv, header)"  # noqa: S608 - our own names
_CONNECT_SECONDS: Final = "15"
_PASSWORD: Final = "password"  # noqa: S105 - its name in an address
_EXPORT: Final = f"export its table {TABLE} as CSV or as one JSON object on each line, and give that file"


def scheme_of(source: str) -> str:
    """Return the scheme of the address of a database, "" for anything else."""
    scheme, colon, _ = source.partition("://")
    return scheme.lower() if colon else ""


def without_password(source: str) -> str:
    """Return the address of a database as it may be shown."""
    if not scheme_of(source):
        return source
    parts, _ = _parted(source)
    return urlunsplit(parts)


def is_sqlite(path: Path) -> bool:
    """Return whether a file is a database of SQLite."""
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def rows_of_database(source: str) -> Iterator[bytes]:
    """Yield the Workflows in the archive at an address. Raises UsageError where it cannot be read."""
    scheme = scheme_of(source)
    if scheme in POSTGRES:
        return _of_postgres(source)
    if scheme == SQLITE:
        return rows_of_sqlite(_sqlite_path(unquote(source.partition("://")[2])))
    raise UsageError(f"{without_password(source)} is no address of PostgreSQL or SQLite: {_EXPORT}")


def _sqlite_path(written: str) -> Path:
    """Return the path in an address, which may have one slash more, as SQLAlchemy writes it."""
    path = Path(written)
    return path if path.exists() else Path(written.removeprefix("/"))


def rows_of_csv(file: IO[bytes], shown: str) -> Iterator[bytes]:
    """Yield the Workflows in an export. Raises UsageError where it has no column of them."""
    csv.field_size_limit(sys.maxsize)
    with TextIOWrapper(file, "utf-8-sig", errors="replace", newline="") as text:
        rows = csv.reader(text)
        try:
            yield from _column(rows, shown)
        except csv.Error as error:
            raise UsageError(f"{shown} cannot be read as CSV: {error}") from error


def _column(rows: Iterator[list[str]], shown: str) -> Iterator[bytes]:
    head = [each.strip().lower() for each in next(rows, [])]
    if not head:
        return
    if COLUMN not in head:
        raise UsageError(f"{shown} has no column {COLUMN}: it is no export of {TABLE} with a head")
    at = head.index(COLUMN)
    for row in rows:
        if row:
            yield row[at].encode() if at < len(row) else b""


def rows_of_sqlite(path: Path) -> Iterator[bytes]:
    """Yield the Workflows in a database of SQLite. Raises UsageError where it cannot be read."""
    if not path.is_file():
        raise UsageError(f"{path} cannot be read: there is no such file")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            connection.text_factory = bytes
            tables = {each.decode() for (each,) in connection.execute("select name from sqlite_master")}
            table = next((each for each in (TABLE, _STORE) if each in tables), None)
            if table is None:
                raise UsageError(f"{path} has no table {TABLE}")
            for (value,) in connection.execute(f"select {COLUMN} from {table}"):  # noqa: S608 - our own names
                yield value if isinstance(value, bytes) else b""
    except sqlite3.Error as error:
        raise UsageError(f"{path} cannot be read: {error}") from error


def _of_postgres(source: str) -> Iterator[bytes]:
    psql = shutil.which("psql")
    shown = without_password(source)
    if psql is None:
        raise UsageError(f"{shown} is read with psql, which is not on the PATH: install it, or {_EXPORT}")
    with _copying(psql, source, shown) as stdout:
        yield from rows_of_csv(stdout, shown)


@contextmanager
def _copying(psql: str, source: str, shown: str) -> Iterator[IO[bytes]]:
    """Let psql write the table, and see to it that it could."""
    parts, password = _parted(source)
    told = {"PGPASSWORD": password} if password else {}
    environment = {"PGCONNECT_TIMEOUT": _CONNECT_SECONDS, **os.environ, **told}
    options = ("-X", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-c", _READ_ONLY, "-c", _COPY)
    with TemporaryFile() as errors:
        process = subprocess.Popen(  # noqa: S603 - the client of this machine, without a shell
            [psql, *options, "-d", urlunsplit(parts)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
        )
        try:
            if process.stdout is None:
                raise AssertionError("it has a pipe")
            yield process.stdout
            code = process.wait()
        finally:
            process.kill()
            process.wait()
        if code:
            errors.seek(0)
            told_lines = errors.read().decode(errors="replace").strip().splitlines()
            raise UsageError(f"{shown} cannot be read: {told_lines[0] if told_lines else f'psql: {code}'}")


def _parted(source: str) -> tuple[SplitResult, str]:
    """Return an address without its password, and that."""
    try:
        parts = urlsplit(source)
    except ValueError as error:
        raise UsageError(f"this is no address of a database: {error}") from error
    user, at, host = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    query = parse_qsl(parts.query, keep_blank_values=True)
    also = "".join(value for key, value in query if key == _PASSWORD)
    left = urlencode([each for each in query if each[0] != _PASSWORD])
    return parts._replace(netloc=f"{name}{at}{host}", query=left), unquote(password) or also
