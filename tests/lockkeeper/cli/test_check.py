"""`lockkeeper check` where there is no cluster: one clear line, and the exit code of usage."""

import json
import socket
from pathlib import Path

from tests.lockkeeper.commands import Lockkeeper


def kubeconfig_to(port: int, folder: Path) -> Path:
    """Return a kubeconfig that leads to a port of this machine."""
    path = folder / "kubeconfig"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"https://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(json.dumps(content))
    return path


def test_outside_of_a_cluster_it_asks_for_a_kubeconfig(lockkeeper: Lockkeeper) -> None:
    """Exit code 2: nothing was found out."""
    finished = lockkeeper("check")
    assert (finished.code, finished.out) == (2, "")
    assert finished.err == (
        f"lockkeeper: no cluster can be reached with the settings of {lockkeeper.home}/.kube/config: "
        "there is no such file; give --kubeconfig FILE or set KUBECONFIG\n"
    )
    assert finished.err.count("\n") == 1


def test_a_cluster_that_does_not_answer_is_one_clear_line(lockkeeper: Lockkeeper, tmp_path: Path) -> None:
    """And not twenty findings about an installation that may be in the best of health."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # Bound and not listening: nobody else gets the port, and it refuses.
        port = free.getsockname()[1]
        kubeconfig = kubeconfig_to(port, tmp_path)
        finished = lockkeeper("check", "--kubeconfig", kubeconfig)
    assert (finished.code, finished.out) == (2, "")
    assert finished.err == (
        f"lockkeeper: the API server https://127.0.0.1:{port} (from {kubeconfig}) cannot be reached: "
        "connection refused\n"
    )
