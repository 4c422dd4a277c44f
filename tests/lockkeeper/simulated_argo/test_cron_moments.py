"""When a CronWorkflow is due."""

from datetime import UTC, datetime, timedelta

import pytest

from lockkeeper.simulated_argo.cron_moments import missed_moment, next_moment, schedules_of
from policy.core.objects.workflow import CronWorkflowSpec

NOON = datetime(2026, 11, 23, 12, 0, 0, 250_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "due"),
    [
        ("* * * * *", "2026-11-23T12:01:00+00:00"),
        ("30 20 * * *", "2026-11-23T20:30:00+00:00"),
        ("CRON_TZ=Asia/Tokyo 30 20 * * *", "2026-11-24T11:30:00+00:00"),
        ("@hourly", "2026-11-23T13:00:00+00:00"),
        ("@every 1m30s", "2026-11-23T12:01:30+00:00"),
        ("@every 0.2s", "2026-11-23T12:00:01+00:00"),
        ("@every 1.5h", "2026-11-23T13:30:00+00:00"),
    ],
)
def test_the_next_time_is_that_of_argos_parser(schedule: str, due: str) -> None:
    """With zones, words and steps of time; none is below a second."""
    assert next_moment(schedule, NOON) == datetime.fromisoformat(due)


@pytest.mark.parametrize(
    ("spec", "schedules"),
    [
        (CronWorkflowSpec(schedule="@daily"), ("@daily",)),
        (CronWorkflowSpec(schedule="@daily", schedules=("@hourly", "@weekly")), ("@hourly", "@weekly")),
        (CronWorkflowSpec(schedules=("@daily",), timezone="Europe/Rome"), ("CRON_TZ=Europe/Rome @daily",)),
        (CronWorkflowSpec(), ()),
    ],
)
def test_schedules_have_their_zone(spec: CronWorkflowSpec, schedules: tuple[str, ...]) -> None:
    """As Argo writes them into the annotation of the schedules that were used last."""
    assert schedules_of(spec) == schedules


def test_of_the_times_that_were_missed_the_latest_counts() -> None:
    """A run is made up for once."""
    last = NOON - timedelta(minutes=10)
    assert missed_moment(("*/4 * * * *",), last, NOON + timedelta(minutes=1)) == NOON.replace(microsecond=0)
    assert missed_moment(("0 0 * * *",), last, NOON) is None
