"""What the tests of the webhook share: the oracle of answers, and the application without a server."""

from typing import Protocol

import pytest

from tests.webhook import oracle
from tests.webhook.calling import Webhook
from tests.webhook.oracle import Json


class Verify(Protocol):
    """The type of the oracle."""

    def __call__(self, body: bytes, *, request: Json, mutating: bool) -> Json:
        """Return the verified response."""
        ...


@pytest.fixture
def verify_admission_response() -> Verify:
    """Return the API server's check of an answer."""
    return oracle.verify_admission_response


@pytest.fixture
def webhook() -> Webhook:
    """Return a webhook without policies."""
    return Webhook()
