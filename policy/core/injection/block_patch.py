"""The operations that add locks to the `synchronization` of one template, in the form that Argo reads."""

from collections.abc import Mapping, Sequence

from policy.core.decision.decision import Code, Reason
from policy.core.lock_model.block_locks import merged
from policy.core.lock_model.rules import CompiledRule, item_of, list_of
from policy.core.objects.argo_version import ArgoVersion
from policy.core.objects.json_patch import JsonObject, JsonValue, Op, PatchOp, field_path
from policy.core.objects.workflow import MutexRef, SemaphoreRef, Synchronization


def block_of(rules: Sequence[CompiledRule], argo: ArgoVersion) -> JsonObject:
    """Return a block of these locks alone; before Argo 3.6 there may be only one."""
    if not argo.reads_lists:
        [rule] = rules
        return {"mutex" if isinstance(rule.lock, MutexRef) else "semaphore": rule.item}
    block: dict[str, list[JsonValue]] = {}
    for rule in rules:
        block.setdefault(list_of(rule.lock), []).append(rule.item)
    return {**block}


def additions(
    pointer: str,
    block: Synchronization | None,
    missing: Sequence[CompiledRule],
    argo: ArgoVersion,
    defaults: Synchronization | None,
) -> list[PatchOp] | Reason:
    """Return the operations that add the missing locks to the block of the template at `pointer`.

    A list that the template does not have itself begins with that of templateDefaults, which it replaces.
    """
    at = f"{pointer}/synchronization"
    if not argo.reads_lists:
        return _singular(block, missing, at, merged(block, defaults))
    if block is None and defaults is None and len(missing) == 1:
        return [PatchOp(Op.ADD, at, missing[0].whole)]
    added: dict[str, list[JsonValue]] = {}
    for rule in missing:
        added.setdefault(list_of(rule.lock), []).append(rule.item)
    own, default = lists_of(block), lists_of(defaults)
    whole: JsonObject = {}
    patch: list[PatchOp] = []
    for name, items in added.items():
        if own.get(name):
            patch.extend(PatchOp(Op.ADD, f"{at}/{name}/-", item) for item in items)
        else:
            whole[name] = [*(item_of(each) for each in default.get(name) or ()), *items]
    if block is None:
        return [PatchOp(Op.ADD, at, whole)]
    return patch + [PatchOp(Op.ADD, f"{at}/{name}", items) for name, items in whole.items()]


def holds_one(block: Synchronization | None) -> bool:
    """Tell whether a block has a lock in the single form: the only one that it holds before Argo 3.6."""
    return block is not None and (block.semaphore is not None or block.mutex is not None)


def lists_of(block: Synchronization | None) -> Mapping[str, Sequence[SemaphoreRef | MutexRef] | None]:
    """Return the lists of a block by name."""
    return {} if block is None else {"semaphores": block.semaphores, "mutexes": block.mutexes}


def _singular(
    block: Synchronization | None,
    missing: Sequence[CompiledRule],
    at: str,
    held: Synchronization | None,
) -> list[PatchOp] | Reason:
    """Return the one lock that Argo before 3.6 can hold, or the reason why it cannot take another."""
    if holds_one(held) or len(missing) > 1:
        names = ", ".join(rule.lock_name for rule in missing)
        message = (
            f"needs the lock {names}, but Argo before 3.6 holds one lock a template. "
            "Split the template, or remove its own lock"
        )
        return Reason(Code.LOCK_CONFLICT, field_path(at), message, missing[0].policy.source)
    name = "mutex" if isinstance(missing[0].lock, MutexRef) else "semaphore"
    item = missing[0].item
    if block is None:
        return [PatchOp(Op.ADD, at, {name: item})]
    return [PatchOp(Op.ADD, f"{at}/{name}", item)]
