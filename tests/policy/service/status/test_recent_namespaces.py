"""Which namespaces are counted apart."""

from prometheus_client import CollectorRegistry, Counter, generate_latest

from policy.service.status.recent_namespaces import RecentNamespaces


def test_the_namespace_that_was_not_used_for_longest_makes_room() -> None:
    """Under churn a new team is counted, and one that is always there keeps its count."""
    registry = CollectorRegistry()
    counter = Counter("releases", "Some.", ["namespace"], registry=registry)
    recent = RecentNamespaces(counters=(counter,), most=2)
    for namespace in ("steady", "a", "steady", "b", "steady", "c"):
        recent.of(namespace)[0].inc()
    lines = [each for each in generate_latest(registry).decode().splitlines() if "{" in each]
    assert lines == ['releases_total{namespace="steady"} 3.0', 'releases_total{namespace="c"} 1.0']


def test_the_counters_of_a_namespace_begin_together_at_zero() -> None:
    """The first event would be lost to every rate otherwise."""
    registry = CollectorRegistry()
    counters = tuple(Counter(each, "Some.", ["namespace"], registry=registry) for each in ("a", "b"))
    RecentNamespaces(counters=counters).of("etl")
    for each in ("a_total", "b_total"):
        assert registry.get_sample_value(each, {"namespace": "etl"}) == 0
