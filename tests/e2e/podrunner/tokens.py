"""The ServiceAccount tokens of one Pod: asked for as its volumes want them, and renewed in time."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import msgspec

from policy.cluster.errors import ClusterError
from tests.e2e.podrunner.api import Api, Tell
from tests.e2e.podrunner.pod_objects import Pod
from tests.e2e.podrunner.refusals import Missing
from tests.e2e.podrunner.volume_objects import TokenFile

RENEWED_AT: Final = 0.8
"""The part of its life after which a token is renewed."""
_RETRY: Final = timedelta(seconds=1)


class Held(msgspec.Struct, frozen=True):
    """A token, and when to ask for the next one."""

    token: bytes
    renew_at: datetime


class PodTokens:
    """Holds the tokens that a Pod's projected volumes want, by what they want."""

    def __init__(self, *, api: Api, pod: Pod, clock: Callable[[], datetime], tell: Tell) -> None:
        self._api = api
        self._pod = pod
        self._clock = clock
        self._tell = tell
        self._held: dict[TokenFile, Held] = {}
        projected = [volume.projected for volume in pod.spec.volumes if volume.projected is not None]
        sources = [source for each in projected for source in each.sources]
        self._wanted = [each.service_account_token for each in sources if each.service_account_token]

    def token(self, wanted: TokenFile) -> bytes:
        """Return a token. Raises Missing before there is one."""
        held = self._held.get(wanted)
        if held is None:
            metadata = self._pod.metadata
            raise Missing("token of ServiceAccount", metadata.namespace, self._pod.spec.service_account_name)
        return held.token

    async def renew(self) -> None:
        """Ask for those tokens that are due; one that cannot be had stays as it is."""
        for wanted in self._wanted:
            held = self._held.get(wanted)
            now = self._clock()
            if held is not None and now < held.renew_at:
                continue
            try:
                self._held[wanted] = await asyncio.to_thread(self._new, wanted, now)
            except ClusterError as error:
                self._tell(f"{self._pod.key}: no token: {error}")
                if held is not None:
                    self._held[wanted] = Held(held.token, now + _RETRY)

    def seconds_left(self) -> float | None:
        """Return how long none has to be renewed; None where there are no tokens."""
        if not self._wanted:
            return None
        now = self._clock()
        due = min((held.renew_at for held in self._held.values()), default=now)
        if len(self._held) < len(set(self._wanted)):
            due = min(due, now + _RETRY)
        return max(0.0, (due - now).total_seconds())

    def _new(self, wanted: TokenFile, now: datetime) -> Held:
        token = self._api.token(
            self._pod.metadata,
            self._pod.spec.service_account_name,
            audience=wanted.audience,
            seconds=wanted.expiration_seconds,
        )
        return Held(token.token.encode(), now + (token.expiration_timestamp - now) * RENEWED_AT)
