"""What is wrong with the Argo beside an installation: version, account, CRDs, other webhooks. Pure."""

import re
from collections.abc import Iterator
from typing import Final, TypeAlias

import msgspec

from lockkeeper.checking.facts import ArgoFacts, Gap, UnreadObject
from lockkeeper.checking.results import Check, CheckResult, State, unread

_Version: TypeAlias = tuple[int, int, int]
_TAG: Final = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?:[-+].*)?")


class KnownBug(msgspec.Struct, frozen=True):
    """A bug of Argo: the first versions of each line of releases without it, and what it does.

    Lines before the first of these have it too. With `since`, only versions from there on have it.
    """

    fixed: tuple[_Version, ...]
    what: str
    since: _Version = (0, 0, 0)

    def affects(self, version: _Version) -> bool:
        """Return whether a version has it."""
        for fixed in self.fixed:
            if version[:2] == fixed[:2]:
                return self.since <= version < fixed
        return self.since <= version < self.fixed[0]


KNOWN_BUGS: Final = (
    KnownBug(
        ((3, 7, 11), (4, 0, 2)),
        "its controller forgets the first holder of each lock at a restart, and more run than a limit allows",
    ),
    KnownBug(
        ((3, 7, 18), (4, 0, 9), (4, 1, 1)),
        "a waiter that gets its lock can remove another one from the queue, which then waits for ever",
    ),
    KnownBug(((4, 0, 6),), "its controller starts far fewer tasks a second", since=(4, 0, 5)),
)


def check_argo(facts: ArgoFacts) -> Iterator[CheckResult]:
    """Yield what is found, in the order in which a user would correct things."""
    yield from _check_controller(facts)
    yield from _check_crds(facts)
    yield from _check_order(facts)


def _check_controller(facts: ArgoFacts) -> Iterator[CheckResult]:
    """Check the version of Argo's controller by its image, and whether its account is believed."""
    if facts.webhook is not None and facts.webhook.gap is not Gap.ABSENT:
        yield unread(Check.ARGO, facts.webhook)
    found = facts.controller
    where = f"Deployment {facts.deployment}"
    if isinstance(found, UnreadObject):
        if found.gap is Gap.NO_RIGHT:
            yield unread(Check.ARGO, found)
            return
        advice = "say which Deployment it is with argo.deployment, or ask for the right to see it"
        yield CheckResult(
            Check.ARGO, State.SKIPPED, f"Argo's controller was not found as {where}: {found.error}", advice
        )
        return
    yield from _check_version(found.image, where)
    account = found.account_in(facts.deployment.namespace)
    if account in facts.accounts:
        yield CheckResult(Check.ARGO, State.OK, f"Argo's controller writes as {account}, which is believed")
    else:
        message = (
            f"Argo's controller ({where}) writes as {account}, and only {', '.join(facts.accounts)} is "
            "believed: Workflows do not get on, because what it writes is refused"
        )
        advice = f"set argo.controllerServiceAccount to [{account}]"
        yield CheckResult(Check.ARGO, State.FAILED, message, advice)


def _check_version(image: str, where: str) -> Iterator[CheckResult]:
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    match = _TAG.fullmatch(tag)
    if match is None:
        message = f"{where} runs {image}, whose tag tells no version of Argo"
        advice = "set argoVersion to what is installed, and see the table of known bugs in docs/install.md"
        yield CheckResult(Check.ARGO, State.SKIPPED, message, advice)
        return
    version = (int(match[1]), int(match[2]), int(match[3]))
    bugs = [bug for bug in KNOWN_BUGS if bug.affects(version)]
    for bug in bugs:
        fixed = ", ".join(".".join(map(str, each)) for each in bug.fixed)
        message = f"Argo {tag} has a known bug: {bug.what}"
        yield CheckResult(Check.ARGO, State.WARNING, message, f"upgrade to {fixed} or later of its line")
    if not bugs:
        yield CheckResult(Check.ARGO, State.OK, f"Argo {tag} has no known bug of locks or queues")


def _check_crds(facts: ArgoFacts) -> Iterator[CheckResult]:
    """Tell in which form Argo's CRDs are: in the minimal one the API server checks no field."""
    found = facts.full_crd
    if isinstance(found, UnreadObject):
        yield unread(Check.CRDS, found)
    elif found:
        yield CheckResult(Check.CRDS, State.OK, "Argo's CRDs are the full ones: the API server checks fields")
    else:
        message = "Argo's CRDs are the minimal ones: Lockkeeper alone checks the types of fields"
        yield CheckResult(Check.CRDS, State.OK, message)


def _check_order(facts: ArgoFacts) -> Iterator[CheckResult]:
    """Check that no other webhook changes Workflows after ours: the API server calls them by name."""
    found = facts.others
    if isinstance(found, UnreadObject):
        yield unread(Check.ORDER, found)
        return
    late = [each for each in found if each.name > facts.configuration and each.changes_workflows]
    for each in late:
        message = (
            f"MutatingWebhookConfiguration {each.name} may change Workflows after {facts.configuration}, "
            "which counts them before: a parallelism or priority that it sets is not what was counted"
        )
        advice = (
            f"leave Workflows out of it, or give Lockkeeper a fullnameOverride that sorts after {each.name}"
        )
        yield CheckResult(Check.ORDER, State.WARNING, message, advice)
    if not late:
        message = f"no other webhook changes Workflows after {facts.configuration}"
        yield CheckResult(Check.ORDER, State.OK, message)
