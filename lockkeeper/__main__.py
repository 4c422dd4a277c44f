"""The command line: `lockkeeper COMMAND`. Each command is a module of `lockkeeper.cli`."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Final

from lockkeeper.cli import certs, check, controller, lint, locks, review, run, serve, version
from lockkeeper.cli.failing import UsageError
from lockkeeper.wiring import tell
from policy.sources.directory import PolicyErrors

COMMANDS: Final = (run, serve, controller, review, lint, locks, check, certs, version)
INTERRUPTED: Final = 130
"""Exit code after Ctrl-C, as a shell gives it."""
USAGE: Final = 2
"""Exit code for everything that the caller has to mend: arguments, files, a port in use."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 fine, 1 findings, 2 usage."""
    parser = argparse.ArgumentParser(
        prog="lockkeeper",
        description="Traffic control for Argo Workflows: what may run now, what waits, which locks it holds.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in COMMANDS:
        command = commands.add_parser(
            module.NAME,
            help=module.SUMMARY,
            description=module.SUMMARY,
            epilog=module.EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.configure(command)
        command.set_defaults(run=module.run)
    parsed = parser.parse_args(arguments)
    try:
        code: int = parsed.run(parsed)
        sys.stdout.flush()
    except UsageError as error:
        tell(str(error))
        return USAGE
    except PolicyErrors as errors:
        for each in errors.errors:
            tell(str(each))
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # The reader, `head` perhaps, has what it wanted.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


if __name__ == "__main__":
    sys.exit(main())
