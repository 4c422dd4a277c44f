"""What options of commands of every sort share: how a value is read, and the format of what is printed."""

import argparse
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


def option_type(read: Callable[[str], Value]) -> Callable[[str], Value]:
    """Return the `type` of an option that is read so; argparse shows the text of its ValueErrors."""

    def read_value(text: str) -> Value:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read_value


def add_output(parser: argparse.ArgumentParser, *formats: str, text: str = "format") -> None:
    """Add `--output`: a table, or one of the other formats."""
    parser.add_argument(
        "-o", "--output", choices=("table", *formats), default="table", help=f"{text} (default %(default)s)"
    )
