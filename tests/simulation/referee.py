"""The referee: sees every write at the moment at which it happens, and knows what is true.

It follows each Workflow's life and each ledger, and calls out the first broken promise. What may exceed a
limit is modelled exactly: each admission is judged by the limits that its own writer went by, against all
that was admitted under the same account and lives or may still start; what bypassed the webhooks counts from
the moment at which the leader has seen it.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Final

import msgspec

from policy.cluster.ledgers import LedgerObject, LedgerStatus
from policy.cluster.protocol import QUOTA_LEDGERS, WORKFLOWS, Resource
from policy.core.admission.child_exemption import MAX_CHILDREN
from policy.core.objects.identities import SERVICE_ACCOUNT
from policy.core.objects.json_patch import JsonObject
from policy.core.policy_kinds.quota_parts import OnExceed
from policy.core.quota.accounts import Account
from policy.core.quota.ledger import Purpose, Reservation
from policy.service.tracking.tracked import Tracked
from tests.simulation.key_referee import KeyReferee
from tests.simulation.lives import Life, Submission, facts_of
from tests.simulation.network import Sender
from tests.simulation.policies import Book, Bound, Subject, Version
from tests.simulation.scheduler import Scheduler, Violation

EMPTY: Final = LedgerStatus()


class Rule(StrEnum):
    """The promises that are checked after every step."""

    LIMIT = "no admission exceeds a limit"
    PEAK = "no more run than the limits under which they were admitted"
    PAST_QUOTA = "every quota that governs a Workflow is asked"
    RESERVED = "nothing starts without its reservation in the ledger"
    COUNTED = "what lives is counted or reserved"
    ONCE = "nothing is released twice in one hold"
    EPOCH = "epochs only rise"
    LINE = "a line fits into the slot of its root, and only Pods of a Workflow that ran are in it"
    INSTANCE = "a released Workflow has its original instance id"
    ORDER = "priority, then age, where nothing else decides"
    REFUSED = "a refused create gives its slot back at once"
    KEY = "never more of one key than its limit"
    KEPT = "a key stays as it was recorded"
    SUPERSEDED = "who is superseded never ran, and a newer one has its key"
    DRAINED = "in the end, all that can run has run"
    RETURNED = "in the end, every slot is back within its stated time"
    ALIVE = "no thread ends by an error"


class Referee:
    """The witness of all writes."""

    def __init__(
        self,
        *,
        scheduler: Scheduler,
        book: Book,
        on_start: Callable[[Life], None],
        on_stop: Callable[[Life], None],
    ) -> None:
        self._scheduler = scheduler
        self._on_start = on_start
        self._on_stop = on_stop
        self._book = book
        self._ledgers: dict[str, LedgerStatus] = {}
        self._grants: dict[str, dict[Account, Bound]] = {}
        self._submission: Submission | None = None
        self.asked: dict[str, Submission] = {}
        """Creates on their way, by the uid of their mutating review."""
        self.lives: dict[str, Life] = {}
        self._keys = KeyReferee(lives=self.lives, book=book)
        self.releases = 0
        self.admissions = 0

    def fail(self, rule: Rule, text: str) -> None:
        """Call out a broken promise."""
        self._scheduler.fail(Violation(rule.name, f"{rule.value}: {text}"))

    def submitting(self, submission: Submission) -> None:
        """Take note of what the next write of a Workflow comes from."""
        self._submission = submission

    def removed(self, resource: Resource, namespace: str, name: str) -> None:
        if resource != WORKFLOWS:
            return
        for life in self.lives.values():
            if (life.namespace, life.name) == (namespace, name) and life.exists:
                life.exists = False

    def stored(self, resource: Resource, obj: JsonObject, sender: Sender) -> None:
        if resource == QUOTA_LEDGERS:
            self._ledger(msgspec.convert(obj, LedgerObject), sender)
        elif resource == WORKFLOWS:
            self._workflow(obj)
            for rule, text in self._keys.broken():
                self.fail(Rule[rule], text)

    def reservation(self, reservation_id: str) -> Reservation | None:
        """Return a reservation that stands in a ledger."""
        for status in self._ledgers.values():
            for each in status.reservations:
                if each.id == reservation_id:
                    return each
        return None

    def ledgers(self) -> Mapping[str, LedgerStatus]:
        """Return what every ledger says."""
        return self._ledgers

    def refused(self, reservation_id: str) -> None:
        """Judge that the validating side refused a create whose mutating side had answered.

        Where the namespace went to another pool in between, the slot comes back when its time is over.
        """
        found = self.reservation(reservation_id)
        if (
            found is not None
            and len({each.root(found.namespace) for each in self._book.versions.values()}) == 1
        ):
            self.fail(Rule.REFUSED, f"reservation {reservation_id} outlives the refusal of its create")

    def _workflow(self, obj: JsonObject) -> None:
        facts = facts_of(obj)
        submission, self._submission = self._submission, None
        life = self.lives.get(facts.uid)
        if life is None:
            if submission is None:
                raise AssertionError("every create is submitted")
            life = self.lives[facts.uid] = Life(facts, submission)
            self._enters(life, submission)
            self._keyed(life, submission)
            return
        was_held, was_done, was_asked = life.held, life.done, life.shutdown
        for text in self._keys.changed(life, facts):
            self.fail(Rule.KEPT, text)
        life.put(facts)
        if life.shutdown and not was_asked:
            self._on_stop(life)
        if life.done and not was_done and (text := self._keys.superseded(life, was_held=was_held)):
            self.fail(Rule.SUPERSEDED, text)
        if was_done and not life.done:
            life.granted = {}
            life.holds, life.reservation = facts.holds, facts.reservation
            if submission is not None:
                self._enters(life, submission, retried=True)
                self._keyed(life, submission)
        elif was_held and not life.held and not life.done:
            self._released(life)

    def _enters(self, life: Life, submission: Submission, *, retried: bool = False) -> None:
        """Judge a Workflow that was created, or made live again by a retry."""
        self.admissions += 1
        if life.root and not life.held:
            self._exempt(life, submission)
            return
        version = self._book.of(submission.policies)
        bounds = [] if version is None or submission.bypass else list(version.bounds(life.subject))
        found = self.reservation(life.reservation) if life.reservation else None
        named = found.workflow.partition("@")[0] if found is not None else ""
        if found is not None and (found.namespace, named) != (life.namespace, life.name):
            found = None  # The label is a copy.
        if life.held:
            if not life.marked and any(each.of_user for each in bounds):
                self.fail(Rule.PAST_QUOTA, f"{life} waits, and nobody knows for which user")
            return  # Whatever was reserved for it comes back; its release asks every quota anew.
        if retried and not bounds:
            found = None  # The label is that of its create; nobody was asked this time.
        if found is not None:
            life.granted = dict(self._grants.get(found.id, {}))
        for bound in bounds:
            if bound.effect is OnExceed.QUEUE:
                self.fail(Rule.RESERVED, f"{life} runs, and {bound.account.quota} should hold it")
            elif found is None:
                self.fail(Rule.RESERVED, f"{life} is created without reservation {life.reservation!r}")
        self._starts(life)

    def _keyed(self, life: Life, submission: Submission) -> None:
        for text in self._keys.unrecorded(life, submission, self._book.of(submission.policies)):
            self.fail(Rule.KEPT, text)

    def _exempt(self, life: Life, submission: Submission) -> None:
        """Judge a Workflow that is let in under the slot of another."""
        self._has_root(life)
        self._keys.starts(life, self.reservation(life.reservation))
        if not submission.subject.user.startswith(SERVICE_ACCOUNT):
            self.fail(Rule.LINE, f"{life} is a child, and {submission.subject.user} is no Pod")
        self._starts(life)

    def _has_root(self, life: Life) -> None:
        root = self.lives.get(life.root)
        if root is None or not root.runs or root.namespace != life.namespace:
            self.fail(Rule.LINE, f"{life} is to run under {life.root}, which never ran")

    def _lines(self, seen: Iterable[Tracked]) -> None:
        """Judge who counts for nothing by what a leader has seen."""
        known = {each.uid: each for each in seen}
        lines: dict[str, list[int]] = {}
        for each in known.values():
            top = each
            while top.root_labels is not None and top.parent in known:
                top = known[top.parent]
            if top.root_labels is not None:
                self.fail(Rule.LINE, f"{top.name} counts for nothing, and nobody is above it")
            if top is not each and each.root_labels is not None:
                lines.setdefault(top.uid, []).append(self.lives[each.uid].subject.tasks)
        for uid, tasks in lines.items():
            root = self.lives[uid]
            if known[uid].held or sum(tasks) > root.subject.tasks or len(tasks) > MAX_CHILDREN:
                self.fail(Rule.LINE, f"{tasks} tasks run under {root}, which has {root.subject.tasks}")

    def _released(self, life: Life) -> None:
        reservation_id = f"{life.uid}.{life.holds}"
        self.releases += 1
        if reservation_id in life.releases:
            self.fail(Rule.ONCE, f"{life} is released again in hold {life.holds}")
        life.releases.add(reservation_id)
        if self.reservation(reservation_id) is None:
            self.fail(Rule.RESERVED, f"{life} is released, and no ledger holds {reservation_id}")
        if life.instance != life.original:
            self.fail(Rule.INSTANCE, f"{life} had {life.original!r} and has {life.instance!r}")
        life.granted |= self._grants.get(reservation_id, {})
        self._keys.starts(life, self.reservation(reservation_id))
        self._starts(life)

    def _starts(self, life: Life) -> None:
        life.runs += 1
        self._on_start(life)
        if life.root:
            return
        for account in sorted(life.granted.keys() & self._in_force(life.subject)):
            running = [each for each in self.lives.values() if each.runs_in(account)]
            tasks = sum(each.subject.tasks for each in running)
            if not any(each.granted[account].admits(len(running), tasks) for each in running):
                self.fail(Rule.PEAK, f"{life} is number {len(running)} with {tasks} tasks in {account}")

    def _ledger(self, obj: LedgerObject, sender: Sender) -> None:
        root, after = obj.metadata.name, obj.status
        before = self._ledgers.get(root, EMPTY)
        self._ledgers[root] = after
        if after.epoch < before.epoch:
            self.fail(Rule.EPOCH, f"{root} goes from {before.epoch} to {after.epoch}")
        version = self._book.of(sender.policies)
        if version is None:
            raise AssertionError(f"{sender.process} wrote a ledger by no policies")
        known = {each.id for each in before.reservations}
        leader = sender.tracked is not None
        # What a leader carries over from another ledger was admitted there.
        elsewhere = self._grants.keys() if leader else ()
        added = [each for each in after.reservations if each.id not in known and each.id not in elsewhere]
        for each in added:
            self._judge(each, after, version, sender)
        if leader:
            if after.epoch == before.epoch:  # The write that fences counts nothing yet.
                self._all_counted(root, after, version)
                self._lines(sender.tracked or ())
            self._in_order(added, after, sender.tracked or ())

    def _judge(self, added: Reservation, after: LedgerStatus, version: Version, sender: Sender) -> None:
        """Judge one new reservation by the policies of whoever wrote it."""
        creates = added.purpose is Purpose.CREATE
        life = None if creates else self.lives.get(added.id.partition(".")[0])
        submission = self.asked.get(added.id) if creates else None
        subject = life.subject if life is not None else submission.subject if submission else None
        if subject is None:
            self._grants[added.id] = {}
            return
        bounds = {each.account: each for each in version.bounds(subject)}
        if life is not None and life.root and not added.accounts:
            bounds = {}  # There was room for it under its root when the leader decided.
            self._has_root(life)
        # What those above it count for, a child may be exempt from.
        above = [each for it in self._above(life, submission) for each in version.bounds(it.subject)]
        shared = {each.account for each in above} - {*added.accounts}
        users = {each.account.whole for each in above if each.of_user}
        bounds = {
            each: bound
            for each, bound in bounds.items()
            if each not in shared and not (bound.of_user and each.whole in users)
        }
        for account, bound in bounds.items():
            # Who took the mark of its user away was judged when it came in, by the policies of that moment.
            known = not bound.of_user or life is None or life.marked
            due = known and (bound.effect is OnExceed.DENY or not creates)
            if due and account not in added.accounts:
                self.fail(Rule.PAST_QUOTA, f"{added.workflow} gets a slot, and {account} was not asked")
        self._grants[added.id] = {each: bounds[each] for each in added.accounts if each in bounds}
        in_force = self._in_force(subject)
        for account, bound in self._grants[added.id].items():
            if account not in in_force:
                continue
            members = self._members(bound, after, version, sender.tracked or ())
            if creates:
                # Of creates of one name at most one can be there: beside this one there is none (rule 12).
                members["/".join(added.slot).partition("@")[0]] = added.requested.tasks
            tasks = sum(members.values())
            if not bound.admits(len(members), tasks):
                text = f"{len(members)} Workflows with {tasks} tasks in {account}"
                self.fail(Rule.LIMIT, f"{sender.process} makes it {text}: {', '.join(sorted(members))}")

    def _above(self, life: Life | None, submission: Submission | None) -> list[Life]:
        """Return the Workflows under whose slot another may run, or may be to run once it is created."""
        parent = self.lives.get(submission.above) if submission is not None else None
        uids = [each.root for each in (life, parent) if each is not None]
        found = [self.lives[each] for each in uids if each in self.lives]
        return found if parent is None else [*found, parent]

    def _in_force(self, subject: Subject) -> set[Account]:
        """Return the accounts whose quota exists; of one that is gone not everybody has heard yet."""
        return {each.account for each in self._book.latest.bounds(subject)}

    def _members(
        self, bound: Bound, ledger: LedgerStatus, version: Version, seen: Iterable[Tracked]
    ) -> dict[str, int]:
        """Return what counts in an account, each with its tasks: what lives and what may still start."""
        account = bound.account
        members = {str(life): life.subject.tasks for life in self.lives.values() if life.runs_in(account)}
        by_label = {each.reservation: each for each in self.lives.values() if each.live}
        over = {each.reservation: each for each in self.lives.values() if not each.live}
        for each in ledger.reservations:
            if account not in each.accounts:
                continue
            owner = by_label.get(each.id) or over.get(each.id) or self.lives.get(each.id.partition(".")[0])
            if owner is None:
                # Of creates of one name at most one can be there at a time (rule 12).
                name = "/".join(each.slot).partition("@")[0]
                members[name] = max(members.get(name, 0), each.requested.tasks)
            elif owner.live:
                members[str(owner)] = max(members.get(str(owner), 0), owner.subject.tasks)
        for tracked in seen:
            life = self.lives.get(tracked.uid)
            if life is None or tracked.held or life.held or not life.live or tracked.root_labels is not None:
                continue
            # Nobody has told us for which user it runs that bypassed us, or while no quota governed it.
            unknown = bound.of_user and not life.marked
            if not unknown and any(each.account == account for each in version.bounds(life.subject)):
                members[str(life)] = life.subject.tasks
        return members

    def _all_counted(self, root: str, after: LedgerStatus, version: Version) -> None:
        """Judge that whatever was admitted and lives is in the ledger that a leader wrote."""
        taken: dict[Account, int] = {line.account: line.usage.workflows for line in after.accounts}
        slots = {
            (each.slot if each.purpose is Purpose.CREATE else (each.id, ""), account)
            for each in after.reservations
            for account in each.accounts
        }
        for _, account in slots:
            taken[account] = taken.get(account, 0) + 1
        lives: dict[Account, list[Life]] = {}
        for life in self.lives.values():
            if not life.running or life.root or version.root(life.namespace) != root:
                continue
            for bound in version.bounds(life.subject):
                if bound.account in life.granted:
                    lives.setdefault(bound.account, []).append(life)
        for account, members in lives.items():
            if len(members) > taken.get(account, 0):
                names = ", ".join(sorted(map(str, members)))
                self.fail(Rule.COUNTED, f"{account} has {names}, the ledger says {taken.get(account, 0)}")

    def _in_order(self, added: Iterable[Reservation], after: LedgerStatus, seen: Iterable[Tracked]) -> None:
        """Judge that nobody was passed by one that is not before it in any respect."""
        reserved = {each.id.partition(".")[0] for each in after.reservations}
        waiting = [self.lives[each.uid] for each in seen if each.held and each.uid not in reserved]
        for each in added:
            chosen = self.lives.get(each.id.partition(".")[0])
            if chosen is None:
                continue
            for passed in waiting:
                if passed.before(chosen) and passed.held and passed.live:
                    self.fail(Rule.ORDER, f"{chosen} is released before {passed}")
