"""Everybody who is signed in, each by a token of the cluster, and read with that token alone.

The API server says who a token is of (SelfSubjectReview), at the beginning and every half minute; what may be
seen it decides with each request, because it gets the same token. Nothing here is kept for longer than it is
looked at, and of a token only a digest is a key.
"""

from collections.abc import Callable
from hashlib import sha256
from threading import Lock
from typing import Final, Protocol

import msgspec

from lockkeeper.page.rate_limit import RateLimit
from lockkeeper.page.viewers import Viewer
from policy.cluster.errors import Forbidden, Unauthorized
from policy.cluster.protocol import SELF_REVIEWS, Cluster
from policy.core.objects.json_patch import JsonObject

CHECKED_SECONDS: Final = 30.0
"""How long the word of the API server about a token counts."""
UNUSED_SECONDS: Final = 120.0
"""After so long without a request a session is forgotten; the next request begins it anew."""
MOST_SESSIONS: Final = 48
"""Sessions at a time; with one more that ends which was used longest ago."""


class ClosableCluster(Cluster, Protocol):
    """A cluster whose connections are to be closed."""

    def close(self) -> None:
        """Close them, and end every watch."""
        ...


class SessionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How often is allowed, a second and at once.

    `tries` are tokens that are not known, of one address; `requests` and `fresh` states those of a session.
    """

    tries: tuple[float, int] = (5.0, 30)
    requests: tuple[float, int] = (10.0, 60)
    fresh: tuple[float, int] = (0.5, 6)


class _UserInfo(msgspec.Struct, frozen=True):
    username: str = ""


class _SelfReviewStatus(msgspec.Struct, frozen=True, rename="camel"):
    user_info: _UserInfo = _UserInfo()


class _SelfReview(msgspec.Struct, frozen=True):
    status: _SelfReviewStatus = _SelfReviewStatus()


class _Session:
    """One token; `checked` and `used` are when the API server knew it, and when it was used, last."""

    def __init__(self, cluster: ClosableCluster, viewer: Viewer, now: float) -> None:
        self.cluster = cluster
        self.viewer = viewer
        self.checked = self.used = now
        self.checking = Lock()

    def close(self) -> None:
        """Forget what was read, and end every connection."""
        self.viewer.close()
        self.cluster.close()


class Sessions:
    """All sessions; `connect` reaches the cluster with a token, `make` returns the viewer of a session."""

    def __init__(
        self,
        *,
        connect: Callable[[str], ClosableCluster],
        make: Callable[[Cluster, str, RateLimit], Viewer],
        stopwatch: Callable[[], float],
        limits: SessionLimits | None = None,
    ) -> None:
        allowed = limits or SessionLimits()

        def limit(of: tuple[float, int]) -> RateLimit:
            return RateLimit(rate=of[0], burst=of[1], stopwatch=stopwatch)

        self._connect = connect
        self._make = make
        self._stopwatch = stopwatch
        self._tries, self._requests, self._fresh = map(
            limit, (allowed.tries, allowed.requests, allowed.fresh)
        )
        self._lock = Lock()
        self._sessions: dict[bytes, _Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def viewer(self, token: str, peer: str) -> Viewer:
        """Return whose a token is; `peer` is the address that sends it.

        Raises:
            Unauthorized: the cluster does not know the token, or not any more.
            TooOften: by this session, or by this address with tokens that are not known.
            ClusterError: the cluster does not answer.
        """
        key, now = _digest(token), self._stopwatch()
        self._forget(now)
        with self._lock:
            session = self._sessions.pop(key, None)
            if session is not None:
                self._sessions[key] = session
                session.used = now
        if session is None:
            self._tries.take(peer)
            session = self._begin(key, token, now)
        else:
            self._requests.take(key)
            self._check(session, token, now)
        return session.viewer

    def end(self, token: str) -> None:
        """Forget a session."""
        with self._lock:
            session = self._sessions.pop(_digest(token), None)
        if session is not None:
            session.close()

    def close(self) -> None:
        """Forget all."""
        with self._lock:
            ended, self._sessions = self._sessions, {}
        for each in ended.values():
            each.close()

    def _begin(self, key: bytes, token: str, now: float) -> _Session:
        cluster = self._connect(token)
        try:
            session = _Session(cluster, self._make(cluster, _name(cluster), self._fresh), now)
        except BaseException:
            cluster.close()
            raise
        with self._lock:
            kept = self._sessions.setdefault(key, session)
            many = len(self._sessions) > MOST_SESSIONS
            oldest = self._sessions.pop(next(iter(self._sessions))) if many else None
        if kept is not session:  # Of two first requests at once, the other was faster.
            session.close()
        if oldest is not None:
            oldest.close()
        return kept

    def _check(self, session: _Session, token: str, now: float) -> None:
        """Ask again whose the token is, where that was long ago."""
        with session.checking:
            if now - session.checked < CHECKED_SECONDS:
                return
            try:
                _name(session.cluster)
            except Unauthorized:
                self.end(token)
                raise
            session.checked = now

    def _forget(self, now: float) -> None:
        """End the sessions that nobody uses."""
        with self._lock:
            unused = [key for key, each in self._sessions.items() if now - each.used >= UNUSED_SECONDS]
            ended = [self._sessions.pop(key) for key in unused]
        for each in ended:
            each.close()


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()


def _name(cluster: Cluster) -> str:
    """Return the name of whoever reads a cluster, "" where it knows who that is and may not tell.

    Raises:
        Unauthorized: the cluster does not know the token.
        ClusterError: it does not answer.
    """
    review: JsonObject = {"apiVersion": SELF_REVIEWS.api_version, "kind": SELF_REVIEWS.kind}
    try:
        return msgspec.convert(cluster.create(SELF_REVIEWS, review), _SelfReview).status.user_info.username
    except Unauthorized:
        raise
    except (Forbidden, msgspec.ValidationError):
        return ""
