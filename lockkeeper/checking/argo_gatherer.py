"""Gathers what is known of the Argo beside an installation."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from lockkeeper.checking.facts import (
    CRDS,
    ArgoController,
    ArgoFacts,
    Gap,
    OtherConfiguration,
    UnreadObject,
)
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
    """Reads about the Argo of one installation, release `name` in `namespace`.

    `inside` is whether this runs in the cluster, with the rights of the chart: on Deployments by name alone.
    """

    cluster: Cluster
    namespace: str
    name: str
    inside: bool

    def gather(self) -> ArgoFacts:
        """Return what is known."""
        webhook = self._webhook()
        options = () if isinstance(webhook, UnreadObject) else webhook
        accounts = [each.removeprefix(_ACCOUNT) for each in options if each.startswith(_ACCOUNT)]
        if not accounts:
            accounts = [each.removeprefix(SERVICE_ACCOUNT) for each in sorted(UPSTREAM.argo_controllers)]
        deployment, controller = self._found(options, accounts)
        return ArgoFacts(
            webhook=webhook if isinstance(webhook, UnreadObject) else None,
            deployment=deployment,
            accounts=tuple(accounts),
            controller=controller,
            full_crd=attempt(
                lambda: msgspec.convert(self.cluster.get(CRDS, _CRD), _Crd).lists_fields,
                right("get", CRDS, name=_CRD),
            ),
            others=self._others(),
            configuration=self.name,
        )

    def _webhook(self) -> tuple[str, ...] | UnreadObject:
        """Return what our webhook is started with."""
        name = f"{self.name}-webhook"
        found = attempt(
            lambda: self._deployed(name, self.namespace), right("get", DEPLOYMENTS, self.namespace, name)
        )
        if isinstance(found, UnreadObject):
            return found
        return tuple(each for container in found.containers for each in container.args or ())

    def _deployed(self, name: str, namespace: str) -> Deployment:
        return msgspec.convert(self.cluster.get(DEPLOYMENTS, name, namespace=namespace), Deployment)

    def _found(
        self, options: Iterable[str], accounts: Sequence[str]
    ) -> tuple[NamespacedName, ArgoController | UnreadObject]:
        """Return Argo's controller and where it is: where our webhook was told, else where its image runs."""
        told = [each.removeprefix(_DEPLOYMENT) for each in options if each.startswith(_DEPLOYMENT)]
        wanted = NamespacedName(accounts[0].partition(":")[0], _CONTROLLER)
        if told:
            wanted = NamespacedName.parse(told[0], "Deployment")
        expected = attempt(
            lambda: self._deployed(wanted.name, wanted.namespace),
            right("get", DEPLOYMENTS, wanted.namespace, wanted.name),
        )
        if not isinstance(expected, UnreadObject):
            return wanted, _controller(expected)
        if told or expected.gap is not Gap.ABSENT or self.inside:
            return wanted, expected
        elsewhere = attempt(self._elsewhere, right("list", DEPLOYMENTS))
        if isinstance(elsewhere, UnreadObject) or not elsewhere:
            return wanted, expected
        # Where there are several, that of the account that is believed, if it is one of them.
        return min(elsewhere, key=lambda each: each[1].account_in(each[0].namespace) not in accounts)

    def _elsewhere(self) -> list[tuple[NamespacedName, ArgoController]]:
        """Return the Deployments of the cluster that run the image of Argo's controller."""
        every = [msgspec.convert(item, Deployment) for item in self.cluster.list(DEPLOYMENTS).items]
        return [
            (NamespacedName(each.metadata.namespace, each.metadata.name), _controller(each))
            for each in every
            if any(_is_controller(container.image) for container in each.containers)
        ]

    def _others(self) -> tuple[OtherConfiguration, ...] | UnreadObject:
        def read() -> tuple[OtherConfiguration, ...]:
            items = self.cluster.list(MUTATING).items
            found = [msgspec.convert(each, OtherConfiguration) for each in items]
            return tuple(each for each in found if each.name != self.name)

        return attempt(read, right("list", MUTATING))


def _controller(found: Deployment) -> ArgoController:
    containers = sorted(found.containers, key=lambda each: not _is_controller(each.image))
    image = containers[0].image if containers else ""
    return ArgoController(image, found.spec.template.spec.service_account_name)


def _is_controller(image: str) -> bool:
    """Return whether an image has the name of Argo's controller, whatever its registry and tag are."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0] == _CONTROLLER
