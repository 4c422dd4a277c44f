"""What happens apart from faults, drawn from the seed: who creates what, when, under which quotas."""

from enum import StrEnum
from typing import Final

import msgspec

from policy.core.policy_kinds.quota_parts import CancelBy, OnExceed, WhenBusy
from tests.simulation.choices import Choices
from tests.simulation.groups import KEYS, Group
from tests.simulation.policies import NAMESPACES, POOL, Quota
from tests.simulation.scheduler import MILLISECOND, SECOND

CROWDS: Final = ((9, 5 * SECOND), (9, 5 * SECOND), (20, 12 * SECOND))
"""How many Workflows there may be, and within which time they are created."""
LEVELS: Final = 3
"""How many levels of children there may be."""
LONGEST_RUN: Final = 4 * SECOND
VERY_LONG_RUN: Final = 120 * SECOND


class Feature(StrEnum):
    """Things that people do which a run can leave out."""

    EFFECT_EDITS = "edits of onExceed between Queue and Deny"
    COPIED_MARKS = "resubmits that carry our labels while the mutating webhook is away"
    GENERATED_NAMES = "names from generateName under quotas that deny"
    RETRIES = "retries of finished Workflows"
    BYPASS = "creates while the webhooks are not configured"
    MIXED_EFFECTS = "quotas that queue and quotas that deny over the same Workflows"
    EDITS = "edits of limits"
    QUOTAS_GO = "quotas that are deleted and made again"
    BORROWING = "pools whose members borrow from each other"
    TWINS = "several creates of one name at nearly the same time"
    LINES = "Workflows that create others, which create others"
    STOPS = "stops of Workflows, which wait or run by then"
    GROUPS = "groups of quotas, which count by keys"
    POOLS_GO = "pools that are deleted and made again, which moves their namespaces to other ledgers"


BRANCHES: Final = ("main", "main", "dev", "")
PARAMETERS: Final = ("x", "x", "y", "")
EDITS: Final = 4
MOVES: Final = frozenset(
    {
        "edits",
        "pool",
        *(f"edit {number} place" for number in range(EDITS)),
        *(f"edit {number} gone" for number in (0, 2)),
        *(f"weather {fault}" for fault in ("LATE", "FREEZE", "STALL", "CUT", "POLICY_LAG")),
    }
)
"""What is certain in a run about namespaces that move: a pool that goes and comes again in bad weather."""


RETRIES: Final = frozenset(
    {
        *(f"w{number} retried" for number in range(20)),
        *(f"weather {fault}" for fault in ("LATE", "TWICE", "STALE_WATCH", "STALL")),
    }
)
"""What is certain in a run about holds of the same Workflow, one after the other, while requests are late."""


def certain(seed: int) -> frozenset[str]:
    """Return what is certain in the run of a seed: in eight of ten nothing, else what two are about."""
    return {8: RETRIES, 9: MOVES}.get(seed % 10, frozenset())


class Twin(msgspec.Struct, frozen=True):
    """Somebody who creates another Workflow under a name that is taken, so much later than the first."""

    after: int
    tasks: int
    spoilt: bool
    branch: str = ""


class Row(msgspec.Struct, frozen=True):
    """One Workflow and its fate; times are microseconds after the start, or after it ran."""

    name: str
    namespace: str
    user: str
    klass: str
    tasks: int
    priority: int
    original: str
    generated: bool
    at: int
    runs: int
    deleted_after: int | None
    retried: bool
    resubmitted: bool
    bypass: bool
    spoilt: bool
    mutator_away: bool
    stopped_after: int | None = None
    twins: tuple[Twin, ...] = ()
    branch: str = ""
    parameter: str = ""
    other_branch: str = ""
    """The label of its resubmit, and of an edit of itself."""
    relabelled_after: int | None = None
    children: tuple["Row", ...] = ()
    """What a Pod of it creates when it runs; `at` is after that."""


