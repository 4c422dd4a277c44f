"""The life of one Workflow as the referee follows it."""

import msgspec

from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from policy.core.quota.accounts import Account
from tests.policy.service.world import labels_of, part
from tests.simulation.groups import Keys, recorded_keys
from tests.simulation.policies import Bound, Subject


class Submission(msgspec.Struct, frozen=True):
    """Where a create or a retry comes from; `policies` is the version that its validating side went by.

    `above` is the uid of the Workflow whose Pod creates it, "" where none does.
    """

    subject: Subject
    priority: int
    original: str
    policies: str = ""
    bypass: bool = False
    above: str = ""


class Facts(msgspec.Struct, frozen=True):
    """What the referee reads in a stored Workflow."""

    uid: str
    namespace: str
    name: str
    created: str
    held: bool
    done: bool
    holds: str
    instance: str
    reservation: str
    marked: bool
    root: str
    keys: Keys
    message: str
    shutdown: str


class Life:
    """What became of one Workflow."""

    def __init__(self, facts: Facts, submission: Submission) -> None:
        self.uid = facts.uid
        self.namespace = facts.namespace
        self.name = facts.name
        self.created = facts.created
        self.subject = msgspec.structs.replace(submission.subject, keys=facts.keys)
        self.priority = submission.priority
        self.original = submission.original
        self.bypass = submission.bypass
        self.held = facts.held
        self.done = facts.done
        self.holds = facts.holds
        self.instance = facts.instance
        self.reservation = facts.reservation
        self.marked = facts.marked
        self.root = facts.root
        self.message = facts.message
        self.shutdown = facts.shutdown
        self.exists = True
        self.granted: dict[Account, Bound] = {}
        self.releases: set[str] = set()
        self.runs = 0
        self.shared: Keys = ()
        """The keys by which its root runs, and it with it."""
        self.outran = False
        """Whether its root had ended when it started: while it was on its way nothing counted it."""

    def put(self, facts: Facts) -> None:
        """Take over what may change without its being admitted anew."""
        self.held, self.done, self.instance = facts.held, facts.done, facts.instance
        self.marked, self.root = facts.marked, facts.root
        self.message, self.shutdown = facts.message, facts.shutdown
        self.subject = msgspec.structs.replace(self.subject, keys=facts.keys)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def live(self) -> bool:
        """Whether it is neither finished nor deleted."""
        return self.exists and not self.done

    @property
    def running(self) -> bool:
        """Whether Argo may run it."""
        return self.live and not self.held

    def runs_in(self, account: Account) -> bool:
        """Tell whether it runs, having been admitted under an account.

        A child may come to run under the slot of its root at any time, and then has none of its own.
        """
        return self.running and not self.root and account in self.granted

    def before(self, other: "Life") -> bool:
        """Tell whether nothing at all speaks for the other one to be released first."""
        alike = (
            self.namespace == other.namespace
            and (self.subject.user, self.subject.klass) == (other.subject.user, other.subject.klass)
            and self.subject.keys == other.subject.keys
            and self.subject.tasks <= other.subject.tasks
            and self.holds == other.holds == "1"
            and set(self.granted) >= set(other.granted)
            and not self.root
            and not other.root
        )
        if not alike or self.created > other.created:
            return False
        if self.priority == other.priority:
            return self.created < other.created
        return self.priority > other.priority


def facts_of(obj: JsonObject) -> Facts:
    """Read a stored Workflow."""
    labels = labels_of(obj)
    instance = labels.get(well_known.INSTANCE_ID, "")
    return Facts(
        uid=str(part(obj, "metadata", "uid")),
        namespace=str(part(obj, "metadata", "namespace")),
        name=str(part(obj, "metadata", "name")),
        created=str(part(obj, "metadata", "creationTimestamp")),
        held=instance == well_known.HOLD_VALUE,
        done=labels.get(well_known.COMPLETED) == "true",
        holds=str(part(obj, "metadata", "annotations", well_known.HOLDS) or ""),
        instance=instance,
        reservation=labels.get(well_known.RESERVATION, ""),
        root=labels.get(well_known.CHILD_OF, ""),
        marked=part(obj, "metadata", "annotations", well_known.USER) is not None,
        keys=recorded_keys(obj),
        message=str(part(obj, "status", "message") or ""),
        shutdown=str(part(obj, "spec", "shutdown") or ""),
    )
