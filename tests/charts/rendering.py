"""What `helm template` makes of the chart, decoded as far as the tests look at it."""

import subprocess
import tomllib
from typing import Final, TypeVar

import msgspec
import yaml

from policy.core.objects.json_patch import JsonObject, JsonValue
from tests.e2e.building import ROOT
from tests.e2e.helm import Helm

CHART: Final = ROOT / "charts" / "lockkeeper"
VERSION: Final[str] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "version"
]
"""The program's; the chart has the same."""
RELEASE: Final = "lockkeeper"
NAMESPACE: Final = "traffic"
WITHOUT_CRDS: Final = "crds.install=false"
"""For nearly all tests: the CRDs are the greater part of the text, and no value changes them."""
EVERYTHING: Final = (
    WITHOUT_CRDS,
    "networkPolicy.enabled=true",
    "metrics.serviceMonitor.enabled=true",
    "metrics.prometheusRule.enabled=true",
    "page.enabled=true",
)
MODES: Final = {
    "builtIn": (),
    "certManager": ("certificates.mode=certManager",),
    "secret": ("certificates.mode=secret", "certificates.secret.name=my-tls"),
}
"""What has to be set for each way to come by a certificate."""

Wanted = TypeVar("Wanted")


class Metadata(msgspec.Struct, frozen=True):
    """The metadata that tests look at."""

    name: str
    namespace: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class Manifest(msgspec.Struct, frozen=True):
    """One rendered object; `body` is all of it."""

    kind: str
    api_version: str
    metadata: Metadata
    body: JsonObject

    @property
    def id(self) -> str:
        """Kind and name, as kubectl writes them."""
        return f"{self.kind}/{self.metadata.name}"

    def read(self, wanted: type[Wanted], *path: str) -> Wanted:
        """Return what lies at a path of fields, decoded."""
        found: JsonValue = self.body
        for field in path:
            assert isinstance(found, dict), f"{self.id}: nothing has a field {field}"
            found = found[field]
        return msgspec.convert(found, wanted)


class Head(msgspec.Struct, frozen=True, rename="camel"):
    """What every object begins with."""

    kind: str
    api_version: str
    metadata: Metadata


class Rendered(msgspec.Struct, frozen=True):
    """The objects of one rendering, and the text they were read from."""

    text: str
    manifests: tuple[Manifest, ...]

    def all(self, *kinds: str) -> list[Manifest]:
        """Return the objects of these kinds."""
        return [each for each in self.manifests if each.kind in kinds]

    def one(self, kind: str, name: str = "") -> Manifest:
        """Return the object of this kind, and of this name where it is given."""
        (found,) = [each for each in self.all(kind) if name in {"", each.metadata.name}]
        return found


class Chart:
    """The chart through one helm; what was rendered once is kept."""

    def __init__(self, *, helm: Helm) -> None:
        self._helm = helm
        self._kept: dict[tuple[str, ...], Rendered] = {}

    def rendered(
        self,
        *settings: str,
        release: str = RELEASE,
        namespace: str = NAMESPACE,
        values: str = "",
    ) -> Rendered:
        """Return what these settings give; each is `key=value`, as for --set. It has to succeed."""
        key = (release, namespace, values, *settings)
        if key not in self._kept:
            done = self.attempt(*settings, release=release, namespace=namespace, values=values)
            assert done.returncode == 0, done.stderr
            self._kept[key] = _decode(done.stdout)
        return self._kept[key]

    def attempt(
        self, *settings: str, release: str = RELEASE, namespace: str = NAMESPACE, values: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Render, and return what became of it; `values` is the text of a values file."""
        command = ["template", release, str(CHART), f"--namespace={namespace}"]
        if values:
            command.append("--values=-")
        return self._helm.run(*command, *(f"--set={each}" for each in settings), text=values)

    def lint(self) -> subprocess.CompletedProcess[str]:
        """Have helm check the chart, strictly, and return what became of it."""
        return self._helm.run("lint", "--strict", str(CHART), f"--namespace={NAMESPACE}")


def _decode(text: str) -> Rendered:
    bodies = [body for body in yaml.load_all(text, Loader=yaml.CSafeLoader) if body]
    heads = [msgspec.convert(body, Head) for body in bodies]
    return Rendered(
        text,
        tuple(
            Manifest(head.kind, head.api_version, head.metadata, body)
            for head, body in zip(heads, bodies, strict=True)
        ),
    )
