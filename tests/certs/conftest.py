"""A fixed time, and authorities made once: making a key is the slow part."""

from datetime import UTC, datetime

import pytest

from certs.authority import Authority, create_authority


@pytest.fixture(scope="session")
def now() -> datetime:
    """Return the time of day of this run; handshakes check certificates by the machine's clock."""
    return datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="session")
def authority(now: datetime) -> Authority:
    """Return a CA that clients trust."""
    return create_authority(now=now)


@pytest.fixture(scope="session")
def stranger(now: datetime) -> Authority:
    """Return another CA of the same name, which clients do not trust."""
    return create_authority(now=now)
