"""Naming rules of keys mean what their authors expect, and no rule makes a review slow."""

import subprocess
import sys
from time import thread_time

import pytest

from policy.core.lock_model.key_rules import (
    LONGEST_KEY,
    LONGEST_PATTERN,
    MAX_REMEMBERED,
    checked_key_rule,
    key_rule,
)
from policy.core.objects.json_patch import JsonValue
from policy.core.policies.conflicts import all_findings
from policy.core.policies.policy_checks import problems
from tests.policy.core.builders import lock_policy, namespace_object, snapshot

ENOUGH = 0.5
"""Seconds of CPU that no rule and no key may take; a match takes some hundred microseconds."""
SLOW_IN_RE = ["^(a+)+$", "^(a|a)*b$", "^(a|aa)+$", "^(.*a){12}b$", "^" + "a?" * 40 + "a" * 40 + "$"]


@pytest.mark.parametrize(
    ("pattern", "fits", "misfits"),
    [
        (
            "<resource-type>-<purpose>",
            ["db-load", "gpu2-model-training", "db-a-b-c"],
            ["db", "db-", "-load", "DB-load", "db_load", "db--load", "x db-load", "db-load "],
        ),
        ("<team>.<what>", ["etl.db", "etl.db-load"], ["etl-db", "etlXdb", "a-b.db", ".db"]),
        ("lock-<what>", ["lock-db"], ["db", "lock-", "unlock-db"]),
        ("<what>-lock", ["db-lock", "a-b-lock"], ["lock", "-lock"]),
        ("<one>", ["db", "db-load"], ["", "db-"]),
        ("^[a-z]+-[0-9]+$", ["db-1"], ["db", "xdb-1x"]),
        ("^db", ["db", "db-anything"], ["a-db"]),
        ("^<x>$", ["<x>"], ["db"]),
        (r"^\d\w\b", ["1a"], ["a1"]),
        ("^a|b", ["a", "xb"], ["x"]),
        ("^(?i)DB$", ["db", "Db"], ["dbx"]),
    ],
)
def test_a_rule_is_a_shape_or_a_regular_expression(pattern: str, fits: list[str], misfits: list[str]) -> None:
    """In a shape each placeholder is one word, the last may be several; from `^` on it is an expression."""
    rule = checked_key_rule(pattern)
    assert [key for key in fits if not rule.allows(key)] == []
    assert [key for key in misfits if rule.allows(key)] == []
    assert [key for key in misfits if rule.allows(key)] == []  # As it was remembered.


def test_a_rule_does_not_take_a_newline_at_the_end() -> None:
    """A shape covers the whole key, and so does an expression that ends with `$`."""
    assert not key_rule("<type>-<purpose>").allows("db-load\n")
    assert not key_rule("^[a-z]+$").allows("db\n")


@pytest.mark.parametrize("pattern", ["", "db", "resource-purpose", "[a-z]+", "<>", "a<b"])
def test_a_text_that_is_neither_shape_nor_expression_is_refused(pattern: str) -> None:
    """A pattern that would match one key only, or nothing, is a mistake."""
    with pytest.raises(
        ValueError, match=r"^start it with \^ \(a regular expression\) or use <placeholders>$"
    ):
        checked_key_rule(pattern)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("^[a-z", "missing ]: [a-z"),
        ("^(a", "missing ): ^(a"),
        ("^(?=a)b", "it has look-ahead, which RE2 does not know: write out"),
        ("^(?!a)b", "it has look-ahead, which RE2 does not know: write out"),
        ("^a(?<=a)b", "it has look-behind, which RE2 does not know: write out"),
        ("^(?<!a)b", "it has look-behind, which RE2 does not know: write out"),
        (r"^(a)\1", r"it has a back-reference (\1), which RE2 does not know: write out"),
        (r"^a\Z", r"it has \Z (write $), which RE2 does not know"),
        ("^(?>a)", "invalid perl operator"),
        ("^a++", "bad repetition operator"),
        ("^((a{1,30}){1,30}){1,30}$", "invalid repetition size"),
    ],
)
def test_an_expression_that_has_no_linear_match_is_refused_with_what_to_write(
    pattern: str, said: str
) -> None:
    """Its author reads it at the field, when the policy is written."""
    (found,) = problems(lock_policy(validate={"keyPattern": pattern}))
    assert found.path == "spec.validate.keyPattern"
    assert found.message.startswith(f"is not a usable pattern: {said}")


