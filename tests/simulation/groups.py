"""Groups of the quotas of a run, and which keys a Workflow has in them, worked out apart from the product."""

import json
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from policy.core.policy_kinds.quota_parts import CancelBy, GroupSpec, OnExceed, QuotaLimits, WhenBusy
from tests.policy.service.world import labels_of, part

LABEL: Final = "branch"
"""The label, and the parameter, that keys are made of."""
BY_LABEL: Final = "{{workflow.labels.branch}}"
BY_PARAMETER: Final = "{{workflow.parameters.branch}}"
BY_BOTH: Final = f"{BY_LABEL}/{BY_PARAMETER}"
KEYS: Final = (BY_LABEL, BY_PARAMETER, BY_BOTH)

Keys = tuple[tuple[str, str], ...]
"""The keys of a Workflow: the text of the policy, and its value."""


class Group(msgspec.Struct, frozen=True):
    """One group of a quota; limits of None are unlimited."""

    name: str
    key: str
    when_busy: WhenBusy
    workflows: int | None
    tasks: int | None = None
    cancel: CancelBy = CancelBy.TERMINATE

    @property
    def effect(self) -> OnExceed:
        """Whether a Workflow whose key is at its limit is refused or waits."""
        return OnExceed.DENY if self.when_busy is WhenBusy.REFUSE else OnExceed.QUEUE

    def spec(self) -> GroupSpec:
        """Return it as its author writes it."""
        limits = QuotaLimits(self.workflows, self.tasks)
        return GroupSpec(
            name=self.name, key=self.key, limits=limits, when_busy=self.when_busy, cancel=self.cancel
        )

    def opened(self) -> "Group":
        """Return it with room for everybody in turn."""
        return msgspec.structs.replace(self, workflows=max(1, self.workflows or 1), tasks=None)


def specs(groups: Iterable[Group]) -> tuple[GroupSpec, ...]:
    """Return groups as their author writes them."""
    return tuple(each.spec() for each in groups)


def keys_of(label: str, parameter: str) -> Keys:
    """Return the keys of a Workflow with this label and this parameter, "" where it has none."""
    found = [(BY_LABEL, label)] if label else []
    found += [(BY_PARAMETER, parameter)] if parameter else []
    return (*found, (BY_BOTH, f"{label}/{parameter}")) if label and parameter else tuple(found)


def recorded_keys(obj: JsonObject) -> Keys:
    """Return the keys that are recorded on a Workflow."""
    text = part(obj, "metadata", "annotations", well_known.GROUPS)
    found: Mapping[str, str] = json.loads(text) if isinstance(text, str) and text else {}
    return tuple(sorted(found.items()))


def keys_when_retried(obj: JsonObject) -> Keys:
    """Return the keys that a Workflow may have when it runs again: those recorded stay as they are."""
    arguments = part(obj, "spec", "arguments", "parameters")
    first = arguments[0] if isinstance(arguments, list) and arguments else None
    value = first["value"] if isinstance(first, dict) else ""
    found = dict(keys_of(labels_of(obj).get(LABEL, ""), str(value)))
    return tuple(sorted({**found, **dict(recorded_keys(obj))}.items()))
