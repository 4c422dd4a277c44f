"""The lock files: what the image installs is what is tested here, no more and no less."""

import re
import tomllib
from importlib.metadata import requires
from pathlib import Path
from typing import Final

import msgspec
import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).resolve().parents[2]
EVERYTHING: Final = "requirements.lock"
RUNTIME: Final = "requirements-runtime.lock"
BUILD: Final = "requirements-build.lock"
_HASHES: Final = r"(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+"
_ENTRY: Final = re.compile(rf"(?m)^([\w.-]+)==(\S+)(?: ; (.*?))? \\\n({_HASHES})")


class Pin(msgspec.Struct, frozen=True):
    """One entry of a lock: the version, where it is installed, and what it may hash to."""

    version: str
    marker: str
    hashes: frozenset[str]

    @property
    def is_installed_here(self) -> bool:
        """Whether this interpreter installs it."""
        return not self.marker or Marker(self.marker).evaluate()


def pins(name: str) -> dict[str, Pin]:
    """Return a lock by name of package; every line of it has to be an entry or a hash of one."""
    text = (ROOT / name).read_text(encoding="utf-8")
    assert _ENTRY.sub("", text) == "", "these lines of the lock are neither entries nor hashes"
    return {
        canonicalize_name(package): Pin(version, marker, frozenset(re.findall(r"sha256:(\w+)", hashes)))
        for package, version, marker, hashes in _ENTRY.findall(text)
    }


def closure(wanted: list[str]) -> set[str]:
    """Return the names of packages that these requirements lead to, for this interpreter."""
    left = [Requirement(each) for each in wanted]
    seen: set[tuple[str, str]] = set()
    while left:
        requirement = left.pop()
        name = canonicalize_name(requirement.name)
        for extra in {"", *requirement.extras}:
            if (name, extra) not in seen:
                seen.add((name, extra))
                needed = [Requirement(each) for each in requires(name) or ()]
                left += [each for each in needed if not each.marker or each.marker.evaluate({"extra": extra})]
    return {name for name, _ in seen}


def requirements(table: str, key: str) -> list[str]:
    """Return a list of requirements of pyproject.toml."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return msgspec.convert(document[table][key], list[str])


@pytest.mark.parametrize("name", [RUNTIME, BUILD])
def test_the_locks_agree(name: str) -> None:
    """The image has the versions that the tests ran with, checked by the same hashes."""
    everything = pins(EVERYTHING)
    assert {package: pin for package, pin in pins(name).items() if everything.get(package) != pin} == {}


@pytest.mark.parametrize(
    ("name", "table", "key"), [(RUNTIME, "project", "dependencies"), (BUILD, "build-system", "requires")]
)
def test_a_lock_holds_the_closure_of_its_requirements(name: str, table: str, key: str) -> None:
    """Nothing of the tests goes into the image, and nothing that it needs is left out."""
    installed = {package for package, pin in pins(name).items() if pin.is_installed_here}
    assert installed == closure(requirements(table, key))
