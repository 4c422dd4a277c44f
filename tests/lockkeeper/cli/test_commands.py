"""What each command imports, which is what it costs before it does anything."""

import subprocess
import sys
from typing import Final

import pytest

from tests.lockkeeper.commands import EXAMPLES, ROOT

SERVERS: Final = frozenset({"flask", "werkzeug", "jinja2", "click", "gunicorn", "prometheus_client"})
"""What serves HTTP and metrics."""
CLUSTER: Final = frozenset({"kubernetes", "urllib3", "requests", "dateutil"})
"""The official client and what it needs."""
CRYPTOGRAPHY: Final = frozenset({"certs", "cryptography"})
FILES: Final = frozenset({"yaml", "jsonpatch", "re2"})
PRODUCT: Final = frozenset({"policy", "webhook", "msgspec"})
ALL: Final = SERVERS | CLUSTER | CRYPTOGRAPHY | FILES | PRODUCT
WORKFLOW: Final = str(EXAMPLES / "workflows" / "01-daily-load.yaml")
PRINT_MODULES: Final = """
import sys
from lockkeeper.__main__ import main
try:
    main(sys.argv[1:])
finally:
    print("\\n", *sys.modules)
"""

FORBIDDEN: Final[dict[str, tuple[list[str], frozenset[str]]]] = {
    "version": (["version"], ALL),
    "help": (["--help"], ALL),
    "lint": (["lint", WORKFLOW], SERVERS | CLUSTER | CRYPTOGRAPHY | {"webhook", "jsonpatch", "re2"}),
    "review": (
        ["review", WORKFLOW, "--policies", str(EXAMPLES / "policies")],
        SERVERS | CLUSTER | CRYPTOGRAPHY,
    ),
    "test": (["test", str(EXAMPLES / "tests")], SERVERS | CLUSTER | CRYPTOGRAPHY),
    "diff": (
        ["diff", str(EXAMPLES / "policies"), str(EXAMPLES / "policies"), WORKFLOW],
        SERVERS | CLUSTER | CRYPTOGRAPHY,
    ),
    "export": (["export", str(EXAMPLES / "policies")], SERVERS | CLUSTER | CRYPTOGRAPHY),
    "import": (["import", str(EXAMPLES / "limits")], SERVERS | CLUSTER | CRYPTOGRAPHY),
    "locks": (["locks", "--help"], SERVERS | CLUSTER | CRYPTOGRAPHY | FILES | {"webhook"}),
    "web": (["web", "--help"], CLUSTER | {"flask", "jinja2"}),
    "check": (["check", "--help"], SERVERS | CLUSTER | CRYPTOGRAPHY | FILES),
    "certs": (["certs", "--help"], SERVERS | CLUSTER | FILES | {"webhook"}),
    "serve": (["serve", "--help"], CLUSTER),
    "controller": (["controller", "--help"], CLUSTER),
    "run": (["run", "--help"], CLUSTER),
}


@pytest.mark.parametrize("command", FORBIDDEN)
def test_a_command_imports_only_what_it_needs(command: str) -> None:
    """Before, `version` imported all that the webhook, the controller and the embedded mode are made of."""
    arguments, forbidden = FORBIDDEN[command]
    run = [sys.executable, "-c", PRINT_MODULES, *arguments]
    finished = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 - our own
    modules = finished.stdout.splitlines()[-1].split()
    assert "lockkeeper.process.console" in modules
    assert {name.partition(".")[0] for name in modules} & forbidden == set()
