"""Makes examples/history.json anew: the embedded mode plays examples/load.yaml under examples/policies.

`python examples/make_history.py` writes the file as `kubectl get wf -A -o json` would print it, shorter by
its blanks. The clock is virtual, so five days take a second; the same load gives the same file.
"""

import sys
from pathlib import Path
from typing import Final

import msgspec

from lockkeeper.assembly.policy_folder import load_once
from lockkeeper.embedded.virtual_play import VirtualPlay
from lockkeeper.histories.opening import open_history
from policy.core.objects.argo_version import DEFAULT_VERSION

HERE: Final = Path(__file__).parent


def history_text() -> bytes:
    """Return the file."""
    history = open_history(str(HERE / "load.yaml"), with_nodes=False, namespace="default")
    play = VirtualPlay(snapshot=load_once(HERE / "policies", DEFAULT_VERSION), begin=history.begin)
    play.play(history.runs())
    items = b",\n".join(msgspec.json.encode(each) for each in play.history())
    return b'{"apiVersion": "v1", "kind": "List", "items": [\n' + items + b"\n]}\n"


if __name__ == "__main__":
    sys.exit(0 if (HERE / "history.json").write_bytes(history_text()) else 1)