class Edit(msgspec.Struct, frozen=True):
    """New quotas at a time."""

    at: int
    quotas: tuple[Quota, ...]


class Scenario(msgspec.Struct, frozen=True):
    """The plan of a run."""

    webhooks: int
    controllers: int
    quotas: tuple[Quota, ...]
    edits: tuple[Edit, ...]
    rows: tuple[Row, ...]


def draw(choices: Choices, features: frozenset[Feature], *, long: bool) -> Scenario:
    """Return the plan of a seed, with only those features; in a `long` storm some run for long."""
    style = choices.pick("style", ("queue", "queue", "deny", "deny", "mixed"))
    if style == "mixed" and Feature.MIXED_EFFECTS not in features:
        style = "queue"
    quotas = _quotas(choices, style, features)
    if Feature.GROUPS in features and choices.chance("groups", 0.45):
        quotas = _grouped(choices, quotas)
    most, within = choices.pick("crowd", CROWDS)
    lines = Feature.LINES in features and choices.chance("lines", 0.35)
    return Scenario(
        webhooks=choices.between("webhooks", 2, 4),
        controllers=2,
        quotas=quotas,
        edits=_edits(choices, quotas, features),
        rows=tuple(
            _with_children(choices, _row(choices, f"w{number}", features, long=long, within=within), lines)
            for number in range(most)
            if number == 0 or choices.chance(f"w{number} exists", 0.8)
        ),
    )


def _quotas(choices: Choices, style: str, features: frozenset[Feature]) -> tuple[Quota, ...]:
    found = []
    for namespace in NAMESPACES:
        for number, probability in enumerate((0.85, 0.3)):
            question = f"quota {namespace} {number}"
            if choices.roll(question)[0] < probability:
                found.append(_quota(choices, question, f"q{number}", namespace, style))
    if not found or choices.chance("pool", 0.35):
        found.append(_lender(choices, _quota(choices, "pool quota", POOL, "", style), features))
    return tuple(found)


def _lender(choices: Choices, pool: Quota, features: frozenset[Feature]) -> Quota:
    """Return the pool, which may let its members borrow."""
    if Feature.BORROWING not in features or not choices.chance("pool borrows", 0.6):
        return pool
    effect = OnExceed.QUEUE if pool.effect is OnExceed.WARN else pool.effect
    return msgspec.structs.replace(pool, borrows=choices.pick("pool lends", (0, 1, 2)), effect=effect)


def _quota(choices: Choices, question: str, name: str, namespace: str, style: str) -> Quota:
    effects = {
        "queue": (OnExceed.QUEUE,),
        "deny": (OnExceed.DENY,),
        "mixed": (OnExceed.QUEUE, OnExceed.DENY, OnExceed.WARN),
    }[style]
    return Quota(
        name=name,
        namespace=namespace,
        effect=choices.pick(f"{question} effect", effects),
        workflows=choices.pick(f"{question} workflows", (1, 1, 2, 3)),
        tasks=choices.pick(f"{question} tasks", (None, None, 3, 5)),
        per_user=choices.pick(f"{question} user", (None, None, 1)) if namespace else None,
        klass=choices.pick(f"{question} class", ("", "", "night")) if namespace else "",
    )


def _grouped(choices: Choices, quotas: tuple[Quota, ...]) -> tuple[Quota, ...]:
    """Return quotas with groups; a pool may give groups to its members, too."""
    found = []
    for each in quotas:
        question = f"groups of {each.namespace or POOL} {each.name}"
        groups = _groups(choices, question, ("g", "h"), 0.7)
        defaults = () if each.namespace else _groups(choices, f"{question} by default", ("d",), 0.5)
        found.append(msgspec.structs.replace(each, groups=groups, defaults=defaults))
    return tuple(found)


