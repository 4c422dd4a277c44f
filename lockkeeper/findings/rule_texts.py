"""What each code of a finding means, and what to do: the texts of rules in code scanning."""

from typing import Final, NamedTuple

from lockkeeper.findings.finding import FileCode
from policy.core.decision.decision import Code


class RuleText(NamedTuple):
    """What a code means, and what to do about it."""

    means: str
    remedy: str


_MANUAL: Final = "The message names the field and what to write; docs/reasons.md explains the code."
_TEXTS: Final[dict[str, RuleText]] = {
    Code.EXCEEDED_QUOTA: RuleText(
        "The Workflow alone exceeds a limit of a quota.", "Make it smaller, or raise the limit."
    ),
    Code.EXCEEDS_MAX_QUOTA: RuleText(
        "The Workflow is larger than a limit ever is, so it would wait for ever.",
        "Make it smaller, or raise the limit.",
    ),
    Code.UNBOUNDED_TASKS: RuleText(
        "A limit on tasks applies, and spec.parallelism is not set.",
        "Set spec.parallelism, or perWorkflow.defaultTasks in the quota.",
    ),
    Code.TASKS_ABOVE_CAP: RuleText(
        "spec.parallelism is above the cap of a quota, or below 1.", "Set it to what the message says."
    ),
    Code.PRIORITY_ABOVE_CAP: RuleText(
        "spec.priority is above the cap of a quota.", "Set it to what the message says or less."
    ),
    Code.GROUP_BUSY: RuleText(
        "The key of the Workflow in a group is used by others, and the group refuses what does not fit.",
        "Try again when one of them has ended.",
    ),
    Code.GROUP_KEY_MISSING: RuleText(
        "The Workflow lacks a part of the key of a group that needs all of them.",
        "Set what the message names.",
    ),
    Code.FOREIGN_STATUS: RuleText("A new Workflow brings a status.", "Leave it out."),
    Code.WRONG_TYPE: RuleText(
        "A value does not fit the type that Argo reads there.", "Write what the message says."
    ),
    Code.LOCK_UNDEFINED: RuleText(
        "A semaphore is in no ConfigMap and in no policy.", "Define it, or correct its name."
    ),
    Code.LOCK_LIMIT: RuleText(
        "The limit of a semaphore is no integer of 1 or more.", "Correct the value in the ConfigMap."
    ),
    Code.LOCK_NAME: RuleText(
        "The name of a lock is empty, wrong, against the naming rule, or never filled in.", "Rename it."
    ),
    Code.LOCK_FORM: RuleText(
        "A lock is written in a form that the installed Argo does not read.",
        "Write the form that the message names.",
    ),
    Code.LOCK_PLACE: RuleText("A lock stands where Argo drops it.", "Write it where the message says."),
    Code.LOCK_NAMESPACE: RuleText(
        "A lock of another namespace is used.", "Use one of your own, or allow it in the policy."
    ),
    Code.LOCK_CONFLICT: RuleText(
        "A lock that a policy wants cannot be put in without changing what the Workflow means.",
        "Split the template, call another one, or change the rule.",
    ),
    Code.DEADLOCK: RuleText(
        "Every run would wait for itself for ever: a lock is taken again below its holder.",
        "Take the lock in one of the two places that the message names.",
    ),
    Code.UNKNOWN_REFERENCE: RuleText(
        "A template that is called does not exist.", "Correct the name, or create it first."
    ),
    Code.WRONG_POLICY: RuleText("A policy has a fault.", "Correct the field that the message names."),
    Code.QUEUE_FULL: RuleText("The queue of the namespace takes no more Workflows.", "Submit it later."),
    Code.HOSTILE_METADATA: RuleText(
        "spec.workflowMetadata sets a label or annotation that decides about the Workflow.",
        "Leave it out, or set it in metadata.",
    ),
    FileCode.UNREADABLE: RuleText(
        "A file, or a document in it, cannot be read, so that nothing in it was checked.",
        "Correct it, or leave it out with --exclude.",
    ),
    FileCode.UNKNOWN_KIND: RuleText(
        "An object has a kind or apiVersion that only looks like one of Argo's.",
        "Write the kind and apiVersion that the message names.",
    ),
    FileCode.LOCK_WARNING: RuleText("A lock may not do what it looks like.", _MANUAL),
    FileCode.SCHEDULE: RuleText("A CronWorkflow never runs.", "Correct the schedule as the message says."),
    FileCode.DROPPED: RuleText(
        "Argo drops a field that it does not know, or loses a value.", "Write what the message says."
    ),
    FileCode.REPEATED_KEY: RuleText(
        "A map has a key twice. The cluster gets the last one, and Argo's command line reads no such object.",
        "Remove one of the two.",
    ),
    FileCode.DROPPED: RuleText(
        "A field or a value that Argo drops: it is as if it were not there.",
        "Write it where the message says, or leave it out.",
    ),
    FileCode.REPEATED_KEY: RuleText("A key stands twice, and the last one counts.", "Leave one of them out."),
    FileCode.TEST_FAILED: RuleText(
        "A test of policies came out otherwise than it expects.",
        "Correct the policies, or what the case expects. docs/ci.md has the format.",
    ),
    FileCode.WARNING: RuleText("Something that Lockkeeper warns of when the object is created.", _MANUAL),
}


def rule_text(code: str) -> RuleText:
    """Return the texts of a code; those of codes that few files can show are in the manual alone."""
    return _TEXTS.get(code) or RuleText(f"Lockkeeper refuses the object: {code}.", _MANUAL)
