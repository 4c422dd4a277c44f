"""Options of commands that read files: which are left out, and whether there may be none."""

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lockkeeper.process.console import UsageError, reason_of

if TYPE_CHECKING:
    from lockkeeper.manifests.manifest import Manifest


def add_file_options(parser: argparse.ArgumentParser) -> None:
    """Add `--exclude` and `--allow-empty`."""
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="PATTERN",
        help="leave out files and folders by name or path, such as charts or '*.tmpl.yaml'; repeatable",
    )
    add_allow_empty(parser)


def add_allow_empty(parser: argparse.ArgumentParser) -> None:
    """Add `--allow-empty`."""
    parser.add_argument(
        "--allow-empty",
        action="store_true",
        help="it is no error where the files hold nothing to work with, or no policy",
    )


def add_namespace(parser: argparse.ArgumentParser, of: str = "Workflows and policies") -> None:
    """Add `--namespace`, in which objects of files are that name none."""
    from policy.core.policy_kinds.kinds import DEFAULT_NAMESPACE  # noqa: PLC0415 - for commands with files

    parser.add_argument(
        "-n",
        "--namespace",
        default=DEFAULT_NAMESPACE,
        help=f"namespace of {of} that name none (default %(default)s)",
    )


def nothing_in(what: str, paths: Iterable[str | Path]) -> str:
    """Return the sentence about files that hold nothing of what is wanted."""
    shown = ", ".join("standard input" if str(each) == "-" else str(each) for each in paths)
    return f"there is {what} in {shown}; if that is right, say so with --allow-empty"


def existing_policies(path: Path) -> Path:
    """Return the path of `--policies` if there is such a file or folder.

    Raises:
        UsageError: there is none.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"--policies {path} does not exist: give a file or a folder") from None
    except OSError as error:
        raise UsageError(f"--policies {path} cannot be read: {reason_of(error)}") from error
    return path


def counting_in(manifests: Iterable["Manifest"], namespace: str) -> Iterator[str]:
    """Yield a sentence for each policy that names no namespace: it counts in one alone."""
    from policy.sources.default_namespace import unplaced_policies  # noqa: PLC0415 - for commands with files

    for each in manifests:
        for _, policy in unplaced_policies(each.value):
            place = f"{each.file}:{each.line}"
            yield f"{place}: {policy} names no namespace: it counts in {namespace} alone"
