"""Which cluster is spoken to, as kubectl decides it, and what is told where there is none."""

import json
from pathlib import Path
from typing import Any

import pytest

from policy.cluster.kube.kubeconfig import ClusterSettings, ClusterSettingsError, cluster_settings

POD = "10.0.0.1"


def _write(file: Path, *names: str, current: str = "", **cluster: str) -> Path:
    """Write a kubeconfig with a context of each name."""
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "clusters": [
            {"name": name, "cluster": {"server": f"https://{file.stem}", **cluster}} for name in names
        ],
        "users": [{"name": name, "user": {"token": "t"}} for name in names],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}} for name in names],
        "current-context": current,
    }
    file.write_text(json.dumps(content))
    return file


def _settings(
    folder: Path, context: str = "", kubeconfig: Path | None = None, **given: str
) -> ClusterSettings:
    return cluster_settings(kubeconfig, context, environment=given, home=folder)


def _servers(settings: ClusterSettings) -> dict[str, str]:
    config: dict[str, Any] = settings.config or {}
    return {each["name"]: each["cluster"]["server"] for each in config["clusters"]}


def _why(folder: Path, context: str = "", kubeconfig: Path | None = None, **given: str) -> str:
    with pytest.raises(ClusterSettingsError) as caught:
        _settings(folder, context, kubeconfig, **given)
    return str(caught.value)


def test_of_several_files_the_first_wins_name_by_name(tmp_path: Path) -> None:
    """As in kubectl: the current context too is that of the first file that has one."""
    first, second = _write(tmp_path / "1", "a"), _write(tmp_path / "2", "a", "b", current="b")
    third = _write(tmp_path / "3", "c", current="c")
    found = _settings(tmp_path, KUBECONFIG=f"{first}::{tmp_path}/gone:{second}:{third}")
    assert _servers(found) == {"a": "https://1", "b": "https://2", "c": "https://3"}
    assert (found.config or {})["current-context"] == "b"
    assert found.source == f"KUBECONFIG={first}:{second}:{third}"


def test_a_named_file_comes_before_the_environment_and_that_before_home(tmp_path: Path) -> None:
    """And the Pod comes last, as long as there is a file."""
    home = _write(tmp_path / ".kube" / "config", "h", current="h")
    named, other = _write(tmp_path / "n", "n", current="n"), _write(tmp_path / "e", "e", current="e")
    assert _settings(tmp_path, kubeconfig=named, KUBECONFIG=str(other)).source == str(named)
    assert (
        _settings(tmp_path, KUBECONFIG=str(other), KUBERNETES_SERVICE_HOST=POD).source
        == f"KUBECONFIG={other}"
    )
    assert _settings(tmp_path, KUBERNETES_SERVICE_HOST=POD).source == str(home)
    home.unlink()
    assert _settings(tmp_path, KUBERNETES_SERVICE_HOST=POD) == ClusterSettings(
        None, "the Pod's service account"
    )
    assert _settings(tmp_path, KUBECONFIG=f"{tmp_path}/gone", KUBERNETES_SERVICE_HOST=POD).config is None


def test_a_context_that_is_given_counts_in_place_of_the_current_one(tmp_path: Path) -> None:
    """One that is not there is told with those that are."""
    file = _write(tmp_path / "k", "a", "b", current="a")
    assert (_settings(tmp_path, "b", file).config or {})["current-context"] == "b"
    assert _why(tmp_path, "c", file).endswith(f'{file}: there is no context "c"; there are: a, b')
    assert "has no context c" in _why(tmp_path, "c", KUBERNETES_SERVICE_HOST=POD)


def test_paths_are_those_of_the_file_that_they_stand_in(tmp_path: Path) -> None:
    """Files of several folders are merged, and the command may run in a third."""
    absolute = {"certificate-authority": "ca.crt"}
    found = _settings(tmp_path, kubeconfig=_write(tmp_path / "sub" / "k", "a", current="a", **absolute))
    config: dict[str, Any] = found.config or {}
    assert config["clusters"][0]["cluster"]["certificate-authority"] == f"{tmp_path}/sub/ca.crt"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no current-context is set: give --context; there are: none"),
        (b"- a", "is no kubeconfig: it is not a map"),
        (b"a: [", "is no kubeconfig: it is not YAML"),
        (b"\xff\xfe\x00", "is no kubeconfig: it is not YAML"),
        (b"clusters: {a: b}", "is no kubeconfig: clusters is not a list of entries with names"),
        (b"users: [1]", "is no kubeconfig: users is not a list of entries with names"),
        (
            b"contexts: [{name: a, context: {cluster: b}}]\ncurrent-context: a",
            'the cluster of the context "a" is not in it',
        ),
        (b"contexts: [{name: a}]\ncurrent-context: a", 'the cluster of the context "a" is not in it'),
        (
            (
                b"clusters: [{name: b}]\ncontexts: [{name: a, context: {cluster: b, user: u}}]\n"
                b"current-context: a"
            ),
            'the user of the context "a" is not in it',
        ),
    ],
)
def test_a_file_that_is_no_kubeconfig_is_told_with_its_name(tmp_path: Path, content: bytes, why: str) -> None:
    """In one line, and never by an error of the client's."""
    file = tmp_path / "k"
    file.write_bytes(content)
    told = _why(tmp_path, kubeconfig=file)
    assert (told.endswith(why), str(file) in told, "\n" in told) == (True, True, False)


def test_without_any_file_the_one_that_was_looked_at_is_named(tmp_path: Path) -> None:
    """With what to do."""
    assert _why(tmp_path) == (
        f"no cluster can be reached with the settings of {tmp_path}/.kube/config: there is no such file; "
        "give --kubeconfig FILE or set KUBECONFIG"
    )
    assert f"KUBECONFIG={tmp_path}/a:{tmp_path}/b" in _why(tmp_path, KUBECONFIG=f"{tmp_path}/a:{tmp_path}/b")
    assert _why(tmp_path, kubeconfig=tmp_path / "x").endswith("/x: there is no such file")


@pytest.mark.parametrize(
    ("more", "scheme"),
    [
        ({}, "http"),
        ({"certificate-authority-data": "eA=="}, "https"),
        ({"insecure-skip-tls-verify": "y"}, "https"),
    ],
)
def test_an_address_without_a_scheme_is_one_of_kubectl(
    tmp_path: Path, more: dict[str, str], scheme: str
) -> None:
    """With what is said about TLS it is https."""
    file = _write(tmp_path / "k", "a", current="a", **more)
    file.write_text(file.read_text().replace("https://k", "cluster:6443"))
    assert _servers(_settings(tmp_path, kubeconfig=file)) == {"a": f"{scheme}://cluster:6443"}
