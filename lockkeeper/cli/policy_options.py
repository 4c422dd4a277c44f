"""Options of commands that read policies and manifests from files, and how they tell of wrong ones."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lockkeeper.cli.options import option_type
from lockkeeper.process.output import UsageError
from policy.core.objects.argo_version import DEFAULT_VERSION, ArgoVersion
from policy.sources.directory import PolicyErrors


def add_policies(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Add `--policies` and `--argo-version`."""
    parser.add_argument(
        "--policies",
        type=Path,
        required=required,
        metavar="DIR",
        help="folder of YAML with the policies, and ConfigMaps, Namespaces and Argo templates beside them",
    )
    add_argo_version(parser)


def add_argo_version(parser: argparse.ArgumentParser) -> None:
    """Add `--argo-version`."""
    parser.add_argument(
        "--argo-version",
        type=option_type(ArgoVersion.parse),
        default=DEFAULT_VERSION,
        metavar="VERSION",
        help=f"version of the Argo controller: it decides how locks are written (default {DEFAULT_VERSION})",
    )


def existing_folder(path: Path, what: str) -> Path:
    """Return the path if it is a folder.

    Raises:
        UsageError: it is not.
    """
    if not path.is_dir():
        problem = "is not a folder" if path.exists() else "does not exist"
        raise UsageError(f"{what} {path} {problem}")
    return path


@contextmanager
def wrong_files_are_usage_errors() -> Iterator[None]:
    """Tell of everything that is wrong in files as of something that the caller mends, a line each."""
    try:
        yield
    except PolicyErrors as errors:
        raise UsageError(*map(str, errors.errors)) from errors
