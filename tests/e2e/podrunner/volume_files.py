"""What the files of a volume are to hold now: ConfigMaps, Secrets, fields of the Pod, tokens."""

from collections.abc import Iterator
from typing import Final, Protocol

import msgspec

from tests.e2e.podrunner.atomic_folder import File
from tests.e2e.podrunner.configuration import Configuration, Content
from tests.e2e.podrunner.pod_fields import Place, field
from tests.e2e.podrunner.pod_objects import Container, Pod
from tests.e2e.podrunner.refusals import Missing, Refused
from tests.e2e.podrunner.volume_objects import Downward, Files, Projected, Projection, TokenFile, Volume

USUAL_MODE: Final = 0o644
_TOKEN_MODE: Final = 0o600
_GROUP_READS: Final = 0o040
"""What the group of the volumes (fsGroup) may with each file, as the kubelet sets it."""


class Tokens(Protocol):
    """The tokens of one Pod, as they are now."""

    def token(self, wanted: TokenFile) -> bytes:
        """Return a token. Raises Missing before there is one."""
        ...


class Sources(msgspec.Struct, frozen=True):
    """What the files of a Pod are made of."""

    pod: Pod
    place: Place
    configuration: Configuration
    tokens: Tokens

    def files(self, volume: Volume) -> dict[str, File]:
        """Return the files of a volume by path.

        Raises:
            Refused: there is no such kind of volume here; as Missing, what it is made of is not there.
        """
        if volume.projected is not None:
            found = self._projected(volume.projected)
        elif volume.secret is not None:
            found = self._secret(volume.secret, _mode(volume.secret.default_mode))
        elif volume.config_map is not None:
            found = self._config_map(volume.config_map, _mode(volume.config_map.default_mode))
        elif volume.downward_api is not None:
            found = self._downward(volume.downward_api, _mode(volume.downward_api.default_mode))
        else:
            raise Refused(f"volume {volume.name} is of a kind that the podrunner does not have")
        group = self.pod.spec.security_context.fs_group
        if group is None:
            return found
        return {
            path: msgspec.structs.replace(file, group=group, mode=file.mode | _GROUP_READS)
            for path, file in found.items()
        }

    def _projected(self, projected: Projected) -> dict[str, File]:
        found: dict[str, File] = {}
        for source in projected.sources:
            found |= self._projection(source, _mode(projected.default_mode))
        return found

    def _projection(self, source: Projection, mode: int) -> dict[str, File]:
        if source.service_account_token is not None:
            return self._token(source.service_account_token, mode)
        if source.secret is not None:
            return self._secret(source.secret, mode)
        if source.config_map is not None:
            return self._config_map(source.config_map, mode)
        if source.downward_api is not None:
            return self._downward(source.downward_api, mode)
        raise Refused("a projected volume has a source that the podrunner does not have")

    def _token(self, wanted: TokenFile, mode: int) -> dict[str, File]:
        """Return the token's file: for its user alone where all containers run as one, as on a node."""
        users = {_user(self.pod, container) for container in self.pod.spec.containers}
        owner = users.pop() if len(users) == 1 else None
        if owner is not None or self.pod.spec.security_context.fs_group is not None:
            mode = _TOKEN_MODE
        return {wanted.path: File(self.tokens.token(wanted), mode, owner=owner or 0)}

    def _secret(self, wanted: Files, mode: int) -> dict[str, File]:
        namespace = self.pod.metadata.namespace
        content = self.configuration.secret(namespace, wanted.of, optional=wanted.optional)
        return dict(_picked(content, wanted, mode, "Secret", namespace))

    def _config_map(self, wanted: Files, mode: int) -> dict[str, File]:
        namespace = self.pod.metadata.namespace
        content = self.configuration.config_map(namespace, wanted.of, optional=wanted.optional)
        return dict(_picked(content, wanted, mode, "ConfigMap", namespace))

    def _downward(self, downward: Downward, mode: int) -> dict[str, File]:
        found = {}
        for item in downward.items:
            if item.field_ref is None:
                raise Refused(f"downwardAPI file {item.path}: the podrunner gives no resourceFieldRef")
            text = field(self.pod, item.field_ref.field_path, self.place)
            found[item.path] = File(text.encode(), mode if item.mode is None else item.mode)
        return found


def _picked(
    content: Content, wanted: Files, mode: int, kind: str, namespace: str
) -> Iterator[tuple[str, File]]:
    """Yield the files of an object: its items, or all. Raises Missing for a key that has to be there."""
    if not wanted.items:
        yield from ((key, File(value, mode)) for key, value in content.items())
    for item in wanted.items:
        if item.key in content:
            yield item.path, File(content[item.key], mode if item.mode is None else item.mode)
        elif not wanted.optional:
            raise Missing(kind, namespace, wanted.of, item.key)


def _user(pod: Pod, container: Container) -> int | None:
    own = container.security_context.run_as_user
    return own if own is not None else pod.spec.security_context.run_as_user


def _mode(given: int | None) -> int:
    return USUAL_MODE if given is None else given
