"""All of Argo's example files through `kubectl create`: before the installation, ungoverned, and governed.

The double plays Argo here, also where there is a real one: that would need the images of the examples.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import pytest

from policy.cluster.protocol import WORKFLOWS
from policy.core.objects import well_known
from policy.core.objects.workflow import Metadata
from tests.e2e.argo.installing import workflow_controller
from tests.e2e.installed import Installed, running_site
from tests.e2e.manifests import quota
from tests.e2e.product import until
from tests.e2e.replicas import ASKING
from tests.e2e.submitting import complaints, govern

pytestmark = [pytest.mark.e2e, ASKING]

FILES: Final = 217
LAST: Final = "workflow-count-resourcequota.yaml"
"""Allows a hundred Workflows in its namespace, some time after it was created: so it is created last."""
LIMIT: Final = 30
TASK_SECONDS: Final = 0.05


class Submitted(msgspec.Struct, frozen=True):
    """What `kubectl create` made of the examples: how many of each kind, and its complaints."""

    created: Counter[str]
    complaints: str


class Seen(msgspec.Struct, frozen=True):
    """The part of a Workflow that the tests look at."""

    metadata: Metadata
    status: dict[str, object] = {}

    @property
    def held(self) -> bool:
        return (self.metadata.labels or {}).get(well_known.INSTANCE_ID) == well_known.HOLD_VALUE

    @property
    def completed(self) -> bool:
        return (self.metadata.labels or {}).get(well_known.COMPLETED) == "true"

    @property
    def governed(self) -> bool:
        return well_known.TASKS in (self.metadata.annotations or {})


@pytest.fixture(scope="module")
def examples(corpus: Path) -> list[Path]:
    """Return the files of the examples, in the order in which they are created."""
    files = [file for file in (corpus / "examples").rglob("*") if file.is_file()]
    assert len(files) == FILES
    return sorted(files, key=lambda file: (file.name == LAST, file))


@pytest.fixture(scope="module")
def site(examples: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """Give a cluster on which nothing of ours is installed yet."""
    assert examples  # Where they are missing nothing has to be started.
    with running_site(tmp_path_factory.mktemp("installation")) as site:
        yield site


@pytest.fixture(scope="module")
def without_us(site: Installed, examples: list[Path]) -> Submitted:
    """Return what becomes of the examples on a cluster that has Argo's kinds and not us."""
    return submit(site, "before", examples)


@pytest.fixture(scope="module")
def installed(site: Installed, without_us: Submitted) -> Installed:
    """Give the installation."""
    assert without_us.created
    site.release.install()
    site.ready()
    return site


def submit(site: Installed, namespace: str, examples: list[Path], policy: str = "") -> Submitted:
    """Create all examples in a new namespace with one kubectl; templates of the whole cluster go again."""
    kubectl = site.site.kubectl
    site.namespace(namespace)
    if policy:
        govern(site, namespace, policy)
    done = kubectl.run("create", "-n", namespace, *(f"--filename={file}" for file in examples))
    kubectl.said("delete", "clusterworkflowtemplates", "--all")
    kinds = Counter(line.partition("/")[0] for line in done.stdout.splitlines())
    return Submitted(kinds, complaints(done.stderr))


def seen(site: Installed, namespace: str) -> list[Seen]:
    """Return the Workflows of a namespace."""
    found = site.cluster.list(WORKFLOWS, namespace=namespace).items
    return [msgspec.convert(each, Seen) for each in found]


def test_without_us_all_files_but_two_are_created(without_us: Submitted) -> None:
    """These two break rules of Kubernetes itself, and so are nobody's loss."""
    refused = [
        line.partition("/examples/")[2].partition('"')[0] for line in without_us.complaints.splitlines()
    ]
    assert refused == ["fun-with-gifs.yaml", "k8s-jobs.yaml"]
    assert without_us.created["workflow.argoproj.io"] == 197
    assert without_us.created.total() == 226


def test_ungoverned_all_of_them_are_created_as_before(
    installed: Installed, examples: list[Path], without_us: Submitted
) -> None:
    """Being asked about is not being in the way, and nothing of ours is on any of them."""
    assert submit(installed, "free", examples) == without_us
    assert not any(each.held or each.governed for each in seen(installed, "free"))


def test_governed_all_of_them_are_created_and_follow_in_turn_to_the_end(
    installed: Installed, examples: list[Path], without_us: Submitted, tmp_path: Path
) -> None:
    """Each is counted, never more than the limit run at once, and all are finished in the end.

    What is new are warnings alone.
    """
    policy = quota(limits={"workflows": LIMIT}, perWorkflow={"defaultTasks": 5})
    submitted = submit(installed, "governed", examples, policy)
    lines = submitted.complaints.splitlines(keepends=True)
    warnings = [line for line in lines if line.startswith("Warning: lockkeeper: ")]
    assert len(warnings) == 2, "two examples wait for a Workflow that they create, under one limit with it"
    assert all("Workflow that it creates" in each and "setOwnerReference: true" in each for each in warnings)
    others = "".join(line for line in lines if line not in warnings)
    assert msgspec.structs.replace(submitted, complaints=others) == without_us
    created = seen(installed, "governed")
    assert len(created) == 197
    assert all(each.governed for each in created)
    until(lambda: running(installed) == LIMIT, "the first ones are not let go")
    for namespace in ("before", "free"):
        installed.site.kubectl.said("delete", "workflows", "--all", "-n", namespace, "--wait=false")
    with workflow_controller(
        installed.site.plane, installed.cluster, tmp_path, finish_after=TASK_SECONDS, environment={}
    ) as argo:
        until(lambda: finished(installed), f"some are never finished; {argo.log}")


def running(site: Installed) -> int:
    """Return how many run now; never more than the limit."""
    now = sum(not each.held and not each.completed for each in seen(site, "governed"))
    assert now <= LIMIT
    return now


def finished(site: Installed) -> bool:
    """Tell whether all are finished; on the way there, never more than the limit run."""
    running(site)
    return all(each.completed for each in seen(site, "governed"))
