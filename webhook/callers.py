"""Who calls: the paths of the webhook, and the secret part of them that only its callers know.

Every Pod can reach the port, and a review says itself who created what. So whoever calls has to show that
the API server sent it: by a path that stands in the webhook configurations, which no namespace may read.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from hmac import compare_digest
from threading import Lock
from typing import Final, Protocol

import msgspec

from policy.core.decision.decision import Side

ROUTES: Final = {"/mutate": Side.MUTATE, "/validate": Side.VALIDATE, "/policies": Side.POLICIES}
PLAIN: Final = ""
"""The secret of a path that has none."""
_LOG_SECONDS: Final = 10.0
"""Between two log lines about callers that are not known."""


class WebhookCall(msgspec.Struct, frozen=True):
    """What a path asks for, and the secret that it shows."""

    side: Side
    secret: str = PLAIN


def call_of(path: str) -> WebhookCall | None:
    """Return what a path asks for, or None where there is no such path."""
    side = ROUTES.get(path)
    if side is not None:
        return WebhookCall(side)
    cut = path.find("/", 1)
    side = ROUTES.get(path[:cut])
    if cut < 0 or side is None or not path[cut + 1 :]:
        return None
    return WebhookCall(side, path[cut + 1 :])


def path_of(side: Side, secret: str) -> str:
    """Return the path by which a side is called."""
    return f"/{side.value}/{secret}" if secret else f"/{side.value}"


class Callers(Protocol):
    """Knows who may call: the secrets that the webhook configurations carry."""

    def know(self, call: WebhookCall) -> bool:
        """Tell at once whether a call shows what its callers know."""
        ...

    def ask(self, call: WebhookCall) -> bool:
        """Tell it after a look, which takes time. Raises NotSynced where it is not known yet."""
        ...


class AnyCaller:
    """Where callers are not told apart: whoever reaches the port is answered.

    A secret of before, which still stands in a configuration, does no harm then.
    """

    def know(self, _call: WebhookCall) -> bool:
        """Tell that everybody may call."""
        return True

    def ask(self, _call: WebhookCall) -> bool:
        """Tell that everybody may call."""
        return True


class Answered(msgspec.Struct, frozen=True):
    """A secret that is answered, for good or until then."""

    secret: bytes
    until: datetime | None = None


def is_answered(secret: str, answered: Iterable[Answered], now: datetime) -> bool:
    """Tell whether a secret is answered, in a time that does not tell how much of it is right."""
    shown, found = secret.encode(errors="surrogatepass"), False
    for each in answered:
        found |= compare_digest(shown, each.secret) and (each.until is None or now < each.until)
    return found


class UnknownCallers:
    """Logs now and then, and not for each of them, that a caller is not known."""

    def __init__(self, *, say: Callable[[str], object], stopwatch: Callable[[], float]) -> None:
        self._say = say
        self._stopwatch = stopwatch
        self._lock = Lock()
        self._said_at: float | None = None
        self._unsaid = 0

    def note(self, call: WebhookCall, peer: str) -> None:
        """Take note of a call; its secret is logged nowhere, wrong as it may be."""
        with self._lock:
            now = self._stopwatch()
            if self._said_at is not None and now - self._said_at < _LOG_SECONDS:
                self._unsaid += 1
                return
            more, self._unsaid, self._said_at = self._unsaid, 0, now
        others = f", and {more} more since the last such line" if more else ""
        self._say(
            f"refused a call of /{call.side.value} from {peer} that does not know the path in the webhook "
            f"configurations{others}"
        )
