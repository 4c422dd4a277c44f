"""How a run of the embedded mode ends, by what its worker has told."""

import pytest

from lockkeeper.embedded.embedded import DONE, FAILED, STOPPED, exit_code


@pytest.mark.parametrize(
    ("messages", "once", "expected"),
    [
        (DONE, True, 0),
        (DONE + STOPPED, True, 0),
        (STOPPED, True, 1),
        (b"", True, 1),
        (STOPPED, False, 7),
        (b"", False, 1),
        (FAILED, True, 1),
        (FAILED + DONE + STOPPED, True, 1),
        (DONE + FAILED, True, 1),
        (FAILED + STOPPED, False, 1),
    ],
)
def test_a_run_whose_output_was_lost_has_failed_even_if_its_play_is_done(
    messages: bytes, expected: int, *, once: bool
) -> None:
    """Whichever of its threads comes first: the play goes on while the process ends."""
    assert exit_code(messages, 7, once=once) == expected
