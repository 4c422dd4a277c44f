"""`lockkeeper version`."""

import argparse
import platform

from lockkeeper import __version__

EXAMPLES = "example:\n  lockkeeper version"


def configure(_parser: argparse.ArgumentParser) -> None:
    """Add nothing: the command has no options."""


def run(_arguments: argparse.Namespace) -> int:
    """Print the version."""
    print(f"lockkeeper {__version__} (Python {platform.python_version()})")
    return 0
