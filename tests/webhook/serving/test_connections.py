"""Who gives way when there are too many connections."""

from hypothesis import given
from hypothesis import strategies as st

from webhook.serving.connections import ConnectionTable, Stage

LATE = 100.0


def entered(connections: ConnectionTable[int], key: int, peer: str, stage: Stage = Stage.IDLE) -> int | None:
    """Let a connection in and have it fall silent; return who gave way, who is forgotten then."""
    way = connections.add(key, peer)
    if way is not None:
        connections.remove(way)
    connections.set_silent(key, stage, LATE)
    return way


def test_no_connection_is_closed_below_the_limit() -> None:
    """Spare connections of Go's client are kept."""
    connections: ConnectionTable[int] = ConnectionTable(most=4, per_peer=3)
    assert [entered(connections, key, "a") for key in range(3)] == [None, None, None]


def test_the_peer_with_the_most_gives_way_and_of_it_who_is_silent_longest() -> None:
    """Whoever opens many pushes out his own."""
    connections: ConnectionTable[int] = ConnectionTable(most=4, per_peer=4)
    for key, peer in enumerate(("api", "pod", "pod", "pod")):
        entered(connections, key, peer)
    assert entered(connections, 4, "api") == 1
    assert entered(connections, 5, "other") in {0, 2}


def test_many_peers_with_one_each_do_not_push_out_a_new_connection_of_a_known_one() -> None:
    """A thousand Pods are no more than so many strangers; the API server has answered connections beside."""
    connections: ConnectionTable[int] = ConnectionTable(most=6, per_peer=6)
    connections.add(0, "api")
    connections.set_reviewed(0)
    connections.set_silent(0, Stage.IDLE, LATE)
    entered(connections, 1, "api")
    for key in range(2, 20):
        assert entered(connections, key, f"pod-{key}") not in {0, 1}


def test_one_peer_never_has_more_than_its_share() -> None:
    """There is room for others whatever one does."""
    connections: ConnectionTable[int] = ConnectionTable(most=10, per_peer=3)
    assert [entered(connections, key, "pod") for key in range(5)] == [None, None, None, 0, 1]
    assert entered(connections, 9, "api") is None


def test_who_was_answered_stays_while_there_is_anybody_else() -> None:
    """What the API server keeps open is not closed for those who say nothing."""
    connections: ConnectionTable[int] = ConnectionTable(most=3, per_peer=3)
    connections.add(0, "api")
    connections.set_reviewed(0)
    connections.set_silent(0, Stage.IDLE, LATE)
    for key in range(1, 9):
        assert entered(connections, key, "api") in {None, key - 2}
    assert connections.stage(0) is Stage.IDLE


def test_who_is_worked_for_does_not_give_way() -> None:
    """A review under way is never cut off; where all are, everybody stays."""
    connections: ConnectionTable[int] = ConnectionTable(most=2, per_peer=2)
    connections.add(0, "api")
    entered(connections, 1, "api")
    connections.set_busy(1)
    assert connections.add(2, "pod") is None


def test_patience_ends_with_each_by_itself() -> None:
    """A first byte has less time than a connection that is kept."""
    connections: ConnectionTable[int] = ConnectionTable()
    for key, until in enumerate((5.0, 2.0, 9.0)):
        connections.add(key, "a")
        connections.set_silent(key, Stage.FIRST_BYTE, until)
    connections.set_busy(1)
    assert connections.overdue(5.0) == [0]
    connections.shorten_waits(1.0)
    assert connections.overdue(1.0) == [0, 2]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("enter", "silent", "busy", "prove", "leave")),
            st.integers(0, 9),
            st.sampled_from("ab"),
        ),
        max_size=60,
    )
)
def test_the_table_agrees_with_a_simple_count(moves: list[tuple[str, int, str]]) -> None:
    """Whatever comes in whatever order, nobody is counted twice, and who gives way was silent."""
    connections: ConnectionTable[int] = ConnectionTable(most=5, per_peer=3)
    busy: set[int] = set()
    silent: set[int] = set()
    for move, key, peer in moves:
        match move:
            case "enter" if key not in busy | silent:
                way = connections.add(key, peer)
                assert way is None or way in silent
                if way is not None:
                    connections.remove(way)
                    silent.discard(way)
                busy.add(key)
            case "silent" if key in busy:
                connections.set_silent(key, Stage.HEAD, LATE)
                busy.discard(key)
                silent.add(key)
            case "busy" if key in silent:
                connections.set_busy(key)
                silent.discard(key)
                busy.add(key)
            case "prove" if key in busy:
                connections.set_reviewed(key)
            case "leave":
                connections.remove(key)
                silent.discard(key)
                busy.discard(key)
            case _:
                pass
        assert len(connections._all) == len(busy | silent)
        assert set(connections.all_silent()) == silent
        assert (connections.first_to_close() is None) == (not silent)
