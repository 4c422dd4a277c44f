"""Judges the facts about an installation, pure: what is right, what is not, and what to do about it."""

from lockkeeper.checking.facts import Facts
from lockkeeper.checking.judgement import Judgement
from lockkeeper.checking.registration import judge_kinds, judge_registration
from lockkeeper.checking.running import judge_leader, judge_policies, judge_served


def judge(facts: Facts) -> tuple[Judgement, ...]:
    """Return all judgements, in the order in which somebody would mend things."""
    return (
        *judge_kinds(facts),
        *judge_registration(facts),
        *judge_served(facts),
        *judge_leader(facts),
        *judge_policies(facts),
    )
