"""Requests to the API server as they are counted: verb, resource, result and time.

It is between the cluster and its connection, so it sees what the Cluster protocol hides: every page of a
list, and every time that a watch connects again.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPMethod
from typing import Final, Protocol

from policy.cluster.errors import ClusterError
from policy.cluster.kube.requests import KubeRequest, Transport

_OK: Final = "ok"
_BY_METHOD: Final = {
    HTTPMethod.POST: "create",
    HTTPMethod.PUT: "update",
    HTTPMethod.PATCH: "patch",
    HTTPMethod.DELETE: "delete",
}


class Observer(Protocol):
    """What is called for each request."""

    def answered(self, verb: str, resource: str, result: str, seconds: float) -> None:
        """Take note of a request; the result is "ok" or the name of the error."""
        ...


class ObservedTransport:
    """A Transport that reports every request when its answer, or all of its stream, is there."""

    def __init__(self, *, inner: Transport, observer: Observer, stopwatch: Callable[[], float]) -> None:
        self._inner = inner
        self._observer = observer
        self._stopwatch = stopwatch

    def send(self, request: KubeRequest) -> bytes:
        """Return the body of the answer. Raises the errors of `policy.cluster.errors`."""
        with self._observed(request):
            return self._inner.send(request)

    @contextmanager
    def stream(self, request: KubeRequest, *, silence: float) -> Iterator[Iterator[bytes]]:
        """Yield the body in pieces as they arrive. Raises the errors of `policy.cluster.errors`."""
        with self._observed(request), self._inner.stream(request, silence=silence) as pieces:
            yield pieces

    def close(self) -> None:
        """Break off every stream and close all connections."""
        self._inner.close()

    @contextmanager
    def _observed(self, request: KubeRequest) -> Iterator[None]:
        begun, result = self._stopwatch(), _OK
        try:
            yield
        except ClusterError as error:
            result = type(error).__name__
            raise
        finally:
            verb, resource = verb_and_resource(request)
            self._observer.answered(verb, resource, result, self._stopwatch() - begun)


def verb_and_resource(request: KubeRequest) -> tuple[str, str]:
    """Return the verb and the resource of a request, as access control names them."""
    # Paths are /api/v1/..., or /apis/GROUP/VERSION/..., then [namespaces/NAME/]PLURAL[/NAME[/SUBRESOURCE]].
    parts = request.path.strip("/").split("/")
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    if rest[:1] == ["namespaces"] and len(rest) > 2:  # noqa: PLR2004 - more than a namespace by its name
        rest = rest[2:]
    resource = "/".join([*rest[:1], *rest[2:]])
    if request.method is not HTTPMethod.GET:
        return _BY_METHOD[request.method], resource
    if ("watch", "true") in request.query:
        return "watch", resource
    return ("get" if len(rest) > 1 else "list"), resource
