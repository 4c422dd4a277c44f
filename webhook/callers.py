"""Whether a caller is known: the paths of the webhook, and their secret part that only the API server has.

Every Pod can reach the port, and the user who creates is only a field of a review. So a call has to prove
that the API server sent it: by a path in the webhook configurations, which no namespace may read.
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
    """What a path is for, and the secret in it."""

    side: Side
    secret: str = PLAIN


def call_of(path: str) -> WebhookCall | None:
    """Return what a path is for, or None where there is no such path."""
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
    """Knows the secrets in the webhook configurations."""

    def accepts(self, call: WebhookCall) -> bool:
        """Return at once whether the secret of a call is known."""

    def accepts_after_read(self, call: WebhookCall) -> bool:
        """Return the same after a read, which takes time. Raises NotSynced where it is not known yet."""


class AcceptedSecret(msgspec.Struct, frozen=True):
    """A secret whose callers are answered, always or until then."""

    secret: bytes
    until: datetime | None = None


def is_accepted(secret: str, accepted: Iterable[AcceptedSecret], now: datetime) -> bool:
    """Return whether a secret is accepted, in a time that does not depend on how much of it is right."""
    shown, found = secret.encode(errors="surrogatepass"), False
    for each in accepted:
        found |= compare_digest(shown, each.secret) and (each.until is None or now < each.until)
    return found


class UnknownCallers:
    """Logs calls of unknown callers, at most one line in ten seconds."""

    def __init__(self, *, warn: Callable[[str], object], stopwatch: Callable[[], float]) -> None:
        self._warn = warn
        self._stopwatch = stopwatch
        self._lock = Lock()
        self._logged_at: float | None = None
        self._unlogged = 0

    def record(self, call: WebhookCall, peer: str) -> None:
        """Record a call; its secret is never logged, even a wrong one."""
        with self._lock:
            now = self._stopwatch()
            if self._logged_at is not None and now - self._logged_at < _LOG_SECONDS:
                self._unlogged += 1
                return
            more, self._unlogged, self._logged_at = self._unlogged, 0, now
        others = f", and {more} more since the last such line" if more else ""
        self._warn(
            f"refused a call of /{call.side.value} from {peer} that does not know the path in the webhook "
            f"configurations{others}"
        )
