"""The commands of docs/install.md that nobody tries before the day he needs them."""

import os
import subprocess
from collections.abc import Iterator
from typing import Final

import msgspec
import pytest

from policy.cluster.protocol import WORKFLOWS
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.workflow import Metadata
from tests.e2e.building import ROOT
from tests.e2e.charted import CHART, GOVERNED, Release, Site, chart_site
from tests.e2e.helm import VERSIONS
from tests.patience import PATIENCE

pytestmark = pytest.mark.e2e

MANUAL: Final = ROOT / "docs" / "install.md"
KINDS: Final = tuple((CHART / "files" / "crds").iterdir())


class Found(msgspec.Struct, frozen=True):
    """An object's metadata."""

    metadata: Metadata


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Give the control plane."""
    with chart_site(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def held(site: Site) -> Iterator[dict[str, str | None]]:
    """Give Workflows that are held in two namespaces, and which instance id each had before."""
    instances: dict[str, str | None] = {"plain": None, "of-an-instance": "prod"}
    for name, instance in instances.items():
        annotations = {
            well_known.HOLDS: "1",
            **({well_known.ORIGINAL_INSTANCE_ID: instance} if instance else {}),
        }
        metadata: JsonObject = {
            "name": name,
            "labels": {well_known.INSTANCE_ID: well_known.HOLD_VALUE},
            "annotations": dict(annotations),
        }
        for namespace in (GOVERNED, "default"):
            workflow: JsonObject = {
                "apiVersion": WORKFLOWS.api_version,
                "kind": WORKFLOWS.kind,
                "metadata": dict(metadata),
                "spec": {"entrypoint": "main"},
            }
            site.cluster.create(WORKFLOWS, workflow, namespace=namespace)
    yield instances
    for name in instances:
        for namespace in (GOVERNED, "default"):
            site.cluster.delete(WORKFLOWS, name, namespace=namespace)


def block(words: str) -> str:
    """Return the one block of commands in the manual that has these words."""
    blocks = [part.partition("\n```")[0] for part in MANUAL.read_text(encoding="utf-8").split("```sh\n")[1:]]
    (found,) = [each for each in blocks if words in each]
    return found


def perform(site: Site, commands: str) -> str:
    """Run commands of the manual in a shell, and return what they print; they have to succeed."""
    environment = {
        **os.environ,
        "PATH": f"{site.kubectl_program.parent}:{os.environ['PATH']}",
        "KUBECONFIG": str(site.plane.kubeconfig),
        "HOME": str(site.folder),
    }
    done = subprocess.run(  # noqa: S603 - our own manual
        ["/bin/sh", "-euc", commands],
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * PATIENCE,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def instance_ids(site: Site, name: str) -> set[str | None]:
    """Return the instance ids of the Workflows of a name."""
    found = [
        msgspec.convert(site.cluster.get(WORKFLOWS, name, namespace=namespace), Found).metadata
        for namespace in (GOVERNED, "default")
    ]
    return {(each.labels or {}).get(well_known.INSTANCE_ID) for each in found}


def test_one_line_lets_all_held_workflows_go(site: Site, held: dict[str, str | None]) -> None:
    """Without instance ids, which few have, no Workflow needs one back."""
    perform(site, block("kubectl label workflows -A"))
    assert {name: instance_ids(site, name) for name in held} == {name: {None} for name in held}


def test_the_longer_command_gives_each_workflow_its_instance_back(
    site: Site, held: dict[str, str | None]
) -> None:
    """Another controller would run it otherwise, or none."""
    perform(site, block("original-instanceid"))
    assert {name: instance_ids(site, name) for name in held} == {name: {held[name]} for name in held}


def test_the_line_for_an_emergency_removes_both_configurations(site: Site) -> None:
    """It is typed under pressure."""
    release = Release(site.helm(VERSIONS[-1]))
    release.install()
    said = perform(site, block("kubectl delete validatingwebhookconfiguration,mutating"))
    assert said.count(" deleted") == 2
    release.uninstall()


def test_the_kinds_can_be_removed_after_all(site: Site) -> None:
    """The line stands in a table, where a bar has to be escaped.

    An API server may not get rid of a kind for a minute whose storage was still opening; here they are new.
    """
    site.kubectl.said("get", "wfq,cwfq,sp,csp,wfql,runlengths", "-A")
    lines = MANUAL.read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in lines if "xargs kubectl delete" in line]
    commands = line.split("`")[1].replace("\\|", "|")
    said = perform(site, commands)
    assert said.count("lockkeeper.dev") == len(KINDS)
    assert "lockkeeper.dev" not in site.kubectl.said("get", "crd", "-o", "name")
