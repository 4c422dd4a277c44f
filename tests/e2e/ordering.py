"""Which modules of tests begin first: those that take long, so that no worker is left with one at the end.

Each worker takes the next module when it is through with one (`--dist loadfile`).
"""

from pathlib import Path
from typing import Final

import pytest

LONG: Final = (
    "test_shaken_webhook",
    "test_install_lifecycle",
    "test_shaken_control_plane",
    "test_rights_removed",
    "test_shaken_certificates",
    "test_install_failure_policy",
    "test_install_certificates",
    "test_podrunner_lives",
    "test_image",
    "test_image_installed",
    "test_rights",
    "test_install_examples",
    "test_install_elsewhere",
    "test_guard",
    "test_locks_run",
    "test_chart_objects",
    "test_install_user",
)
"""Modules that install, and what takes as long; the longest first."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the items of those modules first; nothing else changes its place."""
    ranks = {name: rank for rank, name in enumerate(LONG)}
    items.sort(key=lambda item: ranks.get(Path(item.path).stem, len(LONG)))
