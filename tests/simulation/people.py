"""Who else acts on the cluster: people who create, retry, resubmit and delete, and Argo."""

from functools import partial
from typing import Final

import msgspec

from policy.cluster.errors import AlreadyExists, ClusterError, Conflict, NotFound
from policy.cluster.protocol import WORKFLOWS, MergePatch
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject, JsonValue
from tests.policy.service.world import draft, is_held, labels_of, name_of, part
from tests.simulation.apiserver import ApiServer, Dropped, Refused, Request
from tests.simulation.client import Client
from tests.simulation.groups import LABEL, keys_of, keys_when_retried
from tests.simulation.lives import Life, Submission
from tests.simulation.network import Network
from tests.simulation.policies import Subject
from tests.simulation.scenario import Row, Twin
from tests.simulation.scheduler import MILLISECOND, SECOND

ATTEMPTS: Final = 8
"""How often somebody tries again who was refused or got no answer."""
LONGEST_EXIT: Final = 2 * SECOND
"""How long an exit handler takes at most."""
PATIENCE: Final = 40 * SECOND
"""How long somebody waits for a Workflow to end before he leaves it alone."""


class Author:
    """Whoever creates the Workflow of a row, maybe a Pod of one `above`, and what he does with it later.

    A `twin` creates another one of its name, and does nothing more about it.
    """

    def __init__(
        self,
        *,
        row: Row,
        api: ApiServer,
        network: Network,
        above: Life | None = None,
        twin: Twin | None = None,
        number: int = 0,
    ) -> None:
        self._twin = f"{row.name}-twin-{number}" if twin is not None else ""
        if twin is not None:
            row = msgspec.structs.replace(
                row,
                at=row.at + twin.after,
                tasks=twin.tasks,
                spoilt=twin.spoilt,
                branch=twin.branch,
                bypass=False,
                children=(),
            )
        self._row = row
        self._above = above
        self._api = api
        self._network = network
        self._client = Client(network, None)
        self._numbers = 0

    def live(self) -> None:
        """Live the row's plan."""
        row, scheduler = self._row, self._network.scheduler
        scheduler.pause(row.at)
        stored = self._create(manifest(row, self._above), self._twin or row.name, bypass=row.bypass)
        if stored is None or self._twin:
            return
        if row.resubmitted:
            self._resubmit(stored)
        if row.relabelled_after is not None:
            scheduler.pause(row.relabelled_after)
            self._relabel(name_of(stored))
        if row.stopped_after is not None:
            scheduler.pause(row.stopped_after)
            self._stop(name_of(stored))
        if row.deleted_after is not None:
            scheduler.pause(row.deleted_after)
            self._delete(name_of(stored))
        elif row.retried and self._ended(name_of(stored)):
            self._retry(name_of(stored))

    def _create(
        self, obj: JsonObject, label: str, *, bypass: bool = False, mutator_away: bool = False
    ) -> JsonObject | None:
        """Create until it is there, or until the author has had enough; None then."""
        name = name_of(obj)
        for _ in range(ATTEMPTS):
            self._numbers += 1
            request = Request(
                f"{label}.{self._numbers}",
                obj,
                self._row.namespace,
                self._row.user,
                self._submission(bypass=bypass),
                spoilt=self._row.spoilt and self._numbers == 1,
                mutator_away=mutator_away,
            )
            try:
                return self._api.carry_out(request)
            except Refused:
                self._network.scheduler.pause(700 * MILLISECOND)
            except AlreadyExists:
                break
            except (Dropped, ClusterError):
                self._network.scheduler.pause(300 * MILLISECOND)
        try:
            return self._client.get(WORKFLOWS, name, namespace=self._row.namespace) if name else None
        except ClusterError:
            return None

    def _resubmit(self, stored: JsonObject) -> None:
        """Create a copy that carries our labels and annotations, as `argo resubmit` does."""
        self._row = msgspec.structs.replace(self._row, branch=self._row.other_branch)
        copied = manifest(self._row)
        gone = (well_known.COMPLETED, well_known.PHASE, LABEL)
        labels = {k: v for k, v in labels_of(stored).items() if k not in gone}
        if self._row.branch:
            labels[LABEL] = self._row.branch
        metadata: JsonObject = {"name": f"{self._row.name}-again", "labels": {**labels}}
        annotations = part(stored, "metadata", "annotations")
        if isinstance(annotations, dict):
            metadata["annotations"] = annotations
        away = self._row.mutator_away
        self._create({**copied, "metadata": metadata}, f"{self._row.name}-again", mutator_away=away)

    def _submission(self, *, bypass: bool = False) -> Submission:
        row = self._row
        keys = keys_of(row.branch, row.parameter)
        subject = Subject(row.namespace, row.user, row.klass, row.tasks, keys)
        above = "" if self._above is None else self._above.uid
        return Submission(subject, row.priority, row.original, bypass=bypass, above=above)

    def _delete(self, name: str) -> None:
        try:
            self._client.delete(WORKFLOWS, name, namespace=self._row.namespace)
        except ClusterError:
            return

    def _stop(self, name: str) -> None:
        """Stop a Workflow, as `argo stop` does."""
        patch = MergePatch({"spec": {"shutdown": "Stop"}})
        try:
            self._client.patch(WORKFLOWS, name, patch, namespace=self._row.namespace)
        except ClusterError:
            return

    def _relabel(self, name: str) -> None:
        """Give a Workflow another label, which would be another key."""
        try:
            before = self._client.get(WORKFLOWS, name, namespace=self._row.namespace)
            labels: dict[str, JsonValue] = {**labels_of(before), LABEL: self._row.other_branch or "moved"}
            kept = before["metadata"]
            metadata: JsonObject = {**kept, "labels": labels} if isinstance(kept, dict) else {}
            after = {**before, "metadata": metadata}
            self._api.carry_out(self._update(f"{self._row.name}-relabel", before, after))
        except (Refused, Dropped, ClusterError):
            return

    def _update(self, label: str, before: JsonObject, after: JsonObject) -> Request:
        row, submission = self._row, self._submission()
        subject = msgspec.structs.replace(submission.subject, keys=keys_when_retried(after))
        submission = msgspec.structs.replace(submission, subject=subject)
        return Request(label, after, row.namespace, row.user, submission, before=before)

    def _ended(self, name: str) -> bool:
        """Wait for the Workflow to end; False where it is gone, or takes too long."""
        scheduler = self._network.scheduler
        end = scheduler.now + PATIENCE
        while scheduler.now < end:
            scheduler.pause(SECOND)
            try:
                found = self._client.get(WORKFLOWS, name, namespace=self._row.namespace)
            except NotFound:
                return False
            except ClusterError:
                continue
            if labels_of(found).get(well_known.COMPLETED) == "true":
                return True
        return False

    def _retry(self, name: str) -> None:
        """Reactivate a finished Workflow by an update, as `argo retry` does."""
        try:
            before = self._client.get(WORKFLOWS, name, namespace=self._row.namespace)
            self._api.carry_out(self._update(f"{self._row.name}-retry", before, reactivated(before)))
        except (Refused, Dropped, ClusterError):
            return


