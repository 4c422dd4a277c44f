"""The life of the secret in the paths of one webhook configuration: what is to be done about it now.

Pure functions from what is in the configuration, and the time, to what has to be there next. A change
is made in steps, so that at every time every replica answers what any API server still sends:

1. the next secret is announced, in an annotation of the configuration, which webhooks read;
2. once every replica has had the time to read it, the paths carry it;
3. the one before is answered until every API server has had the time to see the new paths.

What webhooks accept is what the paths carry, what is announced, and what was carried a short while ago. So
another path, written by helm or a person, makes no create fail: that path is answered while it is there, and
a while after it was corrected. A plain path is a secret like others, the empty one.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec

from policy.core.values.prepared import prepare
from webhook.callers import PLAIN


class ReplicaSupport(StrEnum):
    """What is known of the replicas that answer."""

    UNKNOWN = "unknown"
    """Not all of them are new, or were not for long enough: nothing is started, and what is there stays."""
    UNAWARE = "unaware"
    """They are to be of a release that knows plain paths only."""
    READY = "ready"
    """All of them read the configurations, and those before have ended."""


class FormerSecret(msgspec.Struct, frozen=True):
    """A secret that is still answered for a while."""

    secret: str
    until: datetime


class PathSecrets(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an annotation of the configuration stores; `mark` is of the certificate when it was written."""

    secret: str
    since: datetime
    coming: str = ""
    announced: datetime | None = None
    former: tuple[FormerSecret, ...] = ()
    mark: str = ""


prepare(PathSecrets)


class RotationChange(StrEnum):
    """One change; the value is its log text."""

    BEGAN = "began to keep the paths"
    ANNOUNCED = "announced the next path"
    SWITCHED = "the paths carry the next secret from now on"
    PUT_BACK = "put paths right that somebody had changed"
    RETREATED = "went back to plain paths, for replicas that know no others"
    RETIRED = "a former path is not answered any more"


class _RotationTiming(msgspec.Struct, frozen=True, kw_only=True):
    """How long things last.

    `settle`: until every replica has read what was announced; they read every 5 s. `overlap`: until every
    API server uses the new paths, which takes less than a second; the rest is for one that lost its watch.
    `period`: the life of a secret at most.
    """

    settle: timedelta = timedelta(seconds=30)
    overlap: timedelta = timedelta(minutes=1)
    period: timedelta = timedelta(days=1)


USUAL: Final = _RotationTiming()


class RotationStep(msgspec.Struct, frozen=True):
    """What has to be stored from now on, and what was changed; without changes nothing is written."""

    secrets: PathSecrets
    changes: tuple[RotationChange, ...] = ()


def advance(
    kept: PathSecrets | None,
    carried: Iterable[str | None],
    *,
    now: datetime,
    support: ReplicaSupport,
    make: Callable[[], str],
    mark: str = "",
) -> RotationStep:
    """Return what has to be stored from now on; called again with its result it changes nothing more.

    Args:
        kept: what is in the annotation, if it can be read.
        carried: the secret that each path carries; None where a webhook has no path of ours.
        now: the time, with its zone.
        support: what is known of the replicas.
        make: creates a new secret.
        mark: a hash of the serving certificate; empty where it is not known.
    """
    secrets = kept if kept is not None else PathSecrets(PLAIN, now)
    changes: list[RotationChange] = [] if kept is not None else [RotationChange.BEGAN]
    unexpected = [each for each in dict.fromkeys(carried) if each != secrets.secret]
    if unexpected:
        secrets = _with_former(
            secrets, [each for each in unexpected if each is not None], now + USUAL.overlap
        )
        changes.append(RotationChange.PUT_BACK)
    secrets, moved = _moved(secrets, now=now, support=support, make=make, mark=mark)
    changes += moved
    live = tuple(each for each in secrets.former if each.until > now)
    if live != secrets.former:
        secrets = msgspec.structs.replace(secrets, former=live)
        changes.append(RotationChange.RETIRED)
    return RotationStep(secrets, tuple(changes))


def _moved(
    secrets: PathSecrets,
    *,
    now: datetime,
    support: ReplicaSupport,
    make: Callable[[], str],
    mark: str,
) -> tuple[PathSecrets, list[RotationChange]]:
    """Take the step that is due."""
    if support is ReplicaSupport.UNAWARE and (secrets.secret != PLAIN or secrets.coming):
        plain = msgspec.structs.replace(secrets, secret=PLAIN, since=now, coming="", announced=None)
        return _with_former(plain, [secrets.secret], now + USUAL.overlap), [RotationChange.RETREATED]
    if support is not ReplicaSupport.READY:
        return secrets, []
    if secrets.coming:
        if secrets.announced is not None and now - secrets.announced < USUAL.settle:
            return secrets, []
        switched = msgspec.structs.replace(
            secrets, secret=secrets.coming, since=now, coming="", announced=None, mark=mark
        )
        return _with_former(switched, [secrets.secret], now + USUAL.overlap), [RotationChange.SWITCHED]
    if not _is_due(secrets, now, mark):
        return secrets, []
    return msgspec.structs.replace(secrets, coming=make(), announced=now), [RotationChange.ANNOUNCED]


def _is_due(secrets: PathSecrets, now: datetime, mark: str) -> bool:
    """Return whether a new secret is due: there is none, it is old, or the certificate is another."""
    renewed = bool(mark and secrets.mark and mark != secrets.mark)
    return secrets.secret == PLAIN or renewed or now - secrets.since >= USUAL.period


def _with_former(secrets: PathSecrets, before: Iterable[str], until: datetime) -> PathSecrets:
    """Return the secrets with others that are answered for a while yet."""
    kept = {each.secret: each for each in secrets.former}
    kept.update({each: FormerSecret(each, until) for each in before})
    kept.pop(secrets.secret, None)
    return msgspec.structs.replace(secrets, former=tuple(kept.values()))
