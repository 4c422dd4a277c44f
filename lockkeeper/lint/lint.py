"""What `lockkeeper lint` finds in Argo's objects: types, locks, deadlocks, references that lead nowhere.

The checks are those of the webhook. Where no policy of the files selects an object, it is checked for what
Argo itself would fail or hang on; what may be in the cluster and is not among the files is no fault then.
"""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Final

import msgspec

from lockkeeper.findings.finding import FileCode, FileFinding, Level
from lockkeeper.lint.reading import LintObjects, LintSubject
from lockkeeper.manifests.applied_templates import as_applied
from lockkeeper.manifests.written_words import as_written
from policy.core.admission.cron_schedules import schedule_problems
from policy.core.admission.group_marks import refused_runs
from policy.core.admission.waiting_parents import WaitingParent, may_wait, waiting_parents
from policy.core.argo_types.decodability import report_of
from policy.core.decision.decision import Code
from policy.core.injection.inject import inject
from policy.core.injection.reviewed_object import ReviewedObject
from policy.core.injection.unknown_selection import hidden_from_rules
from policy.core.lock_checks.graph_findings import graph_findings
from policy.core.lock_checks.reference_faults import lock_faults, lock_warnings
from policy.core.lock_checks.rulebook import Rulebook, marks_of
from policy.core.lock_checks.unheld_locks import unheld_locks
from policy.core.lock_graph.run_sources import TemplateOwner, template_owner
from policy.core.lock_graph.template_library import FindByKey, Library, updated_index
from policy.core.lock_model.semaphore_definitions import limit_lookup
from policy.core.lock_review.missing_locks import missing_lock_findings, template_finder
from policy.core.lock_review.workflow_locks import generated_starts
from policy.core.objects.argo_version import ArgoVersion
from policy.core.objects.label_selectors import EVERYTHING
from policy.core.objects.template_keys import TEMPLATE_KINDS, ObjectKind, TemplateKey
from policy.core.objects.workflow import EMPTY_METADATA, WorkflowSpec
from policy.core.policies.snapshot import Snapshot, take_snapshot
from policy.core.policy_kinds.kinds import (
    ClusterSynchronizationPolicy,
    ClusterSynchronizationPolicySpec,
    CrossNamespace,
    LockValidation,
    MatchedKind,
    Parameterised,
    PolicyMatch,
    PolicyMetadata,
    Singular,
    SynchronizationPolicy,
)
from policy.sources.yaml_positions import read_manifest

_OUR_PREFIX: Final = "lockkeeper: "
_SINGLE: Final = (".semaphore", ".mutex")
"""Ends of the fields of single locks; where a policy has it so, the webhook writes them as lists."""
_LINT_SOURCE: Final = "ClusterSynchronizationPolicy lint"
_LOCK_POLICIES: Final = (SynchronizationPolicy, ClusterSynchronizationPolicy)
_LINT: Final = ClusterSynchronizationPolicy(
    metadata=PolicyMetadata(name="lint"),
    spec=ClusterSynchronizationPolicySpec(
        namespace_selector=EVERYTHING,
        match=PolicyMatch(kinds=tuple(MatchedKind)),
        validate=LockValidation(
            cross_namespace=CrossNamespace.ALLOW,
            singular=Singular.DENY,
            allow_parameterised=Parameterised.ALLOW,
        ),
    ),
)
"""The policy for objects that no policy of the files selects."""


def lint(
    files: LintObjects, argo: ArgoVersion, *, stored: AbstractSet[str] = frozenset()
) -> list[FileFinding]:
    """Return everything found in the objects of the files, in the order of files and lines.

    What stands in the files `stored` is in the cluster as it is; the rest will be applied.
    """
    governed = take_snapshot(
        files.documents,
        version="lint",
        argo=argo,
        extent=files.extent,
        read_manifest=read_manifest,
    )
    governed = as_applied(files.templates(stored), governed)
    others = (each for each in files.documents if not isinstance(each, _LOCK_POLICIES))
    ungoverned = take_snapshot((*others, _LINT), version="lint", argo=argo, extent=files.extent)
    ungoverned = msgspec.structs.replace(ungoverned, library=governed.library)
    owners = {subject: _owner(subject, subject.spec, governed) for subject in files.subjects if subject.spec}
    _compare_with_each_other(owners, governed)
    found = [
        finding
        for subject in files.subjects
        for finding in (
            *_schedules(subject, argo),
            *_refused_runs(subject, governed),
            *_waiting(subject, owners.get(subject), governed, ungoverned),
            *_once(_of_owner(subject, owners.get(subject), governed, ungoverned), _types(subject)),
        )
        if subject.carrier is None or not subject.carrier.rests_on_tag(f"{finding.field} {finding.message}")
    ]
    return sorted(dict.fromkeys(found), key=lambda each: (each.file, each.line, each.level, each.message))


