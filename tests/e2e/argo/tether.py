"""Runs a command that knows nothing of these tests, and ends it when standard input is closed.

python -m tests.e2e.argo.tether COMMAND [ARGUMENT...]
"""

import os
import subprocess
import sys
from threading import Thread


def main() -> int:
    """Run the command and return its exit code."""
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)  # noqa: S603 - what the caller asks for

    def end_with_parent() -> None:
        while os.read(sys.stdin.fileno(), 1024):
            continue
        child.terminate()

    Thread(target=end_with_parent, daemon=True).start()
    return child.wait()


if __name__ == "__main__":
    sys.exit(main())
