"""A PostgreSQL of Debian's package in a temporary folder: on a socket in it, with a password."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

USER: Final = "argo"
PASSWORD: Final = "p@ss/word:1"  # noqa: S105 - of a server that lives for one test
_NOBODY: Final = 65534


def _programs() -> Path | None:
    """Return the folder with the programs of the server."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).resolve().parent if on_path else None


PROGRAMS: Final = _programs()
MISSING: Final = "" if PROGRAMS and shutil.which("psql") else "no PostgreSQL: apt-get install postgresql"


class Postgres:
    """A server that runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "PGPASSWORD": PASSWORD, "LC_ALL": "C"}

    def address(self, password: str = PASSWORD) -> str:
        """Return its address, with a password."""
        return f"postgresql://{USER}:{quote(password, safe='')}@/postgres?host={self.folder}"

    def run(self, statements: str) -> None:
        """Run statements in it."""
        command = [
            "psql",
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            USER,
            "-h",
            str(self.folder),
            "postgres",
        ]
        subprocess.run(command, input=statements.encode(), check=True, env=self.environment)  # noqa: S603


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Return a server that is stopped afterwards, and its folder removed."""
    assert PROGRAMS is not None
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    account = None
    if os.geteuid() == 0:  # It does not run as root.
        account = _NOBODY
        os.chown(folder, _NOBODY, _NOBODY)
    server = Postgres(folder)
    password, data = folder / "password", str(folder / "data")
    password.write_text(PASSWORD)
    password.chmod(0o644)

    def call(program: str, *arguments: str) -> None:
        subprocess.run(  # noqa: S603 - the server of this machine
            [str(PROGRAMS / program), *arguments],
            check=True,
            user=account,
            cwd=folder,
            env=server.environment,
            stdout=subprocess.DEVNULL,
        )

    try:
        call("initdb", "-D", data, "-U", USER, "-A", "scram-sha-256", f"--pwfile={password}", "--no-sync")
        options = f"-k {folder} -c listen_addresses= -c fsync=off"
        call("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield server
        finally:
            call("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)
