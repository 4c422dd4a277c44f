"""Which operations add templates with locks to one object, and redirect its calls to them.

Copies have to be made of the right state, so calls are changed first, then templates are copied, then the
originals get their own locks.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from policy.core.decision.decision import Code, Reason
from policy.core.injection.effective_rules import locks_of
from policy.core.injection.in_place import additions, block_of
from policy.core.injection.needs_per_call import SPEC_ITSELF, CallSite, Outline, Rules
from policy.core.injection.reviewed_object import ReviewedObject
from policy.core.injection.wrapper_templates import (
    TaskUses,
    task_uses,
    why_not_around,
    why_not_called,
    wrapper,
)
from policy.core.lock_checks.rulebook import Rulebook
from policy.core.lock_model.block_locks import merged
from policy.core.lock_model.input_values import Caller
from policy.core.lock_model.lock_names import NO_LOCKS, held_locks
from policy.core.objects.argo_version import ArgoVersion
from policy.core.objects.json_patch import JsonObject, Op, PatchOp
from policy.core.objects.workflow import RawTemplate, Synchronization, Template, WorkflowSpec
from policy.core.policy_kinds.kinds import Strategy
from policy.core.values.budget import Part

_MAX_TEMPLATES: Final = 200
_FIRST_WITH_BOUND: Final = ArgoVersion(4, 0)
"""Argo's full CRDs limit the number of templates since then."""
_MAX_BYTES: Final = 1_500_000
"""etcd accepts 1.5 MiB; the status that the controller adds needs a part of it."""


class Refused(Exception):  # noqa: N818 - a refusal is no error of ours
    """A lock that cannot be injected so; the text gives the reason."""


class LockPlacement(msgspec.Struct, frozen=True):
    """Locks sorted by how they are injected: into the body, into a layer in front, or by a choice."""

    direct: Rules
    wraps: Rules
    choices: Rules

    @classmethod
    def of(cls, rules: Rules) -> "LockPlacement":
        """Sort rules by strategy and condition."""
        choices = tuple(rule for rule in rules if rule.choice is not None)
        rest = [rule for rule in rules if rule.choice is None]
        return cls(
            direct=tuple(rule for rule in rest if rule.strategy is not Strategy.WRAPPER),
            wraps=tuple(rule for rule in rest if rule.strategy is Strategy.WRAPPER),
            choices=choices,
        )

    @property
    def layered(self) -> bool:
        """Whether there is a layer in front of the body."""
        return bool(self.wraps or self.choices)


