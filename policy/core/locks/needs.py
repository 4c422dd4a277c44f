"""Which calls of each template need which locks, when some of them run under a lock already."""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from policy.core.kinds import Strategy
from policy.core.locks.generated import FREE_TASK, LOCKED_TASK, base_name
from policy.core.locks.places import Place, calls
from policy.core.locks.rules import CompiledRule
from policy.core.locks.sites import SPEC, Site, sites_of
from policy.core.locks.taken import merged
from policy.core.locks.wanted import held_locks, locks_of
from policy.core.workflow import Template, WorkflowSpec

Rules: TypeAlias = tuple[CompiledRule, ...]
NOTHING_HELD: frozenset[str] = frozenset()


class Above(msgspec.Struct, frozen=True):
    """The locks that are held around something: on every way to it, and on some way."""

    always: frozenset[str] = NOTHING_HELD
    sometimes: frozenset[str] = NOTHING_HELD

    def under(self, locks: frozenset[str], more: frozenset[str]) -> "Above":
        """Return what is held below, where these are held in any case and those perhaps."""
        return Above(self.always | locks, self.sometimes | locks | more)


class Outline(msgspec.Struct, frozen=True):
    """The bodies of an object and who calls them, bodies by number.

    `tops` gives the place of a body in spec.templates; those that stand inline have none.
    """

    bodies: Sequence[Place]
    inbound: Sequence[Sequence[Site]]
    tops: dict[int, int]
    foreign: Sequence[Site]
    order: Sequence[int]


def outline(spec: WorkflowSpec, at: str, *, is_template: bool) -> Outline:
    """Return who calls whom in an object, callers before what they call."""
    bodies: list[Place] = []
    inbound: list[list[Site]] = []
    tops: dict[int, int] = {}
    for index, template in enumerate(spec.templates or ()):
        tops[len(bodies)] = index
        _collect(template, f"{at}/templates/{index}", bodies, inbound, None)
    names: dict[str, int] = {}
    for number in tops:
        names.setdefault(bodies[number].template.name or "", number)
    foreign: list[Site] = []
    anywhere = is_template
    for site in sites_of(spec, bodies, at):
        if site.ref is not None:
            foreign.append(site)
        elif "{{" in (site.template or ""):
            anywhere = True  # Known at run time only: it may be any of them.
        elif (number := names.get(site.template or "", SPEC)) != SPEC:
            inbound[number].append(site)
    for number in tops:
        if anywhere or not inbound[number]:
            inbound[number].append(Site("", SPEC, None))
    return Outline(bodies, inbound, tops, foreign, _callers_first(inbound))


def _collect(
    template: Template, pointer: str, bodies: list[Place], inbound: list[list[Site]], site: Site | None
) -> None:
    number = len(bodies)
    bodies.append(Place(template, pointer, remarkable=True))
    inbound.append([] if site is None else [site])
    for call, where in calls(template, pointer):
        if call.inline is not None:
            one = Site("", number, None, task=call.name or "")
            _collect(call.inline, f"{where}/inline", bodies, inbound, one)


def _callers_first(inbound: Sequence[Sequence[Site]]) -> list[int]:
    """Return the numbers of bodies, each after its callers, but for those of a circle."""
    order: list[int] = []
    seen: set[int] = set()
    for start in range(len(inbound)):
        stack = [(start, False)]
        while stack:
            number, done = stack.pop()
            if done:
                order.append(number)
            elif number not in seen:
                seen.add(number)
                stack.append((number, True))
                stack += [
                    (site.caller, False) for site in inbound[number] if site.caller not in seen | {SPEC}
                ]
    return order


class Needs:
    """What each call of each body needs; `wanted` are the rules of a body, by number.

    A body's locks are known when those of its callers are; what calls itself in a circle is looked at twice.
    """

    def __init__(
        self, found: Outline, wanted: Sequence[Rules], own: Sequence[frozenset[str]], whole: frozenset[str]
    ) -> None:
        self._found, self._wanted, self._own = found, wanted, own
        self._whole = Above(whole, whole)
        self._below: dict[int, Above] = {}
        self.by_site: list[list[Rules]] = [[] for _ in wanted]
        for number in found.order:
            self._settle(number)

    def above(self, site: Site) -> Above | None:
        """Return what is held around a call, or None where its caller is not settled yet."""
        return self._whole if site.caller == SPEC else self._below.get(site.caller)

    def torn(self, number: int, rule: CompiledRule) -> Site | None:
        """Return a call that is made both with and without the lock of a rule held around it."""
        for site in self._found.inbound[number]:
            above = self.above(site)
            if above is not None and set(rule.names) & (above.sometimes - above.always):
                return site
        return None

    def _settle(self, number: int) -> None:
        sites = self._found.inbound[number]
        around = [(site, self.above(site)) for site in sites]
        known = [above for _, above in around if above is not None]
        above = Above(
            frozenset.intersection(*(each.always for each in known)) if known else NOTHING_HELD,
            frozenset().union(*(each.sometimes for each in known)),
        )
        needs = [
            tuple(rule for rule in self._wanted[number] if self._needs(rule, number, site, each or above))
            for site, each in around
        ]
        self.by_site[number] = needs
        put = [locks_of(each) for each in needs]
        sure = frozenset.intersection(*put) if put else NOTHING_HELD
        self._below[number] = above.under(self._own[number] | sure, frozenset().union(*put))

    def _needs(self, rule: CompiledRule, number: int, site: Site, above: Above) -> bool:
        if set(rule.names) & (self._own[number] | above.always):
            return False
        tasks = rule.selector.tasks
        if tasks is not None and not (site.task is not None and tasks.fullmatch(site.task)):
            return False
        if rule.strategy is Strategy.CLONE and not site.pointer:
            # The original stays as it is for whoever calls it from elsewhere.
            return not (any(each.pointer for each in self._found.inbound[number]) or self._copied(number))
        return not self.chosen(rule, site)

    def _copied(self, number: int) -> bool:
        """Tell whether there is something in the object that was made of a body."""
        name = self._found.bodies[number].template.name or ""
        others = (self._found.bodies[each].template.name or "" for each in self._found.tops)
        return any(each != name and base_name(each) == name for each in others)

    def chosen(self, rule: CompiledRule, site: Site) -> bool:
        """Tell whether a call is the free way of a choice by the rule's condition."""
        if rule.choice is None or site.task != FREE_TASK or site.caller == SPEC:
            return False
        dag = self._found.bodies[site.caller].template.dag
        whens = {task.name: task.when for task in (dag.tasks if dag is not None else None) or ()}
        return whens == {LOCKED_TASK: rule.choice.holds, FREE_TASK: rule.choice.fails}


def own_locks(place: Place, spec: WorkflowSpec, namespace: str) -> frozenset[str]:
    """Return the locks that a body holds at run time, those of templateDefaults included."""
    defaults = spec.template_defaults.synchronization if spec.template_defaults is not None else None
    return held_locks(merged(place.template.synchronization, defaults), namespace)