def _groups(choices: Choices, question: str, names: tuple[str, ...], first: float) -> tuple[Group, ...]:
    """Return the groups of a quota, mostly one: of more there is the first with this probability."""
    found = []
    for name, probability in zip(names, (first, 0.25), strict=False):
        if choices.chance(f"{question} {name}", probability):
            tasks = choices.pick(f"{question} {name} tasks", (None, None, 3, 4))
            found.append(
                Group(
                    name=name,
                    key=choices.pick(f"{question} {name} key", KEYS),
                    when_busy=choices.pick(f"{question} {name} busy", (*WhenBusy, WhenBusy.CANCEL_RUNNING)),
                    workflows=choices.pick(f"{question} {name} workflows", (1, 1, 2, 3)),
                    tasks=tasks,
                    cancel=choices.pick(f"{question} {name} cancel", tuple(CancelBy)),
                )
            )
    return tuple(found)


def _other_groups(choices: Choices, question: str, old: Quota) -> tuple[Group, ...]:
    """Return the groups of a quota after an edit: mostly the same, with another limit, or others."""
    drawn = _groups(choices, f"{question} anew", ("g", "h"), 0.7)
    limited = tuple(
        msgspec.structs.replace(each, workflows=choices.pick(f"{question} {each.name}", (1, 2, 0)))
        for each in old.groups
    )
    return choices.pick(f"{question} groups", (old.groups, old.groups, old.groups, limited, drawn))


def _edits(choices: Choices, quotas: tuple[Quota, ...], features: frozenset[Feature]) -> tuple[Edit, ...]:
    if Feature.EDITS not in features or not choices.chance("edits", 0.4):
        return ()
    edits: list[Edit] = []
    at = 0
    for number in range(EDITS):
        question = f"edit {number}"
        at += choices.between(f"{question} at", 50 * MILLISECOND, 4 * SECOND)
        place = choices.between(f"{question} place", 0, len(quotas) - 1)
        old = quotas[place]
        new = msgspec.structs.replace(
            old,
            workflows=choices.pick(f"{question} workflows", (old.workflows, 0, 1, 2, 4)),
            tasks=choices.pick(f"{question} tasks", (old.tasks, None, 4)),
        )
        if Feature.EFFECT_EDITS in features:
            warns = () if new.borrows is not None else (OnExceed.WARN,)
            effects = (new.effect, OnExceed.QUEUE, OnExceed.DENY, *warns)
            new = msgspec.structs.replace(new, effect=choices.pick(f"{question} effect", effects))
        if any(each.groups or each.defaults for each in quotas):
            new = msgspec.structs.replace(new, groups=_other_groups(choices, question, new))
        quotas = (*quotas[:place], new, *quotas[place + 1 :])
        edits.append(Edit(at, _in_force(choices, question, quotas, place, features)))
    # The last edit leaves room for everybody that can fit at all, so that a run can end with empty queues.
    open_ = tuple(
        msgspec.structs.replace(
            each,
            workflows=max(1, each.workflows or 1),
            tasks=None,
            groups=tuple(group.opened() if group.workflows == 0 else group for group in each.groups),
        )
        for each in quotas
    )
    return (*edits, Edit(at + 3 * SECOND, open_))


def _in_force(
    choices: Choices, question: str, quotas: tuple[Quota, ...], place: int, features: frozenset[Feature]
) -> tuple[Quota, ...]:
    """Return the quotas of an edit, one of which may be gone until the next."""
    feature = Feature.QUOTAS_GO if quotas[place].namespace else Feature.POOLS_GO
    goes = feature in features and len(quotas) > 1 and choices.chance(f"{question} gone", 0.4)
    return (*quotas[:place], *quotas[place + 1 :]) if goes else quotas


def _twins(choices: Choices, name: str) -> tuple[Twin, ...]:
    """Return who else creates a Workflow of this name: mostly nobody."""
    many = choices.pick(f"{name} twins", (0, 0, 0, 0, 1, 2, 5))
    return tuple(
        Twin(
            after=choices.between(f"{name} twin {number} after", 0, 3 * SECOND),
            tasks=choices.between(f"{name} twin {number} tasks", 1, 3),
            spoilt=choices.chance(f"{name} twin {number} spoilt", 0.4),
            branch=choices.pick(f"{name} twin {number} branch", BRANCHES),
        )
        for number in range(many)
    )


