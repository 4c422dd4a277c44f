"""The command line: `lockkeeper COMMAND`. What commands there are is in `lockkeeper.cli.commands`.

Ctrl-C ends a command with one line and 130, whatever it is at: an import that is interrupted leaves modules
half made, and errors that nobody foresaw.
"""

import argparse
import errno
import os
import signal
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from threading import current_thread, main_thread
from types import FrameType
from typing import Final, NoReturn

from lockkeeper.cli.commands import COMMANDS
from lockkeeper.process.console import UsageError, print_message, reason_of, write_to_nobody

_INTERRUPTED: Final = 130
"""Exit code after Ctrl-C, as a shell gives it."""
_INTERRUPTED_LINE: Final = b"lockkeeper: interrupted\n"
_LASTING: Final = frozenset({"run", "serve", "controller", "web"})
"""Commands that Ctrl-C ends as they should end: these say so themselves."""
_USAGE: Final = 2
"""Exit code for everything that the caller has to correct: arguments, files, a port in use."""

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Errors of a disk that takes no more output."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 fine, 1 findings, 2 usage, 130 interrupted."""
    interrupts = _Interrupts()
    try:
        return _main(sys.argv[1:] if arguments is None else arguments, interrupts)
    except BaseException:
        if not interrupts.came:
            raise
    finally:
        interrupts.end()
    return _INTERRUPTED


class _Interrupts:
    """What Ctrl-C does: before a command runs it ends the process, later it is an exception."""

    def __init__(self) -> None:
        self.came = False
        self._quiet = False
        self._handles = current_thread() is main_thread()
        self._before = signal.getsignal(signal.SIGINT)
        if self._handles:
            signal.signal(signal.SIGINT, self._exit)

    def begin(self, command: str) -> None:
        """Let Ctrl-C be an exception, so that what the command has opened is closed."""
        self._quiet = command in _LASTING
        if self._handles:
            signal.signal(signal.SIGINT, self._raise)

    def end(self) -> None:
        """Let Ctrl-C do what it did before."""
        if self._handles:
            signal.signal(signal.SIGINT, self._before)

    def _exit(self, number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG002 - a handler of signals
        os.write(2, _INTERRUPTED_LINE)
        os._exit(_INTERRUPTED)

    def _raise(self, number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG002 - a handler of signals
        if not self.came and not self._quiet:
            os.write(2, _INTERRUPTED_LINE)
        self.came = True
        raise KeyboardInterrupt


def _main(arguments: Sequence[str], interrupts: _Interrupts) -> int:
    _prepare_output()
    words = _usual_words(arguments)
    try:
        code = _run(words, interrupts)
        sys.stdout.flush()
    except BrokenPipeError:  # The reader, such as `head`, has read enough.
        write_to_nobody(sys.stdout, sys.stderr)
        return 0
    except OSError as error:
        if error.errno not in _FULL:
            raise
        write_to_nobody(sys.stdout)
        print_message(f"the output cannot be written: {reason_of(error)}")
        return _USAGE
    return code


def _run(words: Sequence[str], interrupts: _Interrupts) -> int:
    try:
        _check_command(words)
        parsed = _parser(words).parse_args(words)
        interrupts.begin(words[0])
        code: int = parsed.run(parsed)
    except UsageError as error:
        for line in error.lines:
            print_message(line)
        return _USAGE
    return code


def _usual_words(words: Sequence[str]) -> Sequence[str]:
    """Return a command line with what users of other tools write in its usual form."""
    match words:
        case ["--version", *_]:
            return ["version"]
        case ["help", *rest]:
            return [*rest[:1], "--help"]
        case _:
            return words


def _check_command(words: Sequence[str]) -> None:
    """Check that the first word is a command.

    Raises:
        UsageError: it is none; the nearest is named.
    """
    names = [each.name for each in COMMANDS]
    if not words or words[0].startswith("-") or words[0] in names:
        return
    from policy.sources.schema_check import did_you_mean  # noqa: PLC0415 - a right command starts without it

    hint = did_you_mean(words[0], names)
    raise UsageError(f"there is no command {words[0]}{hint}; lockkeeper --help lists them")


def _prepare_output() -> None:
    """Let everything be written: names of any script on any terminal, and to nobody where it is closed.

    What programs read is UTF-8 wherever it goes.
    """
    if sys.stdout is None:  # The caller closed it.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - it lasts as long as we do
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="replace")


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser of a command line: all commands by name, and only those that it has by import."""
    parser = argparse.ArgumentParser(
        prog="lockkeeper",
        description="Traffic control for Argo Workflows: what may run now, what waits, which locks it holds.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    whole = words[:1] == ["completion"]
    for each in COMMANDS:
        command = commands.add_parser(
            each.name,
            help=each.summary,
            description=each.summary,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if whole or each.name in words:
            module = each.load()
            command.epilog = module.EXAMPLES
            module.configure(command)
            command.set_defaults(run=module.run)
    if whole:
        parser.set_defaults(whole=parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