def _owner(subject: LintSubject, spec: WorkflowSpec, snapshot: Snapshot) -> TemplateOwner:
    if subject.kind in TEMPLATE_KINDS:
        stored = snapshot.library.owner(TemplateKey(subject.namespace, subject.name))
        if stored is not None and stored.spec is spec:
            return stored
    return template_owner(subject.kind, subject.name, spec, subject.at)


def _compare_with_each_other(owners: Mapping[LintSubject, TemplateOwner], snapshot: Snapshot) -> None:
    """Let Workflows and schedules count as templates do where locks are nested in different orders."""
    library = snapshot.library
    runs: dict[str, dict[TemplateKey, TemplateOwner]] = {}
    for number, (subject, owner) in enumerate(owners.items()):
        if not owner.is_template:
            runs.setdefault(subject.namespace, {})[TemplateKey(subject.namespace, f"{owner} {number}")] = (
                owner
            )
    for namespace, extra in runs.items():
        index = updated_index(library.index(namespace), frozenset(extra), _looker(extra, library))
        library.indexes.keep(namespace, index)


def _looker(extra: Mapping[TemplateKey, TemplateOwner], library: Library) -> FindByKey:
    return lambda key: extra.get(key) or library.owner(key)


def _once(locks: Iterable[FileFinding], types: Iterable[FileFinding]) -> Iterator[FileFinding]:
    """Yield both; a lock on a task, which both find, is told once, by what knows where it belongs."""
    told: set[str] = set()
    for each in locks:
        told.add(f"{each.code} {each.field}")
        yield each
    yield from (each for each in types if f"{each.code} {each.field}" not in told)


def _types(subject: LintSubject) -> Iterator[FileFinding]:
    """Yield what Argo cannot decode, and what it drops: locks, fields, values."""
    report = report_of(subject.kind.value, subject.value)
    for mismatch in report.mismatches:
        message = as_written(mismatch.message, mismatch.path, subject.origin, subject.carrier)
        yield _finding(subject, Level.ERROR, Code.WRONG_TYPE, mismatch.path, message)
    for lost in report.lost_locks:
        yield _finding(subject, Level.ERROR, Code.LOCK_PLACE, lost.path, lost.message)
    for warning in report.warnings:
        yield _finding(subject, Level.WARNING, FileCode.DROPPED, warning.path, warning.message)


def _schedules(subject: LintSubject, argo: ArgoVersion) -> Iterator[FileFinding]:
    """Yield what prevents a CronWorkflow from ever running."""
    if subject.cron is not None:
        for problem in schedule_problems(subject.cron, argo):
            yield _finding(subject, Level.ERROR, FileCode.SCHEDULE, problem.path, problem.message)


def _refused_runs(subject: LintSubject, snapshot: Snapshot) -> Iterator[FileFinding]:
    """Yield the parts of keys of groups that the runs of a CronWorkflow lack, so that none is admitted.

    Whoever submits a Workflow may give it labels and arguments then, so that nothing is certain of others.
    """
    if subject.cron is not None:
        for each in refused_runs(subject.cron, subject.namespace, snapshot):
            yield _finding(subject, Level.ERROR, each.code, each.field, each.message, policy=each.policy)


def _waiting(
    subject: LintSubject, owner: TemplateOwner | None, governed: Snapshot, ungoverned: Snapshot
) -> Iterator[FileFinding]:
    """Yield where an object waits for a Workflow that needs what it holds."""
    raw = msgspec.Raw(msgspec.json.encode(subject.value))
    if owner is None or not may_wait(owner.spec, raw, subject.namespace, governed):
        return
    rulebook = _rulebook(subject, governed, ungoverned)
    labels = subject.metadata.labels if subject.kind is ObjectKind.WORKFLOW else None
    if subject.cron is not None and subject.cron.spec is not None:
        labels = (subject.cron.spec.workflow_metadata or EMPTY_METADATA).labels
    limit_of = limit_lookup(rulebook.locks.definitions, only=subject.namespace)
    parent = WaitingParent(owner, subject.namespace, labels or {}, limit_of)
    for each in waiting_parents(parent, governed):
        yield _finding(subject, Level.WARNING, Code.DEADLOCK, each.path, each.message)