class Argo:
    """Runs what is not held, for as long as its row says, and marks it as completed."""

    def __init__(self, *, network: Network) -> None:
        self._network = network
        self._client = Client(network, None)

    def start(self, life: Life, duration: int) -> None:
        """Take up a Workflow that has started, and end it after so long."""
        scheduler = self._network.scheduler
        scheduler.spawn(f"argo {life}", partial(self._run, life), process=None, after=duration)

    def stop(self, life: Life) -> None:
        """End a Workflow that somebody asks to stop, when its exit handler has run."""
        roll = self._network.choices.roll(f"{life} stops in hold {life.holds}")
        self.start(life, round(roll[0] * LONGEST_EXIT))

    def _run(self, life: Life) -> None:
        scheduler = self._network.scheduler
        while life.live:
            try:
                obj = self._client.get(WORKFLOWS, life.name, namespace=life.namespace)
                if part(obj, "metadata", "uid") != life.uid or is_held(obj):
                    return
                self._client.replace(WORKFLOWS, completed(obj))
            except (Conflict, NotFound):
                continue
            except ClusterError:
                scheduler.pause(100 * MILLISECOND)


def manifest(row: Row, above: Life | None = None) -> JsonObject:
    """Return the Workflow of a row as its author writes it, or a Pod of the one above."""
    labels = {"class": row.klass}
    if row.branch:
        labels[LABEL] = row.branch
    if row.original:
        labels[well_known.INSTANCE_ID] = row.original
    obj = draft(row.name, tasks=row.tasks, priority=row.priority, labels=labels)
    if row.generated:
        obj["metadata"] = {"generateName": f"{row.name}-", "labels": {**labels}}
    spec = obj["spec"]
    if row.parameter and isinstance(spec, dict):
        spec["arguments"] = {"parameters": [{"name": LABEL, "value": row.parameter}]}
    metadata = obj["metadata"]
    if above is not None and isinstance(metadata, dict):
        owner: JsonObject = {
            "apiVersion": WORKFLOWS.api_version,
            "kind": WORKFLOWS.kind,
            "name": above.name,
            "uid": above.uid,
            "controller": True,
        }
        metadata["ownerReferences"] = [owner]
    return obj


def completed(obj: JsonObject) -> JsonObject:
    """Return a Workflow as Argo leaves it at its end."""
    metadata = obj["metadata"]
    kept = metadata if isinstance(metadata, dict) else {}
    phase = "Failed" if part(obj, "spec", "shutdown") else "Succeeded"
    labels: dict[str, JsonValue] = {
        **labels_of(obj),
        well_known.COMPLETED: "true",
        well_known.PHASE: phase,
    }
    return {**obj, "metadata": {**kept, "labels": labels}, "status": {"phase": phase}}


def reactivated(obj: JsonObject) -> JsonObject:
    """Return a finished Workflow as `argo retry` sends it."""
    metadata = obj["metadata"]
    kept = metadata if isinstance(metadata, dict) else {}
    labels: dict[str, JsonValue] = {**labels_of(obj), well_known.PHASE: "Running"}
    labels.pop(well_known.COMPLETED, None)
    spec = obj["spec"]
    asked = {key: value for key, value in spec.items() if key != "shutdown"} if isinstance(spec, dict) else {}
    again: JsonObject = {**kept, "labels": labels}
    return {**obj, "metadata": again, "spec": asked, "status": {"phase": "Running"}}
