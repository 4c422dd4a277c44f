"""A fix that is told works when it is followed: what is suggested decodes, and is what the author meant."""

import pytest

from policy.core.argo_types.suggested_values import field_of, integer, list_of_strings, quoted

INT32 = (-(2**31), 2**31 - 1)


@pytest.mark.parametrize(
    ("text", "field", "fix"),
    [
        ("sh -c", "command", '["sh", "-c"]'),
        ("python", "command", '["python"]'),
        ("sh -c 'echo a b'", "command", '["sh", "-c", "echo a b"]'),
        ("sh -c 'echo", "command", 'a list, an entry for each of them, as ["a", "b"]'),
        ("a", "dependencies", '["a"]'),
        ("a, b", "dependencies", '["a", "b"]'),
        ("a b", "dependencies", '["a", "b"]'),
        ('["a", "b"]', "args", '["a", "b"]'),
        ("[a, b]", "args", 'a list, an entry for each of them, as ["a", "b"]'),
        ("--verbose", "args", '["--verbose"]'),
        ("echo hello", "args", 'a list, an entry for each of them, as ["a", "b"]'),
        ("0 1 * * *", "schedules", '["0 1 * * *"]'),
        ("", "command", 'a list, an entry for each of them, as ["a", "b"]'),
        ("x" * 61, "args", 'a list, an entry for each of them, as ["a", "b"]'),
    ],
)
def test_a_text_becomes_the_list_that_is_meant_or_only_the_form_is_told(
    text: str, field: str, fix: str
) -> None:
    """One entry with a blank in it would be a program of that name, which there is not."""
    assert list_of_strings(text, field) == fix


@pytest.mark.parametrize(
    ("value", "field", "fix"),
    [
        ("1h", "activeDeadlineSeconds", "3600, the number of seconds, without quotes"),
        ("1h30m", "activeDeadlineSeconds", "5400, the number of seconds, without quotes"),
        ("7d", "secondsAfterCompletion", "604800, the number of seconds, without quotes"),
        ("90 s", "startingDeadlineSeconds", "90, the number of seconds, without quotes"),
        ("9999d", "secondsAfterFailure", "863913600, the number of seconds, without quotes"),
        ("500ms", "timeoutSeconds", "a number of seconds"),
        ("soon", "timeoutSeconds", "a number of seconds"),
        ("", "timeoutSeconds", "a number of seconds"),
        ("1h", "parallelism", "a number"),
        ("60", "activeDeadlineSeconds", "60, without quotes"),
        (" 4 ", "parallelism", "4, without quotes"),
        ("+4", "parallelism", "4, without quotes"),
        ("99999999999", "priority", "one from -2147483648 to 2147483647"),
        ("{{n}}", "priority", "a number; nothing is filled in here"),
        (1.5, "priority", "a number without a fraction"),
        (True, "priority", "a number"),
    ],
)
def test_a_whole_number_is_told_in_the_unit_and_the_bounds_of_its_field(
    value: str | float, field: str, fix: str
) -> None:
    """A number that does not fit is no fix either."""
    assert integer(value, field, INT32) == fix


@pytest.mark.parametrize(
    ("value", "fix"),
    [
        (3, '"3"'),
        (True, '"true"'),
        (1.1, "it in quotes, as it stands there"),
        (10**30, "it in quotes, as it stands there"),
    ],
)
def test_a_number_that_is_not_shown_as_it_was_written_is_not_repeated(value: float, fix: str) -> None:
    """Version 1.10 would become 1.1."""
    assert quoted(value, 64) == fix


@pytest.mark.parametrize(
    ("path", "field"),
    [("spec.templates[0].container.args[1]", "args"), ("spec.parallelism", "parallelism"), ("kind", "kind")],
)
def test_the_field_of_an_entry_is_that_of_its_list(path: str, field: str) -> None:
    """What a text may mean depends on the field."""
    assert field_of(path) == field