def _of_owner(
    subject: LintSubject, owner: TemplateOwner | None, governed: Snapshot, ungoverned: Snapshot
) -> Iterator[FileFinding]:
    if owner is None:
        return
    rulebook = _rulebook(subject, governed, ungoverned)
    spec, locks = owner.spec, rulebook.locks
    found = locks.relevant_bodies(spec, owner.at)
    view = locks.view(spec, open_ended=owner.is_template)
    reviewed = ReviewedObject(
        view=view,
        kind=subject.kind,
        at=owner.at,
        raw=msgspec.Raw(msgspec.json.encode(subject.value)),
        find=template_finder(locks, governed, view),
        name=subject.name,
        library=governed.library,
    )
    injected = inject(spec, found, rulebook, reviewed)
    shown, filled = graph_findings(owner, found, rulebook, governed.library, injected.patch)
    for reason in (*lock_faults(spec, found, rulebook), *injected.faults, *filled):
        converted = rulebook.converts_singular and reason.field.endswith(_SINGLE)
        level = Level.WARNING if converted and reason.code is Code.LOCK_FORM else Level.ERROR
        yield _finding(subject, level, reason.code, reason.field, reason.message, policy=reason.policy)
    for each in shown:
        # What is missing among the files themselves fails in every run, though a policy may only warn of it.
        broken = each.code is Code.UNKNOWN_REFERENCE and not each.absent
        level = Level.ERROR if broken or each.refused else Level.WARNING
        yield _finding(subject, level, each.code, each.field, each.message, policy=each.policy)
    hidden = hidden_from_rules(spec, found, rulebook, reviewed)
    ruled = rulebook.locks.lock_names
    for unheld in unheld_locks(spec, owner.at, found, governed.library, subject.namespace, ruled=ruled):
        yield _finding(subject, Level.WARNING, FileCode.LOCK_WARNING, unheld.path, unheld.message)
    missing = missing_lock_findings(spec, found, rulebook, reviewed, governed)
    started = generated_starts(spec, owner.at) if spec.workflow_template_ref is not None else ()
    for reason in (*missing.reasons, *started):
        yield _finding(subject, Level.ERROR, reason.code, reason.field, reason.message, policy=reason.policy)
    warnings = (
        *lock_warnings(spec, found, rulebook),
        *injected.warnings,
        *hidden,
        *missing.warnings,
    )
    for warning in warnings:
        field, _, message = warning.removeprefix(_OUR_PREFIX).partition(": ")
        yield _finding(subject, Level.WARNING, FileCode.LOCK_WARNING, field, message)


def _rulebook(subject: LintSubject, governed: Snapshot, ungoverned: Snapshot) -> Rulebook:
    """Return the policies that select an object, or what Argo requires where none does."""
    kind = MatchedKind(subject.kind.value)
    metadata = subject.metadata
    if subject.cron is not None and subject.cron.spec is not None:
        metadata = subject.cron.spec.workflow_metadata or EMPTY_METADATA  # That of its Workflows.
    labels = metadata.labels or {}
    marks = None if subject.kind in TEMPLATE_KINDS else marks_of(metadata)
    locks = governed.policies(subject.namespace).locks
    active = locks.active(labels, kind) if locks is not None else ()
    if locks is not None and active:
        return Rulebook(locks, active, marks=marks)
    locks = ungoverned.policies(subject.namespace).locks
    if locks is None:  # _LINT selects every namespace.
        raise LookupError(subject.namespace)
    return Rulebook(locks, locks.policies, lenient=True, marks=marks)


def _finding(
    subject: LintSubject, level: Level, code: str, field: str, message: str, *, policy: str = ""
) -> FileFinding:
    place = subject.place(field)
    return FileFinding(
        file=place.file,
        line=place.line,
        level=level,
        code=str(code),
        object=str(subject),
        field=field,
        message=message,
        policy="" if policy == _LINT_SOURCE else policy,
    )
