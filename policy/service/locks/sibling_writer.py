"""Which siblings of templates are created, replaced and deleted.

There is no queue. Every pass compares the siblings that policies need with the templates as they were last
seen: it creates what is missing, replaces what was edited, and deletes what no policy needs and no Workflow
uses.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final

import msgspec

from policy.cluster.errors import AlreadyExists, ClusterError, Conflict, Forbidden, NotFound, Trouble
from policy.cluster.protocol import WORKFLOW_TEMPLATES, WORKFLOWS, Cluster, Preconditions
from policy.core.lock_model.generated_names import Sibling, header_of, is_sibling
from policy.core.lock_review.siblings import SiblingInputs, manifest, sibling_inputs, wanted_siblings
from policy.core.objects import well_known
from policy.core.objects.workflow import Metadata
from policy.core.policies.conflicts import Finding, FindingKind, PolicyName
from policy.core.policies.snapshot import Snapshot
from policy.core.values.backoff import RetryTimes
from policy.service.leading.term_works import Passes
from policy.service.locks.config_map_writer import (
    WHERE,
    FoundIn,
    findings_by_policy,
    namespace_terminates,
)
from policy.service.tracking.tracker import LIVE

_SETTLE: Final = 0.1
"""Seconds from a change to the pass over it, so that a burst makes one pass. Workflows may wait for it."""
_PAUSE: Final = 0.02
"""Seconds after each write, so that there are at most fifty a second."""
LONGEST_WAIT: Final = 60.0
"""Seconds until a pass is made in any case."""
KEPT: Final = 300.0
"""Seconds from when a sibling is not wanted until it is deleted, and between two checks whether it is used.

