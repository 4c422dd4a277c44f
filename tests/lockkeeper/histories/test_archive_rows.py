"""Argo's archive: exports of its table, SQLite, and a real PostgreSQL with Argo's own schema."""

import csv
import json
import sqlite3
from collections.abc import Iterator
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, Final

import pytest

from lockkeeper.histories.archive_rows import rows_of_csv, without_password
from lockkeeper.histories.history import RunHistory
from lockkeeper.histories.opening import open_history
from lockkeeper.process.console import UsageError
from tests.lockkeeper.histories.archives import COLUMNS, SCHEMA, archive_row, recorded_workflow
from tests.lockkeeper.histories.postgres import MISSING, PASSWORD, Postgres, running_postgres

WORKFLOWS: Final = (
    recorded_workflow("a", created="2026-11-02T10:00:00Z"),
    recorded_workflow("b", "team-ml", arguments={"parameters": [{"name": "q", "value": '"x"\n,\\;\''}]}),
)
ROWS: Final = [archive_row(each, json.dumps(each)) for each in WORKFLOWS]


def names(history: RunHistory) -> list[str]:
    """Return the runs of a history in their order, each with its length."""
    return [f"{each.namespace}/{each.name} {each.seconds:.0f}" for each in history.runs()]


def opened(source: str) -> RunHistory:
    """Return a history."""
    return open_history(source, with_nodes=False, namespace="default")


EXPECTED: Final = ["team-ml/b 600", "team-etl/a 600"]


def test_an_export_as_csv_is_a_history(tmp_path: Path) -> None:
    """`copy argo_archived_workflows to ... with (format csv, header)`: quotes and line ends in it."""
    text = StringIO()
    csv.writer(text).writerows([COLUMNS, *ROWS])
    file = tmp_path / "archive.csv"
    file.write_text(text.getvalue(), "utf-8")
    assert names(opened(str(file))) == EXPECTED


@pytest.mark.parametrize("column", ["text", "json"])
def test_an_export_as_json_lines_is_a_history(tmp_path: Path, column: str) -> None:
    """The Workflow is an object or a text, by the type of the column."""
    lines = []
    for workflow, row in zip(WORKFLOWS, ROWS, strict=True):
        value: Any = json.dumps(workflow) if column == "text" else workflow
        lines.append(json.dumps({**dict(zip(COLUMNS, row, strict=True)), "workflow": value}))
    file = tmp_path / "archive.jsonl"
    file.write_text("\n".join(lines), "utf-8")
    assert names(opened(str(file))) == EXPECTED


def test_a_row_without_a_workflow_is_told_with_its_number(tmp_path: Path) -> None:
    """A row that was cut off, and one that is something else."""
    file = tmp_path / "archive.csv"
    text = StringIO()
    csv.writer(text).writerows([("uid", "workflow"), ("1", ROWS[0][5]), ("2",), ("3", "no json")])
    file.write_text(text.getvalue(), "utf-8")
    history = opened(str(file))
    assert history.count == 1
    told = history.facts().remarks
    assert any(each.endswith(f"({file}: row 2)") for each in told), told
    assert any(each.endswith(f"({file}: row 3)") for each in told), told


def test_a_table_without_workflows_is_a_usage_error() -> None:
    """With what is missing, and where."""
    with pytest.raises(UsageError, match=r"x\.csv has no column workflow"):
        list(rows_of_csv(BytesIO(b"uid,name\n1,a\n"), "x.csv"))


def test_what_argo_archive_list_prints_is_a_history_without_specs(tmp_path: Path) -> None:
    """An array; it leaves specs out, which is told."""
    listed = [{**each, "spec": {"arguments": {}}} for each in WORKFLOWS]
    file = tmp_path / "archive.json"
    file.write_text(json.dumps(listed), "utf-8")
    history = opened(str(file))
    assert names(history) == EXPECTED
    (told,) = history.facts().remarks
    assert told.startswith("2 times: its spec was left out, as `argo archive list` does")


