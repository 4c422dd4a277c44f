"""All checks of an installation in their order, pure: what is right, what is not, and what to do about it."""

from collections import Counter
from collections.abc import Sequence

from lockkeeper.checking.facts import Gap, InstallationFacts, UnreadObject
from lockkeeper.checking.judgement import Judgement, State
from lockkeeper.checking.operation import judge_leader, judge_policies, judge_served
from lockkeeper.checking.registration import judge_kinds, judge_registration
from lockkeeper.process.output import aligned


def judge_installation(facts: InstallationFacts) -> tuple[Judgement, ...]:
    """Return all judgements, in the order in which somebody would mend things."""
    return (
        *judge_kinds(facts),
        *judge_registration(facts),
        *judge_served(facts),
        *judge_leader(facts),
        *judge_policies(facts),
    )


def nothing_seen(facts: InstallationFacts) -> bool:
    """Tell whether every read was refused: the credentials are wrong rather than the installation."""
    reads = (
        *facts.policies.values(),
        facts.ledgers,
        facts.workflows,
        facts.mutating,
        facts.validating,
        facts.lease,
    )
    return all(isinstance(each, UnreadObject) and each.gap is Gap.NO_RIGHT for each in reads)


def table(judgements: Sequence[Judgement]) -> str:
    """Return the judgements in columns, what to do below, and how many there are of each state."""
    lines = [aligned([(each.state, each.check, each.message) for each in judgements])]
    advised = [each for each in judgements if each.advice]
    if advised:
        lines.append("")
    lines += [f"{each.check}: {each.message}\n  next: {each.advice}" for each in advised]
    counts = Counter(each.state for each in judgements)
    lines += ["", ", ".join(f"{counts[state]} {state}" for state in State if counts[state])]
    return "\n".join(lines)
