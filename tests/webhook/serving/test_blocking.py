"""What blocks: a reservation that waits for its ledger stops no other review."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.patience import PATIENCE
from tests.properties.worst_inputs import DIRECT, WORST
from tests.webhook.oracle import Json
from tests.webhook.reviews import admission_review, encoded, quota, workflow
from tests.webhook.running_server import Served
from tests.webhook.serving.gated_ledger import GATE
from tests.webhook.serving.gated_time import ARRIVED

WAITING = 20
"""Creates that wait for the ledger: far more than threads that compute."""
BESIDE = 200
LONG_ONES = 4
"""Reviews that take long at once, more than there are permits to compute."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Return a server whose ledger waits, with a quota that denies in one namespace alone."""
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "all.yaml").write_text(quota("Deny", limits={"workflows": WAITING}))
    os.mkfifo(tmp_path / GATE)
    with Served(
        policies=policies, certs=tmp_path / "certs", module="tests.webhook.serving.gated_ledger"
    ) as running:
        yield running


def create(number: int, namespace: str) -> Json:
    """Return the review of a create."""
    return admission_review(workflow(), uid=f"{namespace}-{number}", namespace=namespace)


def test_reviews_go_on_while_reservations_wait(served: Served) -> None:
    """Not one of those beside needs the ledger, and all are answered before it is."""

    def reserved(number: int) -> bool:
        with served.connected() as connection:
            return "allowed" in connection.review(create(number, "team"))

    gate = served.certs.parent / GATE
    with ThreadPoolExecutor(WAITING) as pool:
        waiting = [pool.submit(reserved, number) for number in range(WAITING)]
        with gate.open("wb", buffering=0) as letting_go:  # Opens as soon as one waits.
            with served.connected() as connection:
                for number in range(BESIDE):
                    assert connection.review(create(number, "elsewhere"))["allowed"]
            assert not any(each.done() for each in waiting)
            letting_go.write(b"x" * WAITING)
            assert all(each.result(PATIENCE) for each in waiting)


def test_short_reviews_are_answered_while_long_ones_compute(tmp_path: Path) -> None:
    """Long reviews get all permits but one, so a create that needs a thread goes through beside them."""
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "all.yaml").write_text(DIRECT)
    for pipe in (ARRIVED, GATE):
        os.mkfifo(tmp_path / pipe)
    long_one = WORST["create locks_on_one"](200_000)

    def answered(running: Served) -> int:
        with running.connected() as connection:
            return connection.send("POST", "/validate?timeout=30s", encoded(long_one))[0]

    with (
        (tmp_path / ARRIVED).open("r+b", buffering=0) as arrived,
        (tmp_path / GATE).open("r+b", buffering=0) as gate,
        Served(
            policies=policies, certs=tmp_path / "certs", module="tests.webhook.serving.gated_time"
        ) as running,
        ThreadPoolExecutor(LONG_ONES) as pool,
    ):
        long_ones = [pool.submit(answered, running) for _ in range(LONG_ONES)]
        assert arrived.read(1)  # One computes; the others wait for its slot.
        with running.connected() as connection:
            for number in range(5):
                assert connection.review(create(number, "team"))["allowed"]
        assert not any(each.done() for each in long_ones)
        gate.write(b"x" * LONG_ONES)
        assert {each.result(PATIENCE) for each in long_ones} <= {200, 504}
