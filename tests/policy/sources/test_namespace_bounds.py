"""What is stored of one namespace: the oldest, in whatever order they arrive."""

from hypothesis import given
from hypothesis import strategies as st

from policy.core.policy_kinds.kinds import ConfigMap, PolicyMetadata
from policy.sources.namespace_bounds import Portion, PortionBound, ReducedObject

SMALL = PortionBound(units=5, size=20, unit="objects")


def reduced(number: int, size: int) -> ReducedObject:
    """Return an object; a higher number is a younger one."""
    name = f"m{number:03}"
    document = ConfigMap(PolicyMetadata(name=name), {"k": str(size)})
    return ReducedObject(document, name, (f"2026-11-30T00:00:{number:02}Z", name), 1, size)


def fill(objects: list[ReducedObject]) -> Portion:
    """Return a portion that hears of objects in this order."""
    portion = Portion(bound=SMALL)
    for each in objects:
        if portion.takes(each.uid, each.age):
            portion.put(each)
    return portion


@given(st.data(), st.lists(st.integers(0, 12), max_size=12))
def test_the_oldest_that_fit_are_stored_in_any_order(data: st.DataObject, sizes: list[int]) -> None:
    """All that are older than the first that does not fit: so all replicas keep the same."""
    objects = [reduced(number, size) for number, size in enumerate(sizes)]
    wanted: list[str] = []
    room = SMALL.size
    for each in objects:
        room -= each.size
        if room < 0 or len(wanted) == SMALL.units:
            break
        wanted.append(each.uid)
    portion = fill(data.draw(st.permutations(objects)))
    assert sorted(portion.stored) == wanted
    assert portion.left_out == len(objects) - len(wanted)


def test_one_that_grows_pushes_out_the_youngest_and_not_the_old() -> None:
    """An old object that becomes large displaces the newest of the namespace, and that is counted."""
    portion = fill([reduced(0, 5), reduced(1, 5), reduced(2, 5)])
    portion.put(reduced(0, 12))
    assert sorted(portion.stored) == ["m000", "m001"]
    assert portion.left_out == 1


def test_what_is_left_out_is_still_counted_after_a_repeated_deletion() -> None:
    """Only a list shows that nothing is left out any more, for what was left out has to be read then."""
    portion = fill([reduced(0, 15), reduced(1, 15)])
    assert portion.left_out == 1
    portion.drop("m001")
    portion.drop("m001")
    assert (portion.left_out, portion.stale) == (1, True)
    portion.drop("m000")
    assert not portion.stored


def test_an_update_of_one_that_is_left_out_counts_nothing() -> None:
    """Otherwise a heart beat in an annotation would look like a flood."""
    portion = fill([reduced(0, 15), reduced(1, 15)])
    assert not portion.takes("m001", reduced(1, 15).age, new=False)
    assert portion.left_out == 1