@pytest.mark.parametrize("start", ["^", "<a>"])
def test_a_rule_is_bounded_in_length(start: str) -> None:
    """A pattern of 100,000 characters took six seconds to compile; the CRDs have the same bound."""
    longest = start + "a" * (LONGEST_PATTERN - len(start))
    assert problems(lock_policy(validate={"keyPattern": longest})) == []
    (found,) = problems(lock_policy(validate={"keyPattern": longest + "a" * 100_000}))
    assert found.message == (
        f"is not a usable pattern: it has {LONGEST_PATTERN + 100_000} characters, and {LONGEST_PATTERN} are "
        "the most"
    )


@pytest.mark.parametrize("pattern", SLOW_IN_RE)
def test_no_rule_makes_a_key_slow(pattern: str) -> None:
    """Python's `re` takes longer than a test run for each of these, with keys of 40 characters."""
    rule = key_rule(pattern)
    began = thread_time()
    for length in (20, 40, 80, 160, LONGEST_KEY):
        rule.allows("a" * (length - 1) + "!")
    assert thread_time() - began < ENOUGH


def test_the_review_of_a_policy_that_injects_keys_like_those_is_quick() -> None:
    """Its dry run checks its own keys by its own rules, and so does the leader for its conditions."""
    inject: list[JsonValue] = [
        {
            "name": f"r{number}",
            "templates": {"names": ["*"]},
            "lock": {"semaphore": {"configMap": "limits", "key": "a" * (40 + number) + "!"}},
        }
        for number in range(100)
    ]
    for pattern in SLOW_IN_RE:
        policy = lock_policy(validate={"keyPattern": pattern}, inject=inject)
        began = thread_time()
        assert problems(policy) == []
        (found,) = all_findings(snapshot(policy, namespace_object("team-a"))).values()
        assert thread_time() - began < ENOUGH
        assert len(found) >= len(inject)


def test_a_key_that_is_longer_than_keys_may_be_follows_no_rule() -> None:
    """It is not matched at all, nor remembered."""
    rule = key_rule("^a+$")
    assert rule.allows("a" * LONGEST_KEY)
    assert not rule.allows("a" * (LONGEST_KEY + 1))
    assert len(rule._remembered) == 1


def test_what_is_remembered_of_keys_is_bounded() -> None:
    """Users choose the keys; no number of new ones fills the memory."""
    rule = key_rule("^k[0-9]+$")
    for number in range(MAX_REMEMBERED * 2 + 10):
        assert rule.allows(f"k{number}")
    assert len(rule._remembered) <= MAX_REMEMBERED


def test_rules_of_one_text_are_equal() -> None:
    """Policies are compared when snapshots change."""
    assert key_rule("^a") == key_rule("^a") != key_rule("^b")
    assert hash(key_rule("^a")) == hash(key_rule("^a"))


def test_the_engine_is_loaded_by_the_first_key_and_not_by_the_program() -> None:
    """Most clusters have no naming rule, and `lockkeeper version` needs none."""
    code = (
        "import sys, lockkeeper.__main__, lockkeeper.assembly.webhook\n"
        "from policy.core.lock_model.key_rules import key_rule\n"
        "rule = key_rule('^a')\n"
        "assert 're2' not in sys.modules\n"
        "rule.allows('a')\n"
        "assert 're2' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - our own text
