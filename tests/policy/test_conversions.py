"""Objects from a cluster are plain: no struct that keeps bytes can be made of them by `msgspec.convert`."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import pytest
from msgspec import inspect

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = ("policy", "webhook", "lockkeeper", "certs")


def _conversions(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line of each conversion in a module, and the type that it makes as it is written there."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "msgspec.convert":
            wanted = node.args[1:] or [each.value for each in node.keywords if each.arg == "type"]
            yield node.lineno, ast.unparse(wanted[0])


def _keeps_bytes(known: inspect.Type, seen: set[type]) -> bool:
    """Return whether a type has a part that is stored as the bytes that were received."""
    if isinstance(known, inspect.RawType):
        return True
    if isinstance(known, inspect.StructType):
        if known.cls in seen:
            return False
        seen.add(known.cls)
        return any(_keeps_bytes(each.type, seen) for each in known.fields)
    parts = [getattr(known, name, None) for name in ("key_type", "value_type", "item_type")]
    several = [each for name in ("types", "item_types") for each in getattr(known, name, ())]
    return any(_keeps_bytes(each, seen) for each in (*parts, *several) if isinstance(each, inspect.Type))


FOUND: Final = [
    (path.relative_to(ROOT), line, wanted)
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    for line, wanted in _conversions(path)
    if wanted != "expected"  # The function that reads policies is given the type.
]


def test_there_are_conversions_to_check() -> None:
    """Or the tests below would show nothing."""
    assert len(FOUND) > 20


@pytest.mark.parametrize(("path", "line", "wanted"), FOUND, ids=str)
def test_nothing_that_keeps_bytes_is_made_of_a_plain_object(path: Path, line: int, wanted: str) -> None:
    """A parent with a status was taken for none at all, so parent and child waited for each other."""
    del line
    module = importlib.import_module(".".join(path.with_suffix("").parts))
    made = eval(wanted, vars(module))  # noqa: S307 - the name of a type in our own source
    assert not _keeps_bytes(inspect.type_info(made), set())


def test_what_would_be_found() -> None:
    """The review's Workflow is such a type, however deep its bytes are."""

    class Holder(msgspec.Struct):
        kept: dict[str, tuple[msgspec.Raw, ...]] | None = None

    assert _keeps_bytes(inspect.type_info(list[Holder]), set())
    assert not _keeps_bytes(inspect.type_info(dict[str, int]), set())
