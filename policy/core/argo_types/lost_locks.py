"""Locks that Argo drops: written where its type has no such field, or under a name that it does not know.

A lock counts in a template and in a WorkflowSpec alone, as `synchronization` with `mutexes` and `semaphores`
below. Anywhere else, and under any other name, Argo drops it without a word and runs unlocked.
"""

from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from policy.core.objects.json_patch import JsonValue
from policy.core.values.problems import LONGEST_WORD, nearest

Place: TypeAlias = tuple[str, Callable[[], str]]
"""A struct, and what returns the field path to it."""

BLOCK: Final = "synchronization"
_LISTS: Final = {
    "mutexes": "mutexes",
    "semaphores": "semaphores",
    "mutex": "mutexes",
    "semaphore": "semaphores",
}
"""The lists of locks, by what they are called; Argo before 4 reads the single forms, too."""
_WORDS: Final = (BLOCK, *_LISTS)
LOCK_STRUCTS: Final = frozenset({"Synchronization", "SemaphoreRef", "Mutex", "SyncDatabaseRef"})
"""Structs of which every field decides which lock is taken."""
_REF: Final = "SemaphoreRef"
_REFERENCES: Final = {"ConfigMapKeySelector": "configMapKeyRef", "SyncDatabaseRef": "database"}
"""Fields of a semaphore that say where its limit is, by their structs."""
_NAMESPACE: Final = "namespace"
_CALLS: Final = frozenset({"DAGTask", "WorkflowStep", "LifecycleHook"})
_SPECS: Final = frozenset({"Template", "WorkflowSpec"})
_STATUS: Final = "status"
_STATUSES: Final = frozenset({"WorkflowStatus", "CronWorkflowStatus"})
_LIKENESS: Final = 0.85
_EXTENSION: Final = "x-"
"""How fields begin that people add for what they write once in YAML and name where it counts."""


def lost_lock(field: str, value: JsonValue, places: Iterable[Place], like: str = "") -> str:
    """Return the sentence about a field that Argo drops, if a lock is lost with it, else nothing.

    `places` are the structs around the field, the one that lacks it first; `like` is the word for locks that
    the field is like.
    """
    word = _meant(field, value) or like if value else ""
    if not word and holds_block(value):
        word = BLOCK
    if not word or field.startswith(_EXTENSION):
        return ""
    around = list(places)
    if field == _STATUS or any(struct in _STATUSES for struct, _ in around):
        return ""  # A record of what ran.
    return f"is no field that Argo reads here; it drops the lock and runs unlocked: {_fix(word, around)}"


def holds_block(value: JsonValue) -> bool:
    """Return whether the value of a field that Argo drops has a whole block of locks in it."""
    block = value.get(BLOCK) if isinstance(value, dict) else None
    return isinstance(block, dict) and any(block.get(each) for each in _LISTS)


def lock_word(field: str) -> str:
    """Return the word for locks that a field is like, "" where it is like none; it takes time to look."""
    return nearest(field[: LONGEST_WORD + 1].casefold(), _WORDS, likeness=_LIKENESS)


def decides_a_lock(struct: str, around: str) -> bool:
    """Return whether a field of a struct inside another decides which lock is taken."""
    return struct in LOCK_STRUCTS or around == _REF


def misplaced_namespace(field: str, struct: str) -> str:
    """Return the sentence about a namespace in the reference to a limit, "" for another field."""
    reference = _REFERENCES.get(struct)
    if reference is None or field.casefold() != _NAMESPACE:
        return ""
    return (
        "is no field that Argo reads here, so the lock of the Workflow's own namespace is taken: write it "
        f"one level higher, beside {reference}"
    )


def read_in_other_case(field: str, right: str) -> str:
    """Return the sentence about a field of a lock below a step, where Argo alone reads it in any case."""
    return f'is read by Argo, as it is below a step, but not by Lockkeeper: write "{right}", not "{field}"'


def _meant(field: str, value: JsonValue) -> str:
    """Return the word for locks that a field was meant to be: by its name, or by what is below it."""
    folded = field[: LONGEST_WORD + 1].casefold()
    if folded in _WORDS:
        return folded
    return BLOCK if isinstance(value, dict) and any(value.get(each) for each in _LISTS) else ""


def _fix(word: str, around: list[Place]) -> str:
    here = around[0][0]
    if here == "Synchronization":
        return f'write "{_LISTS[word]}"' if word in _LISTS else "write what is in it one level higher"
    below = f".{_LISTS[word]}" if word in _LISTS else ""
    for struct, path in around:
        if struct in _CALLS:
            return f"write it into the template that is called here, as {BLOCK}{below}"
        if struct in _SPECS:
            return f"write it as {path()}.{BLOCK}{below}"
    spec = "spec.workflowSpec" if any(struct.startswith("Cron") for struct, _ in around) else "spec"
    return f"write it as {spec}.{BLOCK}{below}"
