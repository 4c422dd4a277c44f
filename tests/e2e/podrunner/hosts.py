"""The names of Services and Pods, for every container: a hosts file stands for the cluster's DNS."""

from pathlib import Path
from typing import Final

_ALWAYS: Final = "127.0.0.1 localhost\n::1 localhost\n"
_PUBLIC: Final = 0o644


class Hosts:
    """Keeps one hosts file, which containers see as their own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: dict[str, str] = {}
        self._write()

    def put(self, key: str, ip: str, *names: str) -> None:
        """Give an address these names; what the key stood for before is forgotten."""
        self._lines[key] = f"{ip} {' '.join(names)}\n"
        self._write()

    def remove(self, key: str) -> None:
        """Forget the names of a key."""
        if self._lines.pop(key, None) is not None:
            self._write()

    def _write(self) -> None:
        """Write the file in its place, because containers have bound this very one."""
        self.path.write_text(_ALWAYS + "".join(self._lines.values()), encoding="utf-8")
        self.path.chmod(_PUBLIC)
