"""The examples, read once, and what the webhook makes of them under the tests' policies."""

from collections.abc import Iterator
from pathlib import Path

import jsonpatch
import msgspec
import pytest
import yaml

from policy.core.decision.decision import Decision
from tests.corpus.expecting import POLICIES
from tests.corpus.schema import Crd
from tests.webhook.calling import Webhook
from tests.webhook.oracle import Json, patch_of


class Example(msgspec.Struct, frozen=True):
    """One document of the corpus."""

    file: str
    obj: Json

    @property
    def kind(self) -> str:
        """What it is."""
        return str(self.obj["kind"])

    @property
    def where(self) -> str:
        """Its file and name, for messages."""
        metadata = self.obj["metadata"]
        return f"{self.file} {metadata.get('name') or metadata.get('generateName')}"


class Reviewed(msgspec.Struct, frozen=True):
    """An example after its mutating review."""

    example: Example
    uid: str
    response: Json
    decision: Decision
    changed: Json


@pytest.fixture(scope="session")
def documents(corpus: Path) -> tuple[Example, ...]:
    """Return every document of every example file."""
    folder = corpus / "examples"
    return tuple(
        Example(str(file.relative_to(folder)), document)
        for file in sorted(folder.rglob("*.yaml"))
        for document in yaml.load_all(file.read_bytes(), Loader=yaml.CSafeLoader)
        if document is not None
    )


@pytest.fixture(scope="session")
def workflows(documents: tuple[Example, ...]) -> tuple[Example, ...]:
    """Return the Workflows."""
    return tuple(each for each in documents if each.kind == "Workflow")


@pytest.fixture(scope="session")
def crd(corpus: Path) -> Crd:
    """Return the full schema of Workflows."""
    return Crd(corpus / "crds" / "full" / "argoproj.io_workflows.yaml")


@pytest.fixture(scope="session")
def minimal_crd(corpus: Path) -> Crd:
    """Return the minimal schema of Workflows, with which most clusters run."""
    return Crd(corpus / "crds" / "minimal" / "argoproj.io_workflows.yaml")


@pytest.fixture(scope="session")
def governed() -> Webhook:
    """Return a webhook with policies that touch most examples."""
    return Webhook(POLICIES)


def mutate(webhook: Webhook, examples: tuple[Example, ...]) -> Iterator[Reviewed]:
    """Send examples to the mutating side, each under a uid of its own."""
    for number, example in enumerate(examples):
        uid = f"create-{number}"
        response = webhook.mutate(example.obj, uid=uid)
        changed: Json = jsonpatch.apply_patch(example.obj, patch_of(response))
        yield Reviewed(example, uid, response, webhook.decisions[-1], changed)


@pytest.fixture(scope="session")
def reviewed(governed: Webhook, workflows: tuple[Example, ...]) -> tuple[Reviewed, ...]:
    """Return all Workflows after the mutating side under those policies."""
    return tuple(mutate(governed, workflows))
