"""What is wrong with windows, each mistake with its field path."""

from typing import Final

from policy.core.policies.quota_part_checks import MAX_WINDOWS, window_problems
from policy.core.policy_kinds.quota_parts import QuotaLimits, WindowSpec

NIGHT: Final = WindowSpec("night", "0 20 * * *", "10h", QuotaLimits(workflows=40), "Europe/Berlin")
REPAIR: Final = WindowSpec("repair", "0 1 * * 0", "1h", QuotaLimits(workflows=0, tasks=5), "Europe/Berlin")


def test_every_mistake_is_reported_with_its_place() -> None:
    """Name, zone, schedule, duration and limits, all at once."""
    wrong = [
        WindowSpec("", "0 20 * *", "10", QuotaLimits(), "Mars/Phobos"),
        WindowSpec("a", "0 20 * * *", "30s", QuotaLimits(1)),
        WindowSpec("a", "0 0 30 2 *", "1h", QuotaLimits(1)),
    ]
    assert [each.path for each in window_problems(wrong, "spec.windows")] == [
        "spec.windows[0].name",
        "spec.windows[0].timeZone",
        "spec.windows[0].schedule",
        "spec.windows[0].duration",
        "spec.windows[0].limits",
        "spec.windows[1].duration",
        "spec.windows[2].name",
        "spec.windows[2].schedule",
    ]
    assert not list(window_problems([NIGHT, REPAIR], "spec.windows"))


def test_too_many_windows_are_refused() -> None:
    """The bound of the CRD."""
    many = [WindowSpec(str(number), "0 8 * * *", "1h", QuotaLimits(1)) for number in range(MAX_WINDOWS + 1)]
    assert [each.path for each in window_problems(many, "w")] == ["w"]
