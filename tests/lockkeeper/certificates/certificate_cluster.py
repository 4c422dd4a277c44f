"""What the tests of certificates stand on: a clock that is moved, webhook configurations, and who is told."""

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from random import Random
from threading import Condition
from typing import Final

import msgspec

from certs.files import CertificateFiles
from certs.rotation_steps import CertificateChange, RotationAction
from lockkeeper.certificates.ca_bundle import Configurations
from lockkeeper.certificates.metrics import CertificateTask
from lockkeeper.certificates.secret_store import SECRETS, SecretStore
from lockkeeper.process.kubernetes_objects import CONFIGURATIONS, MUTATING
from policy.cluster.errors import ClusterError
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import Cluster, JsonPatch, Patch, Resource
from policy.core.objects.json_patch import JsonObject, JsonValue, Op, PatchOp
from tests.patience import PATIENCE

NAMES: Final = ("lockkeeper-webhook.lockkeeper.svc", "127.0.0.1")
NAMESPACE: Final = "lockkeeper"
SECRET: Final = "lockkeeper-certs"  # noqa: S105 - the name of a Secret
RELEASE: Final = "lockkeeper"
FOREIGN: Final = "webhook.example.com"


class Clock:
    """A clock that moves when it is told to; it begins now, as handshakes are checked by the machine's."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC).replace(microsecond=0)

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now

    def advance(self, by: timedelta) -> None:
        """Let time pass."""
        self.now += by


class Noted:
    """Notes what is told; whoever waits for something is woken by it."""

    def __init__(self) -> None:
        self._heard = Condition()
        self.changes: list[CertificateChange] = []
        self.places: list[str] = []
        self.ends: list[datetime] = []
        self.failures: list[tuple[CertificateTask, str]] = []

    @property
    def deeds(self) -> list[RotationAction]:
        """What was done to the certificates."""
        return [change.action for change in self.changes]

    def changed(self, changes: Iterable[CertificateChange]) -> None:
        with self._heard:
            self.changes += changes
            self._heard.notify_all()

    def put(self, where: str) -> None:
        with self._heard:
            self.places.append(where)
            self._heard.notify_all()

    def serving(self, until: datetime) -> None:
        with self._heard:
            self.ends.append(until)
            self._heard.notify_all()

    def failed(self, doing: CertificateTask, problem: str) -> None:
        with self._heard:
            self.failures.append((doing, problem))
            self._heard.notify_all()

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something that was told makes the condition true."""
        with self._heard:
            heard = self._heard.wait_for(condition, PATIENCE)
            assert heard, (self.changes, self.places, self.ends, self.failures[-3:])


class Troubled(MemoryCluster):
    """A cluster whose verbs can be made to fail, all of them or some of one resource."""

    def __init__(self) -> None:
        super().__init__(clock=lambda: datetime.now(UTC), rng=Random(5))
        self.refusals: dict[tuple[str, Resource], ClusterError] = {}
        self.before_replace: Callable[[], None] = lambda: None

    def refuse(self, verb: str, resource: Resource, error: ClusterError) -> None:
        """Answer a verb with an error from now on."""
        self.refusals[verb, resource] = error

    def _check(self, verb: str, resource: Resource) -> None:
        if (verb, resource) in self.refusals:
            raise self.refusals[verb, resource]

    def get(self, resource: Resource, name: str, *, namespace: str = "") -> JsonObject:
        self._check("get", resource)
        return super().get(resource, name, namespace=namespace)

    def create(
        self, resource: Resource, obj: JsonObject, *, namespace: str = "", dry_run: bool = False
    ) -> JsonObject:
        self._check("create", resource)
        return super().create(resource, obj, namespace=namespace, dry_run=dry_run)

    def replace(self, resource: Resource, obj: JsonObject) -> JsonObject:
        self._check("update", resource)
        self.before_replace()
        return super().replace(resource, obj)

    def patch(
        self, resource: Resource, name: str, patch: Patch, *, namespace: str = "", subresource: str = ""
    ) -> JsonObject:
        self._check("patch", resource)
        return super().patch(resource, name, patch, namespace=namespace, subresource=subresource)


def store_on(cluster: Cluster) -> SecretStore:
    """Return the store in our Secret."""
    return SecretStore(cluster=cluster, namespace=NAMESPACE, name=SECRET)


def configurations_on(cluster: Cluster) -> Configurations:
    """Return our webhook configurations."""
    return Configurations(cluster=cluster, name=RELEASE)


def install_configurations(cluster: Cluster, *, name: str = RELEASE, url: str = "") -> None:
    """Create both webhook configurations as the chart does, each with somebody else's webhook in it, too."""
    for resource in CONFIGURATIONS:
        names = (
            (FOREIGN, "mutate.lockkeeper.dev")
            if resource is MUTATING
            else (f"second.{FOREIGN}", "validate.lockkeeper.dev", "policies.lockkeeper.dev")
        )
        hooks: list[JsonValue] = [_webhook(each, url) for each in names]
        cluster.create(
            resource,
            {
                "apiVersion": resource.api_version,
                "kind": resource.kind,
                "metadata": {"name": name},
                "webhooks": hooks,
            },
        )


def _webhook(name: str, url: str) -> JsonValue:
    service: JsonValue = {"namespace": NAMESPACE, "name": "lockkeeper-webhook", "path": "/x", "port": 443}
    return {
        "name": name,
        "clientConfig": {"url": url} if url else {"service": service},
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Ignore",
    }


def ca_bundles(cluster: Cluster, *, name: str = RELEASE) -> dict[str, bytes | None]:
    """Return the caBundle of every webhook of both configurations."""
    found: dict[str, bytes | None] = {}
    for resource in CONFIGURATIONS:
        hooks = cluster.get(resource, name)["webhooks"]
        assert isinstance(hooks, list)
        for hook in hooks:
            decoded = msgspec.convert(hook, _Hook)
            text = decoded.client_config.ca_bundle
            found[decoded.name] = b64decode(text) if text else None
    return found


def edit_bundle(
    cluster: Cluster, resource: Resource, index: int, bundle: bytes, *, name: str = RELEASE
) -> None:
    """Change the caBundle of one webhook by hand."""
    path = f"/webhooks/{index}/clientConfig/caBundle"
    patch = JsonPatch((PatchOp(Op.ADD, path, b64encode(bundle).decode()),))
    cluster.patch(resource, name, patch)


def put_secret(cluster: Cluster, **content: bytes) -> None:
    """Create the Secret with these entries; names are written with _ for . and -."""
    data: JsonObject = {name: b64encode(value).decode() for name, value in content.items()}
    cluster.create(
        SECRETS,
        {
            "apiVersion": SECRETS.api_version,
            "kind": SECRETS.kind,
            "metadata": {"name": SECRET, "namespace": NAMESPACE},
            "data": data,
        },
        namespace=NAMESPACE,
    )


def overwrite(cluster: Cluster, kept: CertificateFiles) -> None:
    """Write the Secret as somebody with kubectl does, whatever it held."""
    store = store_on(cluster)
    store.write(kept, version=store.read().version)


class _Client(msgspec.Struct, rename="camel"):
    ca_bundle: str | None = None


class _Hook(msgspec.Struct, rename="camel"):
    name: str
    client_config: _Client
