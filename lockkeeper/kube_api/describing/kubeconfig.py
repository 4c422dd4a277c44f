"""The kubeconfig that leads kubectl and our own commands to the API."""

import base64
import os
from pathlib import Path

import yaml


def write_kubeconfig(path: Path, *, url: str, authority: bytes, namespace: str) -> None:
    """Write a kubeconfig, readable by its owner alone; its folder is made."""
    name = "lockkeeper-run"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": name,
                "cluster": {
                    "server": url,
                    "certificate-authority-data": base64.b64encode(authority).decode(),
                },
            }
        ],
        "users": [{"name": "you", "user": {"token": "lockkeeper-run-has-no-access-control"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": "you", "namespace": namespace}}],
        "current-context": name,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        yaml.safe_dump(content, file, sort_keys=False)
