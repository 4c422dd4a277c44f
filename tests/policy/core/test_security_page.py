"""docs/security.md lists the ways around that were tried; every one of them has the test that it names."""

import ast
import re
from pathlib import Path
from typing import Final

import pytest

from tests.policy.core.admission.attempts import ATTEMPTS

ROOT: Final = Path(__file__).resolve().parents[3]
PAGE: Final = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED: Final = re.findall(r"^\|.*\| `([^`]+)` \|$", PAGE, re.MULTILINE)
MOST: Final = 250
"""How many there are at least."""


def test_the_page_lists_every_attempt_once() -> None:
    """What is tried by an update is data, which tests of the core, the wire and the cluster go through."""
    listed = [each.removeprefix("attempt:") for each in NAMED if each.startswith("attempt:")]
    assert sorted(listed) == sorted(ATTEMPTS)
    assert len(NAMED) > MOST


def test_the_page_says_what_becomes_of_an_attempt() -> None:
    """By the code that the denial carries."""
    for row in re.findall(r"^\|.*\| `attempt:[^`]+` \|$", PAGE, re.MULTILINE):
        *_, outcome, test, _ = (cell.strip() for cell in row.split("|"))
        code = ATTEMPTS[test.strip("`").removeprefix("attempt:")].code.value
        assert outcome == code or (outcome.startswith("put") and code == "NotMutated"), row


@pytest.mark.parametrize("test", [each for each in NAMED if not each.startswith("attempt:")])
def test_the_test_that_a_row_names_exists(test: str) -> None:
    """A row that nothing stands behind would be a promise."""
    file, _, name = test.partition("::")
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
