"""What a ClusterQueue or a Cohort of Kueue has in tasks: nominal quota, and the most it borrows and lends."""

from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from lockkeeper.importing.drafts import TaskSize, listed
from lockkeeper.importing.resource_quotas import not_sized
from lockkeeper.manifests.manifest import Manifest
from policy.core.objects.json_parts import part
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.quota.node_capacity import millicores

GROUPS: Final = "spec.resourceGroups"
_MILLI: Final = 1000


class LeaveOut(Protocol):
    """Tells what is left out."""

    def __call__(self, manifest: Manifest, field: str, message: str, *, at: str = "") -> None:
        """Tell of a field, in the line of `at` where that is given."""
        ...


class Quantities(msgspec.Struct, frozen=True):
    """What a ClusterQueue has in tasks: nominal, and what it borrows and lends at most (None: all)."""

    nominal: int
    borrows: int | None
    lends: int | None


def in_tasks(manifest: Manifest, size: TaskSize, leave_out: LeaveOut) -> Quantities | None:
    """Return what is given in tasks: by Pods, else by the requests of a task; the least of them."""

    def tell(what: str, message: str) -> None:
        leave_out(manifest, f"{GROUPS} ({what})" if what else GROUPS, message, at=GROUPS)

    totals: dict[str, list[int | None]] = {}
    flavors = 0
    for group in listed(part(manifest.value, "spec", "resourceGroups")):
        flavors = max(flavors, len(listed(group.get("flavors"))))
        for flavor in listed(group.get("flavors")):
            for each in listed(flavor.get("resources")):
                _add(totals.setdefault(str(each.get("name")), [0, 0, 0]), each, tell)
    found: dict[str, Quantities] = {}
    for resource, (nominal, borrows, lends) in totals.items():
        unit = _MILLI if resource == "pods" else size.unit(resource)
        if unit is None:
            tell(resource, not_sized(resource))
            continue
        most = (None if each is None else each // unit for each in (borrows, lends))
        found[resource] = Quantities((nominal or 0) // unit, *most)
    if flavors > 1:
        tell("", f"its {flavors} flavors count together: tasks have no flavor")
    least = min(found, key=lambda each: found[each].nominal, default=None)
    for resource in found:
        if resource != least:
            tell(resource, f"{least} allows as few tasks or fewer, and counts alone")
    return None if least is None else found[least]


def _add(total: list[int | None], resource: JsonObject, tell: Callable[[str, str], None]) -> None:
    """Add what one flavor has of a resource; where one is without a limit, all together are."""
    first = total == [0, 0, 0]
    for index, field in enumerate(("nominalQuota", "borrowingLimit", "lendingLimit")):
        value, known = quantity(resource.get(field)), total[index]
        if index and not first and (value is None) != (known is None):
            tell(field, "is given for some flavors only, and tasks have no flavor")
        if value is None and resource.get(field) is not None:
            tell(field, f"{resource[field]!r} is no quantity")
        if index and value is None:
            total[index] = None
        elif known is not None:
            total[index] = known + (value or 0)


def quantity(value: JsonValue) -> int | None:
    """Return a quantity in thousandths, None for what is none."""
    try:
        return None if value is None or isinstance(value, dict | list) else millicores(str(value))
    except ValueError:
        return None
