"""Reads for a check: what could not be read is a fact, with the right that it takes."""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from lockkeeper.checking.facts import Gap, UnreadObject
from policy.cluster.errors import (
    ClusterError,
    Forbidden,
    NotFound,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from policy.cluster.protocol import Resource

_Read = TypeVar("_Read")


def right(verb: str, resource: Resource, namespace: str = "", name: str = "") -> str:
    """Return the right that a request takes, in the words of access control."""
    what = f"{resource.plural}.{resource.group}" if resource.group else resource.plural
    where = f" in namespace {namespace}" if namespace else " in all namespaces" if resource.namespaced else ""
    return " ".join(filter(None, (verb, what, name))) + where


def attempt(read: Callable[[], _Read], wanted: str) -> _Read | UnreadObject:
    """Return what is read, or why it is not. Raises what concerns the whole cluster."""
    try:
        return read()
    except (Unavailable, TooManyRequests, Unauthorized):
        raise
    except NotFound as error:
        return UnreadObject(Gap.ABSENT, wanted, error.message)
    except Forbidden as error:
        return UnreadObject(Gap.NO_RIGHT, wanted, error.message)
    except ClusterError as error:
        return UnreadObject(Gap.UNREADABLE, wanted, error.message)
    except msgspec.ValidationError as error:
        return UnreadObject(Gap.UNREADABLE, wanted, str(error))