@pytest.mark.parametrize("table", ["argo_archived_workflows", "argo_workflows"])
@pytest.mark.parametrize("form", ["{}", "sqlite://{}", "sqlite:///{}"])
def test_a_database_of_sqlite_is_read_and_not_written(tmp_path: Path, table: str, form: str) -> None:
    """The archive, or the store of argo-server; by its path or its address."""
    file = tmp_path / "argo.data"
    connection = sqlite3.connect(file)
    connection.execute(SCHEMA.format(json="text").replace("argo_archived_workflows", table))
    places = ", ".join("?" for _ in COLUMNS)
    connection.executemany(f"insert into {table} values ({places})", ROWS)  # noqa: S608 - names of the test
    connection.commit()
    connection.close()
    file.chmod(0o444)
    before = file.read_bytes()
    assert names(opened(form.format(file))) == EXPECTED
    assert file.read_bytes() == before


def test_what_is_no_archive_is_a_usage_error(tmp_path: Path) -> None:
    """Another database, a file that is not there, another kind of database."""
    other = tmp_path / "other.db"
    connection = sqlite3.connect(other)
    connection.execute("create table t (a int)")
    connection.close()
    with pytest.raises(UsageError, match=r"other\.db has no table argo_archived_workflows"):
        opened(str(other))
    with pytest.raises(UsageError, match="there is no such file"):
        opened(f"sqlite://{tmp_path}/none.db")
    with pytest.raises(UsageError, match="no address of PostgreSQL or SQLite: export its table") as told:
        opened("mysql://me:secret@host/argo")
    assert "secret" not in str(told.value)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://me:s%40x@db:5432/argo", "postgresql://me@db:5432/argo"),
        (
            "postgres://db/argo?user=me&password=x&sslmode=require",
            "postgres://db/argo?user=me&sslmode=require",
        ),
        ("history.json", "history.json"),
    ],
)
def test_a_password_is_shown_nowhere(address: str, shown: str) -> None:
    """Reports are mailed, and others see the arguments of processes."""
    assert without_password(address) == shown


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """Return a real server."""
    if MISSING:
        pytest.skip(MISSING)
    with running_postgres() as found:
        yield found


def literal(text: str) -> str:
    """Return a text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


@pytest.mark.parametrize("kind", ["json", "jsonb", "text"])
def test_the_archive_in_postgresql_is_read(server: Postgres, kind: str) -> None:
    """With Argo's own schema, in each type that the column has had; no password reaches a report."""
    server.run("drop table if exists argo_archived_workflows;" + SCHEMA.format(json=kind) + ";")
    for row in ROWS:
        server.run(f"insert into argo_archived_workflows values ({', '.join(map(literal, row))})")  # noqa: S608
    history = opened(server.address())
    assert names(history) == EXPECTED
    assert PASSWORD not in history.facts().source
    assert history.facts().source.startswith("postgresql://argo@/postgres?host=")


def test_nothing_is_written_into_postgresql(server: Postgres) -> None:
    """Not even by what others put behind the name of the table."""
    server.run(
        "drop table if exists argo_archived_workflows; create table told (at text);"
        "create function tell() returns text language sql as"
        " $$ insert into told values ('x') returning at $$;"
        "create view argo_archived_workflows as select tell() as workflow;"
    )
    with pytest.raises(UsageError, match="cannot execute INSERT in a read-only transaction"):
        opened(server.address())
    server.run("drop view argo_archived_workflows; drop function tell(); drop table told;")


def test_what_postgresql_refuses_is_told_without_the_password(server: Postgres) -> None:
    """A wrong password, and a database without an archive."""
    with pytest.raises(UsageError, match="password authentication failed") as told:
        opened(server.address("wrong-one"))
    assert "wrong-one" not in str(told.value)
    with pytest.raises(UsageError, match='relation "argo_archived_workflows" does not exist'):
        opened(server.address())
