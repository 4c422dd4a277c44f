"""The API server's audit log: what accounts asked it for, and whether they got it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from policy.core.values.prepared import prepare
from tests.e2e.charted import NAMESPACE

ACCOUNTS: Final = f"system:serviceaccounts:{NAMESPACE}"
"""The group of all ServiceAccounts of the release's namespace."""
_POLICY: Final = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Metadata", "userGroups": [ACCOUNTS]},
        # Somebody who acts as another is known here by whom he is, which is the administrator.
        {"level": "Metadata", "users": ["admin"], "resources": [{"group": "lockkeeper.dev"}]},
        {"level": "None"},
    ],
}
_CREATED: Final = 201
_FORBIDDEN: Final = 403


class User(msgspec.Struct, frozen=True):
    """Whoever asks."""

    username: str = ""


class ObjectReference(msgspec.Struct, frozen=True, rename="camel"):
    """What a request is about; the name of a list is that of its field selector."""

    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    api_group: str = ""


class ResponseStatus(msgspec.Struct, frozen=True):
    """The answer."""

    code: int = 0


class Event(msgspec.Struct, frozen=True, rename="camel"):
    """One line of the log, as `audit.k8s.io/v1` has it."""

    stage: str
    verb: str
    user: User
    impersonated_user: User | None = None
    object_ref: ObjectReference = ObjectReference()
    response_status: ResponseStatus = ResponseStatus()


prepare(Event)


class Asked(msgspec.Struct, frozen=True):
    """A request in the words of access control, and the HTTP status of its answer."""

    user: str
    verb: str
    group: str
    resource: str
    namespace: str
    name: str
    code: int

    def __str__(self) -> str:
        what = f"{self.resource}.{self.group}" if self.group else self.resource
        place = "/".join(filter(None, (self.namespace, self.name)))
        return f"{self.user} asked to {self.verb} {what} {place}: {self.code}"


class Audit(msgspec.Struct, frozen=True):
    """The audit log of a control plane that is started with `flags`."""

    folder: Path

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags for the API server; writes the policy that they name."""
        policy = self.folder / "policy.yaml"
        policy.write_text(json.dumps(_POLICY), encoding="utf-8")
        return (f"--audit-policy-file={policy}", f"--audit-log-path={self._log}")

    def asked(self) -> list[Asked]:
        """Return all that was asked so far, a watch as soon as it began."""
        lines = self._log.read_bytes().splitlines(keepends=True) if self._log.exists() else []
        whole = (line for line in lines if line.endswith(b"\n"))
        return [each for line in whole for each in _asked(msgspec.json.decode(line, type=Event))]

    def denied(self) -> list[str]:
        """Return what was refused for want of a right, or by admission."""
        return sorted({str(each) for each in self.asked() if each.code == _FORBIDDEN})

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Have what was denied told with any error: a right that is missed shows as something else."""
        try:
            yield
        except Exception as error:
            error.add_note("\n".join(["denied until then:", *self.denied()]))
            raise

    @property
    def _log(self) -> Path:
        return self.folder / "audit.log"


def _asked(event: Event) -> Iterator[Asked]:
    """Yield what a request asked for: an apply that has made its object asked for that, too."""
    about, user = event.object_ref, event.impersonated_user or event.user
    resource = "/".join(filter(None, (about.resource, about.subresource)))
    made = event.verb == "patch" and event.response_status.code == _CREATED
    for verb in (event.verb, "create") if made else (event.verb,):
        yield Asked(
            user.username,
            verb,
            about.api_group,
            resource,
            about.namespace,
            about.name,
            event.response_status.code,
        )
