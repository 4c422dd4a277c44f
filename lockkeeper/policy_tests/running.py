"""Runs the cases of a suite: each object down the path of a review, and the order of releases where asked."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from lockkeeper.assembly.policies_beside import load_beside
from lockkeeper.lint.reading import lint_objects
from lockkeeper.manifests.manifest import Manifest
from lockkeeper.manifests.reading import Inputs
from lockkeeper.policy_tests.comparing import mismatches
from lockkeeper.policy_tests.reading import Subject, Suite, SuiteCase
from lockkeeper.policy_tests.release_play import play_case
from lockkeeper.policy_tests.results import CaseResult, Mismatch
from lockkeeper.process.console import reason_of
from lockkeeper.reviewing.assumptions import Assumptions, RunningWorkflows
from lockkeeper.reviewing.object_review import ReviewedManifest, review_manifest
from policy.core.policies.snapshot import Snapshot
from policy.core.values.problems import Problem
from policy.sources.directory import PolicyErrors, SourceError
from webhook.http_errors import BadRequest


def run_suite(suite: Suite, now: datetime, *, policies: Path | None = None) -> Iterator[CaseResult]:
    """Yield the result of each case; `policies` are tested in place of those that the file names.

    Raises:
        PolicyErrors: the policies, or what stands beside them, cannot be used.
    """
    objects = lint_objects(Inputs(suite.beside, (), 0, 0), suite.namespace)
    if objects.findings:
        raise PolicyErrors(
            SourceError(each.file, each.line, 0, each.field, each.message) for each in objects.findings
        )
    if policies is None:
        _check_that_there_are_policies(suite)
    snapshot = load_beside(policies or suite.policies, objects, suite.argo, namespace=suite.namespace)
    if suite.names_policies and not snapshot.has_policies:
        message = f"there is no policy in {policies or suite.policies}, and none among objects"
        raise PolicyErrors([suite.origin.error(Problem("policies", message))])
    for case in suite.cases:
        yield _run_case(case, suite, snapshot, case.at or now)


def _check_that_there_are_policies(suite: Suite) -> None:
    """Tell in the place that names them that policies are not there. Raises PolicyErrors."""
    try:
        suite.policies.stat()
    except OSError as error:
        message = f"{suite.policies} cannot be read: {reason_of(error)}"
        raise PolicyErrors([suite.origin.error(Problem("policies", message))]) from error


def _run_case(case: SuiteCase, suite: Suite, snapshot: Snapshot, now: datetime) -> CaseResult:
    running = _running(case)
    assumed = Assumptions(now, running)
    found: list[Mismatch] = []
    for subject in case.subjects:
        reviewed = _reviewed(subject, snapshot, suite, assumed)
        if subject.expect is not None:
            found += mismatches(subject, reviewed, suite)
    if case.case.released is not None:
        found += _order(case, running, suite, snapshot, now)
    line = suite.line(f"{case.path}.name")
    return CaseResult(suite.origin.file, line, case.case.name, len(case.subjects), tuple(found))


def _running(case: SuiteCase) -> tuple[RunningWorkflows, ...]:
    return tuple(
        RunningWorkflows(namespace, each)
        if isinstance(each, int)
        else RunningWorkflows(namespace, each.workflows, each.tasks)
        for namespace, each in case.case.running.items()
    )


def _reviewed(subject: Subject, snapshot: Snapshot, suite: Suite, assumed: Assumptions) -> ReviewedManifest:
    """Return the decision. Raises PolicyErrors."""
    manifest: Manifest = subject.manifest
    try:
        return review_manifest(manifest, snapshot, suite.namespace, subject.user, assumed=assumed)
    except BadRequest as error:
        problem = Problem("", f"cannot be reviewed: {error}")
        raise PolicyErrors([manifest.origin.error(problem)]) from error


def _order(
    case: SuiteCase,
    running: tuple[RunningWorkflows, ...],
    suite: Suite,
    snapshot: Snapshot,
    now: datetime,
) -> Iterator[Mismatch]:
    """Yield what is not as expected of the order in which the Workflows get their slot."""
    expected = list(case.case.released or ())
    played = play_case(case.subjects, running, snapshot, suite.namespace, now)
    if list(played.released) != expected:
        line = suite.line(f"{case.path}.released")
        yield Mismatch("all Workflows of the case", "released", [*expected], [*played.released], line)
        for name, text in played.others.items():
            if name in expected:
                yield Mismatch(name, "slot", "released", text, line)
