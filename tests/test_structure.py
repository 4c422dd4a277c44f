"""The structure that CONTRIBUTING.md promises: rooms with a purpose, few modules, one class for a name."""

import ast
import re
from collections import defaultdict
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGES: Final = ("lockkeeper", "webhook", "policy", "certs")
MOST_MODULES: Final = 16
MOST_LINES: Final = 400
CONTRIBUTING: Final = (ROOT / "CONTRIBUTING.md").read_text("utf-8")


def modules() -> list[Path]:
    """Every module of the product."""
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def rooms() -> list[Path]:
    """Every folder that holds modules, besides the layers that only hold rooms."""
    folders = {path.parent for path in modules() if path.name not in ("__init__.py", "__main__.py")}
    return sorted(folders)


@pytest.mark.parametrize("room", rooms(), ids=lambda room: str(room.relative_to(ROOT)))
def test_a_room_tells_its_purpose_in_five_to_ten_lines(room: Path) -> None:
    """Whoever opens a folder reads first what is decided there, who calls it and where the next step is."""
    text = ast.get_docstring(ast.parse((room / "__init__.py").read_text("utf-8")))
    assert text is not None
    assert 5 <= len([line for line in text.splitlines() if line.strip()]) <= 10


@pytest.mark.parametrize("room", rooms(), ids=lambda room: str(room.relative_to(ROOT)))
def test_a_room_has_few_modules(room: Path) -> None:
    """A listing that fits a screen is read."""
    assert len([path for path in room.glob("*.py") if path.name != "__init__.py"]) <= MOST_MODULES


def test_the_core_has_at_most_sixteen_rooms() -> None:
    """More would be a second flat folder."""
    assert len([room for room in rooms() if room.is_relative_to(ROOT / "policy/core")]) <= 16


def test_no_module_is_too_long_to_be_read() -> None:
    """Longer ones hold two things."""
    long = {str(path): len(path.read_text("utf-8").splitlines()) for path in modules()}
    assert {path: lines for path, lines in long.items() if lines > MOST_LINES} == {}


def test_a_class_name_is_defined_once() -> None:
    """One word for one thing: a name that is met in two files would be looked up in the wrong one."""
    found = defaultdict(list)
    for path in modules():
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef):
                found[node.name].append(str(path.relative_to(ROOT)))
    assert {name: places for name, places in found.items() if len(places) > 1} == {}


def test_the_map_names_every_room() -> None:
    """The picture in CONTRIBUTING.md is the folder listing, with a line for each."""
    drawn = set(re.findall(r"^ *([a-z_/]+)/ {2,}", CONTRIBUTING, re.MULTILINE))
    missing = [room for room in rooms() if room.name not in {each.rsplit("/", 1)[-1] for each in drawn}]
    assert missing == []


def test_the_places_to_go_exist() -> None:
    """A signpost that points nowhere is worse than none."""
    tops = "lockkeeper|webhook|policy|certs|charts|docs|bench|tests"
    named = re.findall(rf"`((?:{tops})/[\w./-]+)`", CONTRIBUTING)
    assert len(named) > 30
    assert [path for path in named if not (ROOT / path).exists() and not (ROOT / f"{path}.py").exists()] == []


def test_tests_stand_where_the_product_does() -> None:
    """The test of a module is found by its path."""
    homeless = [
        str(folder.relative_to(ROOT))
        for package in PACKAGES
        for folder in {path.parent for path in (ROOT / "tests" / package).rglob("test_*.py")}
        if not (ROOT / folder.relative_to(ROOT / "tests")).is_dir()
    ]
    assert homeless == []
