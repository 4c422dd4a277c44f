"""The text of gauges with many series: what the client library would write, and any parser reads."""

from prometheus_client.parser import text_string_to_metric_families

from policy.service.status.gauge_text import GaugeRows, rendered


def test_the_text_is_read_as_it_was_meant() -> None:
    """Names, labels and values, of a gauge without labels too."""
    limit = GaugeRows("limit", "A limit.", ("team", "quota"))
    limit.add(("a", "b"), 4)
    limit.add(("a", "c"), 0.5)
    alone = GaugeRows("alone", "One.", ())
    alone.add((), 1)
    families = list(text_string_to_metric_families(rendered((limit, alone)).decode()))
    assert [(each.name, each.type, each.documentation) for each in families] == [
        ("limit", "gauge", "A limit."),
        ("alone", "gauge", "One."),
    ]
    assert [(each.labels, each.value) for each in families[0].samples] == [
        ({"team": "a", "quota": "b"}, 4),
        ({"team": "a", "quota": "c"}, 0.5),
    ]


def test_names_that_users_choose_are_escaped() -> None:
    """A quote in the name of a window would otherwise end the whole scrape."""
    name = 'a "night"\\shift\nfor {all} 100%'
    window = GaugeRows("open", "Open.", ("window",), plain=False)
    window.add((name,), 1)
    (family,) = text_string_to_metric_families(rendered((window,)).decode())
    assert [each.labels for each in family.samples] == [{"window": name}]