def _row(choices: Choices, name: str, features: frozenset[Feature], *, long: bool, within: int) -> Row:
    generated = Feature.GENERATED_NAMES in features and choices.chance(f"{name} generated", 0.2)
    longest = LONGEST_RUN if not long or choices.chance(f"{name} short", 0.7) else VERY_LONG_RUN
    return Row(
        name=name,
        namespace=choices.pick(f"{name} namespace", NAMESPACES),
        user=choices.pick(f"{name} user", ("ann", "ann", "bob")),
        klass=choices.pick(f"{name} class", ("day", "night")),
        tasks=choices.between(f"{name} tasks", 1, 3),
        priority=choices.pick(f"{name} priority", (0, 0, 5, -5)),
        original=choices.pick(f"{name} original", ("", "", "", "argo-b")),
        generated=generated,
        at=choices.between(f"{name} at", 0, within),
        runs=choices.between(f"{name} runs", 50 * MILLISECOND, longest),
        deleted_after=choices.between(f"{name} deleted at", 10 * MILLISECOND, 5 * SECOND)
        if choices.chance(f"{name} deleted", 0.12)
        else None,
        retried=Feature.RETRIES in features and choices.chance(f"{name} retried", 0.2),
        resubmitted=choices.chance(f"{name} resubmitted", 0.15),
        bypass=Feature.BYPASS in features and choices.chance(f"{name} bypass", 0.06),
        spoilt=choices.chance(f"{name} spoilt", 0.1),
        stopped_after=choices.between(f"{name} stopped at", 10 * MILLISECOND, 5 * SECOND)
        if Feature.STOPS in features and choices.chance(f"{name} stopped", 0.15)
        else None,
        branch=choices.pick(f"{name} branch", BRANCHES),
        parameter=choices.pick(f"{name} parameter", PARAMETERS),
        other_branch=choices.pick(f"{name} other branch", BRANCHES),
        relabelled_after=choices.between(f"{name} relabelled at", 10 * MILLISECOND, 5 * SECOND)
        if Feature.GROUPS in features and choices.chance(f"{name} relabelled", 0.1)
        else None,
        twins=() if generated or Feature.TWINS not in features else _twins(choices, name),
        mutator_away=Feature.COPIED_MARKS in features and choices.chance(f"{name} mutator away", 0.5),
    )


def _with_children(choices: Choices, row: Row, lines: bool, level: int = 0) -> Row:  # noqa: FBT001 - drawn
    """Return a row with what its Pods create; who has children is not deleted, or they would go with it."""
    if not lines or level >= LEVELS or row.generated or not choices.chance(f"{row.name} has children", 0.5):
        return row
    children = tuple(
        _with_children(choices, _child(choices, row, number), lines, level + 1)
        for number in range(choices.between(f"{row.name} children", 1, 3))
    )
    return msgspec.structs.replace(row, children=children, deleted_after=None, resubmitted=False)


def _child(choices: Choices, above: Row, number: int) -> Row:
    """Return a Workflow as a Pod of another creates it, governed as that is."""
    drawn = _row(choices, f"{above.name}c{number}", frozenset(), long=False, within=SECOND)
    user = f"system:serviceaccount:{above.namespace}:default"
    retried = choices.chance(f"{drawn.name} retried", 0.2)
    return msgspec.structs.replace(
        drawn,
        namespace=above.namespace,
        klass=above.klass,
        user=user,
        branch=drawn.branch if choices.chance(f"{drawn.name} other key", 0.4) else above.branch,
        parameter=above.parameter,
        retried=retried,
        resubmitted=False,
        spoilt=False,
    )