A webhook that has not seen the change still redirects to it for a while, and a policy that is deleted for a
short time should not cause all siblings to be created again."""
SEEN_WITHIN: Final = 10.0
"""Seconds until a sibling is created again, should the watch not show it."""
FIRST_DELAY: Final = 1.0
_LAST_DELAY: Final = 300.0
"""Seconds until one that could not be created is tried again, doubled each time."""

_Address = tuple[str, str]
"""Namespace and name."""


class SiblingWriter(Passes):
    """The work of one term: `run` writes until `stop`; `wake` makes a pass soon.

    `found` receives the findings about policies whose siblings cannot be created.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        snapshot: Callable[[], Snapshot],
        stopwatch: Callable[[], float],
        trouble: Trouble,
        found: Callable[[Mapping[PolicyName, tuple[Finding, ...]]], None],
        pause: float = _PAUSE,
    ) -> None:
        self._cluster = cluster
        self._snapshot = snapshot
        self._stopwatch = stopwatch
        self._trouble = trouble
        self._found = found
        self._pause = pause
        self._inputs: SiblingInputs | None = None
        self._wanted: dict[_Address, Sibling] = {}
        self._written: dict[_Address, float] = {}
        self._failed: RetryTimes[_Address, float, ClusterError] = RetryTimes(
            first=FIRST_DELAY, last=_LAST_DELAY
        )
        self._unwanted: dict[_Address, float] = {}
        self._known: dict[_Address, Metadata] = {}
        self._listed = False
        super().__init__(settle=_SETTLE)

    def run_pass(self) -> float:
        """Create and delete what is due; return the seconds until the next pass is."""
        snapshot = self._snapshot()
        inputs = sibling_inputs(snapshot)
        if inputs != self._inputs:  # Of all that changes in a cluster hardly anything concerns siblings.
            self._wanted = {each.key: each for each in wanted_siblings(snapshot)}
            self._inputs = inputs
        for address, sibling in self._wanted.items():
            if not self._stopped.is_set() and not sibling.exists and not self._is_early(address):
                self._try(address, partial(self._create, sibling, snapshot))
        self._observe(snapshot)
        for address in self._to_remove():
            if not self._stopped.is_set():
                self._try(address, partial(self._remove, address))
        self._forget()
        self._found(self._findings())
        return self._until_due()

    def _is_early(self, address: _Address) -> bool:
        """Return whether a sibling is not to be tried yet: it failed, or the watch has still to show it."""
        now = self._stopwatch()
        written = self._written.get(address, -SEEN_WITHIN)
        return now < written + SEEN_WITHIN or self._failed.is_early(address, now)

    def _try(self, address: _Address, work: Callable[[], None]) -> None:
        """Write one sibling; an error is reported, and delays this one alone."""
        try:
            work()
        except ClusterError as error:
            self._failed.failed(address, self._stopwatch(), error)
            if not namespace_terminates(error):
                self._trouble(f"keeping the sibling {'/'.join(address)} of a template", error)
        else:
            self._failed.forget(address)
        self._stopped.wait(self._pause)

    def _create(self, sibling: Sibling, snapshot: Snapshot) -> None:
        """Create a sibling; a template of its name is deleted first, if it is marked as a sibling.

        Raises:
            Conflict: another template has its name, or it had been edited.
        """
        present = snapshot.headers.get(sibling.key)
        if present is not None and not is_sibling(present):
            raise Conflict(f"WorkflowTemplate {sibling.name} belongs to another owner: delete it")
        if present is not None:
            self._delete(sibling.key, present)
        uid = snapshot.header(sibling.origin).uid or ""
        try:
            created = self._cluster.create(
                WORKFLOW_TEMPLATES, manifest(sibling, uid), namespace=sibling.namespace
            )
            self._known[sibling.key] = header_of(msgspec.convert(created.get("metadata"), Metadata))
        except AlreadyExists:
            if present is not None:
                raise
            # The watch has still to show it.
        self._written[sibling.key] = self._stopwatch()
        if present is not None:
            raise Conflict(
                f"WorkflowTemplate {sibling.name} was changed, and is written again: look for "
                "who edits it, or for a webhook that changes it"
            )

    def _observe(self, snapshot: Snapshot) -> None:
        """Record all siblings that exist, also in namespaces that no policy selects any more.

        Templates are not watched there, so those of earlier leaders are listed once, and our own remembered.
        """
        if not self._listed:
            try:
                found = self._cluster.list(
                    WORKFLOW_TEMPLATES, labels=well_known.SIBLING, metadata_only=True
                ).items
            except NotFound:
                found = ()
            except ClusterError as error:
                self._trouble("listing the siblings of templates", error)
                return
            headers = [msgspec.convert(item.get("metadata"), Metadata) for item in found]
            self._known = {(each.namespace or "", each.name or ""): header_of(each) for each in headers}
            self._listed = True
        reads, shown = snapshot.extent.reads_templates, snapshot.headers
        self._known = {
            at: each
            for at, each in self._known.items()
            if not reads(at[0]) or (at not in shown and at in self._written)
        }
        self._known.update((at, header) for at, header in shown.items() if is_sibling(header))

    def _to_remove(self) -> Iterator[_Address]:
        """Yield the siblings that no policy has needed for long enough."""
        now = self._stopwatch()
        present = {key for key, header in self._known.items() if is_sibling(header)}
        unwanted = present - self._wanted.keys()
        self._unwanted = {key: self._unwanted.get(key, now) for key in unwanted}
        for address, since in sorted(self._unwanted.items()):
            if now >= since + KEPT and not self._is_early(address):
                yield address

    def _remove(self, address: _Address) -> None:
        """Delete a sibling unless a live Workflow uses it; then check again later."""
        namespace, _ = address
        present = self._known[address]
        mark = (present.labels or {})[well_known.SIBLING]
        used = self._cluster.list(
            WORKFLOWS, namespace=namespace, labels=f"{well_known.SIBLING}={mark},{LIVE}", metadata_only=True
        )
        if used.items:
            self._unwanted[address] = self._stopwatch()
            return
        self._delete(address, present)
        self._written[address] = self._stopwatch()
        del self._known[address]  # Where the watch does not show the deletion.

    def _delete(self, address: _Address, present: Metadata) -> None:
        """Delete the very object that the watch showed, if it still exists."""
        namespace, name = address
        same = Preconditions(uid=present.uid or None)
        try:
            self._cluster.delete(WORKFLOW_TEMPLATES, name, namespace=namespace, preconditions=same)
        except NotFound:
            return

    def _forget(self) -> None:
        present = self._wanted.keys() | self._unwanted.keys()
        existing = {key for key, each in self._wanted.items() if each.exists}
        self._written = {at: each for at, each in self._written.items() if at in present - existing}
        self._failed.keep(present - existing)

    def _until_due(self) -> float:
        now = self._stopwatch()
        left = [since + SEEN_WITHIN - now for since in self._written.values()]
        left += [since + KEPT - now for since in self._unwanted.values()]
        due = self._failed.next_due()
        left.append(LONGEST_WAIT if due is None else due - now)
        return max(_SETTLE, min([LONGEST_WAIT, *left]))

    def _findings(self) -> Mapping[PolicyName, tuple[Finding, ...]]:
        """Return the findings about policies whose siblings cannot be created."""
        found: FoundIn = {}
        for address, error in self._failed.about():
            sibling = self._wanted.get(address)
            if sibling is None or namespace_terminates(error):
                continue
            text = f"the sibling of {sibling.origin} in {WHERE} cannot be made: {_why(error)}"
            finding = Finding(FindingKind.NOT_WRITTEN, "spec.match.referenced", text)
            for policy in sibling.policies:
                found.setdefault((_named(policy), finding), set()).add(sibling.namespace)
        return findings_by_policy(found)


def _why(error: ClusterError) -> str:
    if isinstance(error, Forbidden):
        return f"{error.message}; the chart's value siblings.enabled gives the right to make it"
    return error.message


def _named(source: str) -> PolicyName:
    """Return the policy of a source: `Kind name` or `Kind namespace/name`."""
    kind, _, rest = source.partition(" ")
    namespace, _, name = rest.rpartition("/")
    return PolicyName(kind, namespace, name)
