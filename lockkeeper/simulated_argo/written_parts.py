"""Parts of objects as Argo's controller writes them: times, and who owns an object."""

from datetime import UTC, datetime

from policy.cluster.protocol import Resource
from policy.core.objects.json_patch import JsonObject


def stamp(moment: datetime) -> str:
    """Return a time as Kubernetes writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def owner_reference(owner: Resource, name: str | None, uid: str | None) -> JsonObject:
    """Return the reference of what an object creates to that object, its controller."""
    return {
        "apiVersion": owner.api_version,
        "kind": owner.kind,
        "name": name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
