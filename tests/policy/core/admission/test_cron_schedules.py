"""Why a CronWorkflow would never run is reported by field, for the version of Argo that is installed."""

import pytest

from policy.core.admission.cron_schedules import schedule_problems
from policy.core.objects.argo_version import ArgoVersion
from policy.core.objects.workflow import CronWorkflow, CronWorkflowSpec, Metadata

V35, V37, V41 = ArgoVersion(3, 5), ArgoVersion(3, 7), ArgoVersion(4, 1)
GOOD = ("0 3 * * *",)


def _problems(
    argo: ArgoVersion = V41,
    *,
    name: str = "nightly",
    schedule: str | None = None,
    schedules: tuple[str, ...] | None = None,
    timezone: str | None = None,
    policy: str | None = None,
    deadline: int | None = None,
) -> list[str]:
    spec = CronWorkflowSpec(
        schedule=schedule,
        schedules=schedules,
        timezone=timezone,
        concurrency_policy=policy,
        starting_deadline_seconds=deadline,
    )
    cron = CronWorkflow(metadata=Metadata(name=name), spec=spec)
    return [f"{each.path}: {each.message}" for each in schedule_problems(cron, argo)]


@pytest.mark.parametrize(
    "schedule",
    [
        "0 3 * * *",
        "@daily",
        "@every 1h30m",
        "@every .5h",
        "CRON_TZ=Europe/Berlin 0 3 * * ?",
        "0 0 */2 * mon",
        "5/10 * * jan-mar sun",
    ],
)
def test_what_argos_parser_accepts_has_no_problems(schedule: str) -> None:
    """In every version that reads its field."""
    assert _problems(schedules=(schedule, *GOOD), policy="Forbid") == []
    assert _problems(V37, schedules=(schedule,), policy="") == []
    assert _problems(V37, schedule=schedule) == []
    assert _problems(V35, schedule=schedule, policy="Replace") == []


def test_a_single_schedule_is_dropped_from_argo_4_on() -> None:
    """It is the commonest reason why nothing runs after an upgrade."""
    (problem,) = _problems(schedule="0 3 * * *")
    assert problem == (
        "spec.schedule: is dropped by Argo 4.1, which reads schedules, so it never runs: "
        'write schedules: ["0 3 * * *"]'
    )
    assert _problems(schedule="nonsense", schedules=GOOD) == []
    _, wrong = _problems(schedule="0 3 * *")
    assert wrong.startswith("spec.schedule: '0 3 * *' is no schedule")


def test_a_list_is_dropped_before_argo_3_6() -> None:
    """There the single field is the only one."""
    (problem,) = _problems(V35, schedules=GOOD)
    assert problem.startswith("spec.schedules: is dropped by Argo 3.5")


@pytest.mark.parametrize(
    ("argo", "path"), [(V41, "spec.schedules"), (V37, "spec.schedule"), (V35, "spec.schedule")]
)
def test_one_without_a_schedule_never_runs(argo: ArgoVersion, path: str) -> None:
    """An empty list is none."""
    (problem,) = _problems(argo, schedules=())
    assert problem.startswith(f"{path}: ")
    assert "without a schedule" in problem


@pytest.mark.parametrize(
    ("schedule", "text"),
    [
        ("61 * * * *", "minute '61' is not within 0 to 59"),
        ("0 3 * * 7", "write 0 or sun for Sunday"),
        ("0 3 L * *", "L, W and # are not known"),
        ("0 0 30 2 *", "never occurs"),
        ("0 3 * *", "is no schedule"),
        ("@every day", "names no duration"),
        ("@nightly", "is no schedule"),
        ("TZ=Mars/Phobos 0 3 * * *", "is no time zone"),
    ],
)
def test_a_schedule_that_argo_cannot_read_is_reported_with_its_path(schedule: str, text: str) -> None:
    """One of several that is wrong stops them all."""
    (problem,) = _problems(schedules=(*GOOD, schedule))
    assert problem.startswith("spec.schedules[1]: ")
    assert text in problem


def test_a_time_zone_is_given_in_one_place() -> None:
    """Argo puts the zone before the schedule, and two of them cannot be read."""
    (problem,) = _problems(schedules=("CRON_TZ=Europe/Berlin 0 3 * * *",), timezone="Asia/Tokyo")
    assert "keep one of them" in problem
    (problem,) = _problems(schedules=GOOD, timezone="Europe/Berln")
    assert problem.startswith("spec.timezone: 'Europe/Berln' is no time zone")


def test_a_wrong_concurrency_policy_and_a_long_name_are_reported() -> None:
    """Argo looks at both only when it would run."""
    (problem,) = _problems(schedules=GOOD, policy="forbid")
    assert problem == "spec.concurrencyPolicy: 'forbid' is none of Allow, Forbid, Replace: Argo never runs it"
    (problem,) = _problems(schedules=GOOD, name="n" * 53)
    assert problem.startswith("metadata.name: has 53 characters")


def test_the_zone_of_argos_machine_is_one() -> None:
    """Go knows it as Local, and so does Argo; a window of a quota may not have it."""
    assert _problems(schedules=GOOD, timezone="Local") == []
    assert _problems(schedules=("CRON_TZ=Local 0 3 * * *",)) == []


def test_a_deadline_below_zero_is_reported() -> None:
    """Argo refuses it; zero is none."""
    (problem,) = _problems(schedules=GOOD, deadline=-5)
    assert problem == "spec.startingDeadlineSeconds: is below 0: Argo never runs it; write 0 or more"
    assert _problems(schedules=GOOD, deadline=0) == []
