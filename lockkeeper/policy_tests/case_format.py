"""The format of test files: these structs are its schema, and their descriptions what editors show."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from policy.core.decision.decision import Code, Outcome
from policy.core.policy_kinds.kinds import DEFAULT_NAMESPACE


class CaseStruct(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Base of the structs of a test file: immutable, camelCase, and no other fields."""


class RunningUsage(CaseStruct, frozen=True):
    """How many Workflows run in a namespace, with the tasks of all of them."""

    workflows: int
    tasks: int | None = None


class ExpectedReason(CaseStruct, frozen=True):
    """One reason of a denial; what is left out may be anything."""

    code: Code | None = None
    field: str | None = None
    policy: str | None = None
    message: str | None = None


class Expectation(CaseStruct, frozen=True):
    """What is expected of the decision about a Workflow; what is left out may be anything."""

    decision: Outcome | None = None
    reasons: tuple[Code | ExpectedReason, ...] | None = None
    warnings: tuple[str, ...] | None = None
    locks: tuple[str, ...] | None = None
    policies: tuple[str, ...] | None = None
    fields: dict[str, Any] | None = None
    absent: tuple[str, ...] = ()
    patch: tuple[dict[str, Any], ...] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether everything would be as expected."""
        return self == NOTHING_EXPECTED


NOTHING_EXPECTED: Final = Expectation()


class WorkflowEntry(CaseStruct, frozen=True):
    """A Workflow (or a template or a CronWorkflow) of a case: in a file, or written here."""

    file: str | None = None
    only: str | None = None
    object: dict[str, Any] | None = None
    name: str | None = None
    namespace: str | None = None
    user: str | None = None
    after: str | None = None
    expect: Expectation | None = None


class PolicyCase(CaseStruct, frozen=True):
    """One case: Workflows, what is assumed of the cluster, and what is expected."""

    name: str
    workflows: tuple[WorkflowEntry, ...]
    at: str | None = None
    user: str | None = None
    running: dict[str, int | RunningUsage] = {}
    expect: Expectation | None = None
    released: tuple[str, ...] | None = None


class PolicyTestFile(CaseStruct, frozen=True):
    """A file of cases for one set of policies."""

    cases: tuple[PolicyCase, ...]
    policies: str | None = None
    namespace: str = DEFAULT_NAMESPACE
    argo_version: str | None = None
    objects: tuple[str | dict[str, Any], ...] = ()


DESCRIPTIONS: Final[Mapping[type[CaseStruct], Mapping[str, str]]] = {
    PolicyTestFile: {
        "policies": "File or folder of policies, from the folder of this file; absent where all of them "
        "are among the objects.",
        "cases": "The cases; each stands by itself.",
        "namespace": f"Namespace of objects that name none; {DEFAULT_NAMESPACE} if absent.",
        "argo_version": "Version of the Argo controller, such as 4.1.",
        "objects": "What else is in the cluster: files, or objects written here (policies, Namespaces, "
        "ConfigMaps, templates).",
    },
    PolicyCase: {
        "name": "What the case shows; each name stands once in a file.",
        "workflows": "Each is decided by itself, as if it were created now.",
        "at": "The time with its zone, as 2026-12-01T03:00:00+01:00; the time of the run if absent.",
        "user": "Who creates the Workflows.",
        "running": "What runs already, by namespace: a number of Workflows, or workflows and tasks. The "
        "empty name is the namespace of each Workflow.",
        "expect": "Expected of every Workflow of the case that has no expectation of its own.",
        "released": "All Workflows are created in this order and then end one after another, the oldest "
        "first: the names in the order in which they get their slot. One that never does is left out.",
    },
    WorkflowEntry: {
        "file": "File of objects, from the folder of this file.",
        "only": "Name of the one object of the file that is meant; all of them if absent.",
        "object": "The object itself, in place of a file.",
        "name": "Another metadata.name for it.",
        "namespace": "Another namespace for it.",
        "user": "Who creates it, in place of the user of the case.",
        "after": "How long after the one before it it is created, such as 30m (one second if absent); "
        "matters for `released`.",
        "expect": "Expected of it, in place of what the case expects.",
    },
    RunningUsage: {
        "workflows": "How many Workflows run.",
        "tasks": "The tasks of all of them; each uses as much as the Workflow of the case if absent.",
    },
    Expectation: {
        "decision": "The decision as `lockkeeper review` shows it.",
        "reasons": "All reasons of the denial, in any order: codes, or maps with code, field, policy and a "
        "part of the message.",
        "warnings": "A part of each warning, in any order; an empty list for none.",
        "locks": "All locks that are injected, as `lockkeeper review` shows them.",
        "policies": "All policies that govern it, as `lockkeeper review` shows them.",
        "fields": "Values of fields once the decision's patch is applied, by path, such as spec.parallelism.",
        "absent": "Paths of fields that are not there once the decision's patch is applied.",
        "patch": "The whole JSON patch.",
    },
    ExpectedReason: {
        "code": "The code of the reason.",
        "field": "Path of the field that it is about.",
        "policy": "The policy behind it, such as WorkflowQuota ci/builds.",
        "message": "A part of its message.",
    },
}
"""What each field means: shown by editors through the schema, and in docs/ci.md."""
