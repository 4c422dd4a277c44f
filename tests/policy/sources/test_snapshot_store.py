"""Which listeners are called when the current snapshot changes."""

from datetime import UTC, datetime

from policy.core.quota.usage_view import NO_USAGE
from policy.sources.snapshot_store import SnapshotStore
from tests.policy.core.builders import snapshot

NOW = datetime(2026, 11, 30, 10, 0, tzinfo=UTC)


def test_only_the_listener_that_unsubscribes_is_no_longer_called() -> None:
    """Two subscriptions of the same listener are two, and to unsubscribe twice is to do so once."""
    snapshots = SnapshotStore(snapshot=snapshot(), clock=lambda: NOW)
    heard: list[str] = []

    def listen() -> None:
        heard.append("policies")

    first, _ = snapshots.on_policies(listen), snapshots.on_policies(listen)
    snapshots.put_policies(snapshot())
    assert heard == ["policies", "policies"]
    first()
    first()
    snapshots.put_policies(snapshot())
    assert heard == ["policies", "policies", "policies"]


def test_a_listener_may_unsubscribe_while_it_is_called() -> None:
    """The others that hear of the same change are not passed over."""
    snapshots = SnapshotStore(snapshot=snapshot(), clock=lambda: NOW)
    heard: list[str] = []

    def leave() -> None:
        unsubscribe()

    unsubscribe = snapshots.on_usage(leave)
    snapshots.on_usage(lambda: heard.append("usage"))
    snapshots.put_usage(NO_USAGE)
    assert heard == ["usage"]
