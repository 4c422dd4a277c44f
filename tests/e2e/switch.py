"""Whether this run has a control plane: building one takes minutes, so `make e2e` has to ask for it."""

import os
from typing import Final

import pytest

ENABLED: Final = os.environ.get("LOCKKEEPER_E2E") == "1"
"""What `make e2e` sets."""


def configure(config: pytest.Config) -> None:
    """Make the marker known, and the fixtures where they are asked for; for a conftest."""
    config.addinivalue_line(
        "markers", "e2e: runs against a real control plane, with LOCKKEEPER_E2E=1 (make e2e)"
    )
    if ENABLED:
        for plugin in ("tests.e2e.fixtures", "tests.e2e.argo.fixtures", "tests.e2e.ordering"):
            config.pluginmanager.import_plugin(plugin)
