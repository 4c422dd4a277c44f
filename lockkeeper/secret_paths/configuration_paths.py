"""The paths of our webhooks in a webhook configuration, and the annotation that stores their secrets."""

from typing import Final

import msgspec

from lockkeeper.process.kubernetes_objects import MUTATING, OURS, VALIDATING, Webhook, WebhookConfiguration
from lockkeeper.secret_paths.secret_rotation import PathSecrets
from policy.cluster.protocol import JsonPatch, Resource
from policy.core.decision.decision import Side
from policy.core.objects.json_patch import JsonObject, Op, PatchOp, pointer
from webhook.callers import AcceptedSecret, call_of, path_of

ANNOTATION: Final = "lockkeeper.dev/callers"
"""Never shown in a log or a message; it is as secret as the paths beside it."""
_LONGEST: Final = 16
"""Former secrets that are stored at most, should a client write one path after the other."""
_SIDES: Final[dict[str, Side]] = {f"{side.value}{OURS}": side for side in Side}
"""The names of our webhooks."""
RESOURCE_OF: Final[dict[Side, Resource]] = {
    Side.MUTATE: MUTATING,
    Side.VALIDATE: VALIDATING,
    Side.POLICIES: VALIDATING,
}


class OwnWebhook(msgspec.Struct, frozen=True):
    """One of our webhooks: its place in the list, its side, and the secret of its path.

    `secret` is None where it has no path of its side.
    """

    index: int
    name: str
    side: Side
    secret: str | None


class OwnWebhooks(msgspec.Struct, frozen=True):
    """What is in a configuration."""

    version: str
    hooks: tuple[OwnWebhook, ...]
    secrets: PathSecrets | None
    annotated: bool

    def answered(self, side: Side) -> tuple[AcceptedSecret, ...]:
        """Return the secrets that a side answers: what its path carries, and those in the annotation."""
        carried = [hook.secret for hook in self.hooks if hook.side is side and hook.secret is not None]
        kept = self.secrets if carried else None
        if kept is not None:
            carried += [kept.secret, *((kept.coming,) if kept.coming else ())]
        former = kept.former if kept is not None else ()
        return (
            *(AcceptedSecret(each.encode()) for each in dict.fromkeys(carried)),
            *(AcceptedSecret(each.secret.encode(), each.until) for each in former),
        )


def read(obj: JsonObject) -> OwnWebhooks:
    """Return what is in a configuration; an annotation that makes no sense is none."""
    configuration = msgspec.convert(obj, WebhookConfiguration)
    hooks = [
        OwnWebhook(index, hook.name, _SIDES[hook.name], _secret_of(hook, _SIDES[hook.name]))
        for index, hook in enumerate(configuration.webhooks or ())
        if hook.name in _SIDES and hook.client_config.service is not None
    ]
    metadata = configuration.metadata
    text = (metadata.annotations or {}).get(ANNOTATION)
    try:
        secrets = msgspec.json.decode(text, type=PathSecrets) if text is not None else None
    except msgspec.MsgspecError:
        secrets = None
    return OwnWebhooks(metadata.resource_version, tuple(hooks), secrets, metadata.annotations is not None)


def correction(found: OwnWebhooks, secrets: PathSecrets) -> JsonPatch | None:
    """Return what writes secrets and paths, or None where all is written; it fails after a change."""
    kept = msgspec.structs.replace(secrets, former=secrets.former[-_LONGEST:])
    wrong = [hook for hook in found.hooks if hook.secret != kept.secret]
    if not wrong and kept == found.secrets:
        return None
    annotations = pointer("metadata", "annotations")
    operations = [PatchOp(Op.TEST, pointer("metadata", "resourceVersion"), found.version)]
    if not found.annotated:
        operations.append(PatchOp(Op.ADD, annotations, {}))
    text = msgspec.json.encode(kept).decode()
    operations.append(PatchOp(Op.ADD, pointer("metadata", "annotations", ANNOTATION), text))
    operations += [
        PatchOp(Op.ADD, pointer("webhooks", hook.index, "clientConfig", "service", "path"), path)
        for hook in wrong
        for path in (path_of(hook.side, kept.secret),)
    ]
    return JsonPatch(tuple(operations))


def _secret_of(hook: Webhook, side: Side) -> str | None:
    service = hook.client_config.service
    call = call_of(service.path) if service is not None else None
    return call.secret if call is not None and call.side is side else None
