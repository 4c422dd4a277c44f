"""Which cluster a process speaks to: by kubeconfig files, merged as kubectl merges them, or by its Pod.

The order is kubectl's: a file that is named, the files of KUBECONFIG, `~/.kube/config`, and where there is
none of them the service account of the Pod.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import msgspec
import yaml

_Config: TypeAlias = dict[str, object]
_LISTS: Final = ("clusters", "contexts", "users")
_CURRENT: Final = "current-context"
_PATHS: Final = {
    "clusters": ("cluster", ("certificate-authority",)),
    "users": ("user", ("client-certificate", "client-key", "tokenFile")),
}
"""Fields with paths, which are relative to the file that they stand in."""
_SECURE: Final = ("certificate-authority", "certificate-authority-data", "insecure-skip-tls-verify")
"""Fields of a cluster with which kubectl takes an address without a scheme for one of https."""
_POD_SERVICE: Final = "KUBERNETES_SERVICE_HOST"


class ClusterSettingsError(Exception):
    """The settings that lead to a cluster cannot be used; `source` is where they are from."""

    def __init__(self, source: str, why: str) -> None:
        super().__init__(source, why)
        self.source = source
        self.why = why

    def __str__(self) -> str:
        return f"no cluster can be reached with the settings of {self.source}: {self.why}"


class ClusterSettings(msgspec.Struct, frozen=True):
    """The merged files with their current context, or None for the Pod's own; `source` names them."""

    config: _Config | None
    source: str

    @property
    def namespace(self) -> str:
        """The namespace of the current context, "" where it names none."""
        contexts = (self.config or {}).get("contexts")
        for each in contexts if isinstance(contexts, list) else []:
            inner = each.get("context") if isinstance(each, dict) else None
            if isinstance(inner, dict) and each.get("name") == (self.config or {}).get(_CURRENT):
                return str(inner.get("namespace") or "")
        return ""

    def without_user(self) -> "ClusterSettings":
        """Return the settings that lead to the same cluster with nobody's credentials."""
        if self.config is None:
            return self
        users = self.config.get("users")
        nobody: list[_Config] = [
            {"name": each.get("name"), "user": {}}
            for each in (users if isinstance(users, list) else ())
            if isinstance(each, dict)
        ]
        return ClusterSettings({**self.config, "users": nobody}, self.source)


def cluster_settings(
    kubeconfig: Path | None, context: str, *, environment: Mapping[str, str], home: Path
) -> ClusterSettings:
    """Return the settings; a context that is given counts in place of the current one.

    Raises:
        ClusterSettingsError: there are none, or they are wrong.
    """
    if kubeconfig is not None:
        return _of_files([kubeconfig], context, str(kubeconfig))
    named = [Path(part).expanduser() for part in environment.get("KUBECONFIG", "").split(os.pathsep) if part]
    usual = home / ".kube" / "config"
    files = [file for file in named or [usual] if _is_there(file)]
    if files:
        shown = os.pathsep.join(map(str, files))
        return _of_files(files, context, f"KUBECONFIG={shown}" if named else shown)
    if environment.get(_POD_SERVICE):
        if context:
            raise ClusterSettingsError("the Pod's service account", f"it has no context {context}")
        return ClusterSettings(None, "the Pod's service account")
    if named:
        raise ClusterSettingsError(f"KUBECONFIG={os.pathsep.join(map(str, named))}", "there is no such file")
    raise ClusterSettingsError(str(usual), "there is no such file; give --kubeconfig FILE or set KUBECONFIG")


def _is_there(file: Path) -> bool:
    """Return whether there is such a file; one that may not be looked at is, and reading it says why not."""
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _of_files(files: Sequence[Path], context: str, source: str) -> ClusterSettings:
    merged: _Config = {"apiVersion": "v1", "kind": "Config"}
    found: dict[str, dict[str, _Config]] = {name: {} for name in _LISTS}
    for file in files:
        content = _read(file, source)
        if not merged.get(_CURRENT) and isinstance(content.get(_CURRENT), str):
            merged[_CURRENT] = content[_CURRENT]
        for name in _LISTS:
            for entry in _entries(content, name, file, source):
                # The first file that has a name wins, as in kubectl.
                found[name].setdefault(str(entry["name"]), _with_paths(entry, name, file.parent))
    merged.update({name: list(entries.values()) for name, entries in found.items()})
    if context:
        merged[_CURRENT] = context
    _check_context(str(merged.get(_CURRENT) or ""), found, source)
    return ClusterSettings(merged, source)


def _check_context(context: str, found: Mapping[str, Mapping[str, _Config]], source: str) -> None:
    """Refuse a context that leads nowhere, and say which there are."""
    known = ", ".join(found["contexts"]) or "none"
    if not context:
        raise ClusterSettingsError(source, f"no current-context is set: give --context; there are: {known}")
    entry = found["contexts"].get(context)
    if entry is None:
        raise ClusterSettingsError(source, f'there is no context "{context}"; there are: {known}')
    inner = entry.get("context")
    if not isinstance(inner, dict) or inner.get("cluster") not in found["clusters"]:
        raise ClusterSettingsError(source, f'the cluster of the context "{context}" is not in it')
    if inner.get("user") and inner["user"] not in found["users"]:
        raise ClusterSettingsError(source, f'the user of the context "{context}" is not in it')


def _read(file: Path, source: str) -> _Config:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ClusterSettingsError(source, "there is no such file") from error
    except OSError as error:
        raise ClusterSettingsError(source, f"{file} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ClusterSettingsError(source, f"{file} is no kubeconfig: it is not YAML") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ClusterSettingsError(source, f"{file} is no kubeconfig: it is not a map")
    return content


def _entries(content: _Config, name: str, file: Path, source: str) -> list[_Config]:
    entries = content.get(name) or []
    if isinstance(entries, list) and all(isinstance(each, dict) and "name" in each for each in entries):
        return entries
    raise ClusterSettingsError(source, f"{file} is no kubeconfig: {name} is not a list of entries with names")


def _with_paths(entry: _Config, name: str, folder: Path) -> _Config:
    """Return an entry whose paths lead to the same files from everywhere."""
    part, fields = _PATHS.get(name, ("", ()))
    inner = entry.get(part)
    if not isinstance(inner, dict):
        return entry
    server = inner.get("server")
    if name == "clusters" and isinstance(server, str) and "://" not in server:
        inner = {**inner, "server": f"{'https' if any(map(inner.get, _SECURE)) else 'http'}://{server}"}
    changed = {**inner, **{key: _path(inner[key], folder) for key in fields if inner.get(key)}}
    plugin = inner.get("exec")
    if isinstance(plugin, dict) and "/" in str(plugin.get("command")):
        changed["exec"] = {**plugin, "command": _path(plugin["command"], folder)}
    return {**entry, part: changed}


def _path(value: object, folder: Path) -> str:
    return str(folder.absolute() / str(value))
