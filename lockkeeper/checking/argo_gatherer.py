"""Gathers what is known of the Argo beside an installation."""

from collections.abc import Iterable
from typing import Final

import msgspec

from lockkeeper.checking.facts import CRDS, ArgoController, ArgoFacts, OtherConfiguration, UnreadObject
from lockkeeper.checking.reads import attempt, right
from lockkeeper.process.kubernetes_objects import DEPLOYMENTS, MUTATING, Deployment, NamespacedName
from policy.cluster.protocol import WORKFLOWS, Cluster
from policy.core.objects.identities import SERVICE_ACCOUNT, UPSTREAM

_ACCOUNT: Final = "--argo-controller-account="
_DEPLOYMENT: Final = "--argo-deployment="
_CONTROLLER: Final = "workflow-controller"
_CRD: Final = f"{WORKFLOWS.plural}.{WORKFLOWS.group}"


class _Schema(msgspec.Struct, frozen=True):
    """A schema, as far as it shows whether the fields of a spec are listed."""

    properties: dict[str, "_Schema"] = {}


class _VersionSchema(msgspec.Struct, frozen=True, rename={"schema": "openAPIV3Schema"}):
    """The schema of one version of a CRD."""

    schema: _Schema = _Schema()


class _CrdVersion(msgspec.Struct, frozen=True):
    """One version of a CRD."""

    schema: _VersionSchema = _VersionSchema()


class _CrdSpec(msgspec.Struct, frozen=True):
    """The versions of a CRD."""

    versions: tuple[_CrdVersion, ...] = ()


class _Crd(msgspec.Struct, frozen=True):
    """A CRD."""

    spec: _CrdSpec = _CrdSpec()

    @property
    def lists_fields(self) -> bool:
        """Whether it lists the fields of a spec; the minimal form lets all through."""
        roots = [each.schema.schema.properties for each in self.spec.versions]
        return any("spec" in root and bool(root["spec"].properties) for root in roots)


class ArgoGatherer(msgspec.Struct, frozen=True, kw_only=True):
    """Reads about the Argo of one installation, release `name` in `namespace`."""

    cluster: Cluster
    namespace: str
    name: str

    def gather(self) -> ArgoFacts:
        """Return what is known."""
        options = self._options()
        accounts = [each.removeprefix(_ACCOUNT) for each in options if each.startswith(_ACCOUNT)]
        if not accounts:
            accounts = [each.removeprefix(SERVICE_ACCOUNT) for each in sorted(UPSTREAM.argo_controllers)]
        deployment = _deployment(options, accounts)
        return ArgoFacts(
            deployment=deployment,
            accounts=tuple(accounts),
            controller=self._controller(deployment),
            full_crd=attempt(
                lambda: msgspec.convert(self.cluster.get(CRDS, _CRD), _Crd).lists_fields,
                right("get", CRDS, name=_CRD),
            ),
            others=self._others(),
            configuration=self.name,
        )

    def _options(self) -> tuple[str, ...]:
        """Return what our webhook is started with; nothing where its Deployment may not be seen."""
        name = f"{self.name}-webhook"
        found = attempt(
            lambda: self._deployed(name, self.namespace), right("get", DEPLOYMENTS, self.namespace, name)
        )
        if isinstance(found, UnreadObject):
            return ()
        return tuple(each for container in found.containers for each in container.args or ())

    def _deployed(self, name: str, namespace: str) -> Deployment:
        return msgspec.convert(self.cluster.get(DEPLOYMENTS, name, namespace=namespace), Deployment)

    def _controller(self, deployment: NamespacedName) -> ArgoController | UnreadObject:
        def read() -> ArgoController:
            found = self._deployed(deployment.name, deployment.namespace)
            images = sorted(found.containers, key=lambda each: each.name != _CONTROLLER)
            image = images[0].image if images else ""
            return ArgoController(image, found.spec.template.spec.service_account_name)

        return attempt(read, right("get", DEPLOYMENTS, deployment.namespace, deployment.name))

    def _others(self) -> tuple[OtherConfiguration, ...] | UnreadObject:
        def read() -> tuple[OtherConfiguration, ...]:
            items = self.cluster.list(MUTATING).items
            found = [msgspec.convert(each, OtherConfiguration) for each in items]
            return tuple(each for each in found if each.name != self.name)

        return attempt(read, right("list", MUTATING))


def _deployment(options: Iterable[str], accounts: Iterable[str]) -> NamespacedName:
    """Return where Argo's controller should be: as our webhook was told, or as in Argo's own manifests."""
    for option in options:
        if option.startswith(_DEPLOYMENT):
            return NamespacedName.parse(option.removeprefix(_DEPLOYMENT), "Deployment")
    namespace = next(iter(accounts)).partition(":")[0]
    return NamespacedName(namespace, _CONTROLLER)