class TemplateWriter:
    """Collects the changes of one object."""

    def __init__(
        self, spec: WorkflowSpec, outline: Outline, rulebook: Rulebook, reviewed: ReviewedObject
    ) -> None:
        self._spec, self.outline, self._reviewed = spec, outline, reviewed
        self._argo, self._namespace = rulebook.locks.argo, rulebook.locks.namespace
        self.lists, self.budget = rulebook.locks.writes_lists, rulebook.budget
        self.defaults = spec.default_locks
        self._count = len(spec.templates or ())
        self._present = {each.name: each for each in spec.templates or ()}
        self._added: set[str] = set()
        self._used: dict[int, TaskUses] = {}
        self._puts: dict[str, frozenset[str]] = {}
        self.holders: list[tuple[Template, frozenset[str], Caller | None]] = []
        self._calls: list[PatchOp] = []
        self._copies: list[PatchOp] = []
        self._own: list[PatchOp] = []
        self._text: Mapping[str, Any] | None = None

    def finish(self) -> tuple[PatchOp, ...] | Reason:
        """Return the patch, or why it would make the object too large for Argo or etcd."""
        patch = (*self._calls, *self._copies, *self._own)
        before = len(self._spec.templates or ())
        if self._argo >= _FIRST_WITH_BOUND and self._count > _MAX_TEMPLATES >= before:
            message = (
                f"would have {self._count} templates with those that hold locks; Argo takes "
                f"{_MAX_TEMPLATES}. Split the Workflow, or use strategy Direct"
            )
        elif self._added and len(self._reviewed.raw) + len(msgspec.json.encode(patch)) > _MAX_BYTES:
            message = "would be too large for etcd with the templates that hold locks. Split the Workflow"
        else:
            return patch
        return Reason(Code.LOCK_CONFLICT, f"{self._reviewed.at[1:].replace('/', '.')}.templates", message)

    def why_not(self, body: RawTemplate | None, sites: Sequence[CallSite]) -> str:
        """Return why there may be no layer between these calls and a body, empty where one may be."""
        self.budget.check(Part.INJECTION)
        if body is None:
            return "its text is not known"
        why = why_not_around(body, self.text())
        for site in sites:
            if not why and not site.changeable and self._reviewed.is_template:
                why = "other objects may call it and use what a layer does not have"
            why = why or why_not_called(site, self._uses(site.caller))
        return why

    def _uses(self, caller: int) -> TaskUses | None:
        """Return what a body uses of its tasks, None for the spec; worked out once for all of its calls."""
        if caller == SPEC_ITSELF:
            return None
        if caller not in self._used:
            self._used[caller] = task_uses(self.body(caller) or {})
        return self._used[caller]

    def text(self) -> Mapping[str, Any]:
        """Return the spec as it is written."""
        if self._text is None:
            self._text = self._reviewed.spec()
        return self._text

    @property
    def retried(self) -> bool:
        """Whether Argo would retry every template without a retryStrategy of its own."""
        text = self.text()
        return bool(text.get("retryStrategy") or (text.get("templateDefaults") or {}).get("retryStrategy"))

    def block(self, number: int) -> Synchronization | None:
        """Return the locks of a body at run time."""
        return merged(self.outline.bodies[number].template.synchronization, self.defaults)

    def body(self, number: int) -> RawTemplate | None:
        """Return a body as it is written, None where the text is not known."""
        pointer = self.outline.bodies[number].pointer[len(self._reviewed.at) :]
        found: Any = self.text()
        for part in pointer.strip("/").split("/"):
            if not found:
                return None
            found = found[int(part)] if isinstance(found, list) else found.get(part)
        return found or None

    def add(
        self,
        name: str,
        value: JsonObject,
        held: frozenset[str],
        *,
        holder: Template | None = None,
        passed: Caller | None = None,
        renamed: bool = False,
    ) -> None:
        """Add a template once; one of that name that is there already must hold its locks.

        `holder` is the template that a copy is made of, and `passed` the call of that. With `renamed`, it
        gets the name of a template that was renamed, so it is new in any case.
        """
        if renamed:
            self._added.add(name)
        elif not self._is_new(name, held):
            return
        if holder is None:
            holder = msgspec.convert(value, Template)
        self.holders.append((holder, held | self._held(holder), passed))
        self._copies.append(PatchOp(Op.ADD, f"{self._reviewed.at}/templates/-", value))
        self._count += 1

    def add_wrapper(
        self, name: str, target: JsonObject, body: RawTemplate, rules: Rules, *, renamed: bool = False
    ) -> None:
        """Add a wrapper that runs `target` under the locks of rules."""
        block = block_of(rules, lists=self.lists)
        value = wrapper(name, target, body, block, retried=self.retried)
        self.add(name, value, locks_of(rules), renamed=renamed)

    def copy(self, index: int, name: str, rules: Rules, template: Template) -> None:
        """Add a copy of a template of the object, with more locks."""
        if not self._is_new(name, locks_of(rules)):
            return
        at = f"{self._reviewed.at}/templates"
        self._copies.append(PatchOp(Op.COPY, f"{at}/-", from_=f"{at}/{index}"))
        self._copies.append(PatchOp(Op.REPLACE, f"{at}/{self._count}/name", name))
        self._copies += self._additions(f"{at}/{self._count}", template, rules)
        self.holders.append((template, locks_of(rules) | self._held(template), None))
        self._count += 1

    def _is_new(self, name: str, held: frozenset[str]) -> bool:
        present = self._present.get(name)
        if present is not None:
            if held <= self._held(present):
                return False
            raise Refused(f'the name "{name}" of the template that would hold it is taken: rename that one')
        if name in self._added:
            return False
        self._added.add(name)
        return True

    def redirect(self, site: CallSite, name: str) -> None:
        """Redirect a call to a template of the object."""
        self._calls += site.redirected_to(name)

    def rename(self, index: int, name: str) -> None:
        """Give a template another name."""
        if name in self._present or name in self._added:
            raise Refused(f'the name "{name}" that it would get is taken: rename that one')
        self._added.add(name)
        self._calls.append(PatchOp(Op.REPLACE, f"{self._reviewed.at}/templates/{index}/name", name))

    def put(self, pointer: str, template: Template, rules: Rules) -> None:
        """Add locks to a template in place; to an inline one before the template around it is copied."""
        inline = pointer.count("/") > self._reviewed.at.count("/") + 2
        operations = self._calls if inline else self._own
        operations += self._additions(pointer, template, rules)
        self._puts[pointer] = locks_of(rules)

    def put_on(self, pointer: str) -> frozenset[str]:
        """Return the locks that were added to a template in place."""
        return self._puts.get(pointer, NO_LOCKS)

    def _held(self, template: Template) -> frozenset[str]:
        return held_locks(merged(template.synchronization, self.defaults), self._namespace)

    def _additions(self, pointer: str, template: Template, rules: Rules) -> list[PatchOp]:
        if not rules:
            return []
        operations = additions(pointer, template.synchronization, rules, self.defaults, lists=self.lists)
        if isinstance(operations, Reason):
            raise Refused(operations.message)
        return operations
