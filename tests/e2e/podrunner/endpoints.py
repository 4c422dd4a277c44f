"""Which Pods a connection to a Service may go to, known at the moment it changes."""

from collections.abc import Mapping

import msgspec


class Backend(msgspec.Struct, frozen=True):
    """One Pod as a Service sees it; `ports` are the named ones."""

    namespace: str
    labels: Mapping[str, str]
    ip: str
    ports: Mapping[str, int]
    ready: bool


class Endpoints:
    """All Pods that run, by their uid."""

    def __init__(self) -> None:
        self._backends: dict[str, Backend] = {}

    def put(self, uid: str, backend: Backend) -> None:
        """Take note of how a Pod is now."""
        self._backends[uid] = backend

    def remove(self, uid: str) -> None:
        """Forget a Pod."""
        self._backends.pop(uid, None)

    def addresses(
        self, namespace: str, selector: Mapping[str, str], port: int | str, *, unready: bool
    ) -> list[tuple[str, int]]:
        """Return where a Service's connections may go: to ready Pods, with `unready` to the others too."""
        found = []
        for backend in self._backends.values():
            if backend.namespace != namespace or not (backend.ready or unready):
                continue
            if any(backend.labels.get(key) != value for key, value in selector.items()):
                continue
            number = backend.ports.get(port) if isinstance(port, str) else port
            if number is not None:
                found.append((backend.ip, number))
        return found
