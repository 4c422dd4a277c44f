"""The limits of locks as policies and ConfigMaps have them at a time, by Argo's names of the locks."""

from datetime import datetime
from typing import Final

from policy.core.lock_model.lock_names import CONFIG_MAP, MUTEX, LockName, read_limit
from policy.core.policies.semaphore_config_maps import Projection, project
from policy.core.policies.snapshot import Snapshot
from policy.core.quota.windows import ALWAYS

_MUTEX_LIMIT: Final = 1
_NOTHING: Final = Projection({}, ALWAYS)


class LockLimits:
    """Looks limits up, under one set of policies; what policies define is worked out once for each window."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._projection = _NOTHING

    def until(self, now: datetime) -> datetime:
        """Return until when the limits of now stay as they are."""
        if now >= self._projection.until:
            self._projection = project(self._snapshot, now)
        return self._projection.until

    def limit(self, lock: str, now: datetime) -> int | None:
        """Return a limit; a mutex has 1, and what neither a policy nor a ConfigMap has is not known."""
        name = LockName.parse(lock)
        if name.kind == MUTEX:
            return _MUTEX_LIMIT
        if name.kind != CONFIG_MAP:
            return None
        self.until(now)
        address = name.namespace, name.config_map
        projected = self._projection.config_maps.get(address, {}).get(name.key)
        stored = self._snapshot.config_maps.get(address, {}).get(name.key)
        value = projected.value if projected is not None else stored
        return None if value is None else read_limit(value) or 0
