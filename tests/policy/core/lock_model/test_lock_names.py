"""Lock names and limits are read as Argo reads them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.lock_model.lock_names import (
    LockName,
    lock_name,
    name_problems,
    parameterised,
    read_limit,
    semaphore_name,
)
from policy.core.objects.workflow import ConfigMapKeyRef, DatabaseRef, MutexRef, SemaphoreRef
from policy.core.values.problems import Problem


@pytest.mark.parametrize(
    ("value", "limit"),
    [
        ("5", 5),
        ("+5", 5),
        ("05", 5),
        ("0", 0),
        ("-0", 0),
        ("-1", -1),
        ("3000000000", 3_000_000_000),
        ("00000000000000000005", 5),
        ("-00000000000000000005", -5),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("9223372036854775808", None),
        ("-9223372036854775809", None),
        ("99999999999999999999", None),
        ("", None),
        (" 5", None),
        ("5 ", None),
        ("5\n", None),
        ("\n5", None),
        ("5x", None),
        ("5.0", None),
        ("1e1", None),
        ("1_000", None),
        ("0x10", None),
        ("+", None),
        ("-", None),
        ("+-5", None),
        ("--5", None),
        ("+ 5", None),
        ("\u0665", None),  # Arabic-Indic
        ("\uff15", None),  # full width
        ("\xb2", None),
        ("5\x00", None),
    ],
)
def test_a_limit_is_read_as_gos_atoi_reads_it(value: str, limit: int | None) -> None:
    """Each value and what strconv.Atoi of Go 1.24 gives on a 64-bit machine; None is its error."""
    assert read_limit(value) == limit


@given(st.integers(-(2**65), 2**65), st.sampled_from(("", "+", "-")), st.integers(0, 30))
def test_leading_zeros_and_signs_do_not_change_which_numbers_are_read(
    number: int, sign: str, zeros: int
) -> None:
    """Any integer of 64 bits is read whatever its padding, and no other."""
    digits = "0" * zeros + str(abs(number))
    expected = -abs(number) if sign == "-" else abs(number)
    assert read_limit(sign + digits) == (expected if -(2**63) <= expected < 2**63 else None)


@given(st.text(alphabet="0123456789+-_ .eEx\n\t", max_size=22))
def test_no_text_makes_reading_a_limit_fail(value: str) -> None:
    """Whatever a ConfigMap has, there is an answer, and it is a number of 64 bits or none."""
    limit = read_limit(value)
    assert limit is None or (re.fullmatch(r"[+-]?[0-9]+", value) and -(2**63) <= limit < 2**63)


def test_a_limit_with_thousands_of_zeros_is_read_too() -> None:
    """Go reads it; Python's int() refuses it, which would be an HTTP 500 by the owner of a ConfigMap."""
    assert read_limit("0" * 5000 + "5") == 5


def test_names_are_encoded_as_argo_encodes_them() -> None:
    """The forms of workflow/sync/lock_name.go, which also show in a Workflow's status."""
    assert semaphore_name("ns", "limits", "db") == "ns/ConfigMap/limits/db"
    assert lock_name(MutexRef("one"), "ns") == "ns/Mutex/one"
    assert lock_name(MutexRef("one", database=True), "ns") == "ns/Database/one"


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("ns/ConfigMap/limits/db", LockName("ns", "ConfigMap", "limits", "db")),
        ("ns/ConfigMap/limits/a/b", LockName("ns", "ConfigMap", "limits", "a/b")),
        ("ns/ConfigMap/limits", LockName("ns", "ConfigMap", "limits", "")),
        ("ns/Mutex/a/b", LockName("ns", "Mutex", "", "a/b")),
        ("ns/Database/one", LockName("ns", "Database", "", "one")),
        ("ns", LockName("ns", "", "", "")),
    ],
)
def test_a_name_is_taken_apart_as_argo_takes_it_apart(name: str, parts: LockName) -> None:
    """The last part may have slashes; what is missing is empty."""
    assert LockName.parse(name) == parts


@pytest.mark.parametrize(
    ("ref", "name"),
    [
        (SemaphoreRef(ConfigMapKeyRef("limits", "db")), "own/ConfigMap/limits/db"),
        (SemaphoreRef(ConfigMapKeyRef("limits", "db"), namespace="own"), "own/ConfigMap/limits/db"),
        (SemaphoreRef(ConfigMapKeyRef("limits", "db"), namespace=""), "own/ConfigMap/limits/db"),
        (SemaphoreRef(ConfigMapKeyRef("limits", "db"), namespace="far"), "far/ConfigMap/limits/db"),
        (SemaphoreRef(database=DatabaseRef("db")), "own/Database/db"),
        (SemaphoreRef(ConfigMapKeyRef()), "own/ConfigMap//"),
        (SemaphoreRef(), "own/Database/"),
        (MutexRef("one"), "own/Mutex/one"),
        (MutexRef("one", database=False), "own/Mutex/one"),
        (MutexRef("one", database=True), "own/Database/one"),
        (MutexRef("one", namespace="far"), "far/Mutex/one"),
        (MutexRef(), "own/Mutex/"),
    ],
)
def test_a_reference_without_a_namespace_is_a_lock_of_the_workflows_own(
    ref: SemaphoreRef | MutexRef, name: str
) -> None:
    """Two references are the same lock where their encoded names are equal."""
    assert lock_name(ref, "own") == name


@pytest.mark.parametrize(
    ("text", "filled_in"),
    [(None, False), ("", False), ("db", False), ("{db}", False), ("{{inputs.x}}", True), ("a-{{=x}}", True)],
)
def test_a_name_with_a_tag_is_filled_in_at_run_time(text: str | None, filled_in: bool) -> None:  # noqa: FBT001
    """Simple and expression tags alike."""
    assert parameterised(text) == filled_in


@pytest.mark.parametrize("text", [None, ""])
def test_an_empty_name_is_a_problem(text: str | None) -> None:
    """Argo panics on it, and ends the Workflow."""
    message = "is empty; Argo ends such a Workflow with an error: give a name"
    assert list(name_problems(text, "here")) == [Problem("here", message)]


def test_a_slash_in_the_name_or_key_of_a_config_map_is_a_problem() -> None:
    """Argo cannot take the encoded name apart again."""
    message = '"a/b" contains "/", which Argo cannot decode: leave the slash out'
    assert list(name_problems("a/b", "here")) == [Problem("here", message)]


@pytest.mark.parametrize("text", ["db", "a.b-c_d", "{{inputs.parameters.x}}", "{{= a / b }}"])
def test_a_plain_or_parameterised_name_is_no_problem(text: str) -> None:
    """A slash inside an expression is a division."""
    assert list(name_problems(text, "here")) == []
