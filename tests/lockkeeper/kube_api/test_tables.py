"""Tables as kubectl prints them: ages in its short form, conditions, and what is missing."""

from datetime import UTC, datetime, timedelta

import pytest

from lockkeeper.kube_api.served_kinds import SERVED
from lockkeeper.kube_api.tables import age, table
from policy.cluster.protocol import WORKFLOW_QUOTAS
from policy.core.objects.json_patch import JsonObject

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
QUOTAS = next(each for each in SERVED if each.resource == WORKFLOW_QUOTAS)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59, "59s"), (61, "1m1s"), (600, "10m"), (7_260, "2h1m"), (90_000, "1d1h"), (864_000, "10d")],
)
def test_an_age_is_short(seconds: int, text: str) -> None:
    """One unit, and the next smaller one where there are few of the first."""
    assert age(NOW - timedelta(seconds=seconds), NOW) == text


def test_a_row_has_the_cells_of_the_columns() -> None:
    """What an object does not have is empty."""
    obj: JsonObject = {
        "metadata": {"name": "main", "creationTimestamp": "2026-11-23T11:59:00Z"},
        "status": {
            "running": 2,
            "effectiveLimits": {"workflows": 5},
            "conditions": [{"type": "Other", "status": "False"}, {"type": "Ready", "status": "True"}],
        },
    }
    shown = table(QUOTAS, [obj, {"metadata": {"name": "new"}}], "7", NOW)
    rows = shown["rows"]
    assert isinstance(rows, list)
    cells = [each["cells"] for each in rows if isinstance(each, dict)]
    assert cells == [
        ["main", 2, 5, None, None, None, "True", "1m"],
        ["new", None, None, None, None, None, None, None],
    ]
