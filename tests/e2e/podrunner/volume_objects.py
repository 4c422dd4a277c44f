"""The volumes of a Pod as the podrunner reads them: those kinds that it has."""

import msgspec

from tests.e2e.podrunner.object_parts import FieldPath, Part


class KeyToPath(Part, frozen=True):
    """One file of a volume."""

    key: str
    path: str
    mode: int | None = None


class Files(Part, frozen=True):
    """The files of a ConfigMap or Secret: all of them where no items are named."""

    name: str = ""
    secret_name: str = ""
    items: tuple[KeyToPath, ...] = ()
    optional: bool = False
    default_mode: int | None = None

    @property
    def of(self) -> str:
        """The object's name: it stands in either field, which depends on the kind of volume."""
        return self.name or self.secret_name


class DownwardFile(Part, frozen=True):
    """A field of the Pod as a file."""

    path: str
    field_ref: FieldPath | None = None
    mode: int | None = None


class Downward(Part, frozen=True):
    """Fields of the Pod as files."""

    items: tuple[DownwardFile, ...] = ()
    default_mode: int | None = None


class TokenFile(Part, frozen=True):
    """A token of the Pod's ServiceAccount as a file."""

    path: str
    audience: str = ""
    expiration_seconds: int = 3600


class Projection(Part, frozen=True):
    """One source of a projected volume: one of these."""

    config_map: Files | None = None
    secret: Files | None = None
    downward_api: Downward | None = msgspec.field(name="downwardAPI", default=None)
    service_account_token: TokenFile | None = None


class Projected(Part, frozen=True):
    """Several sources in one volume."""

    sources: tuple[Projection, ...] = ()
    default_mode: int | None = None


class EmptyDir(Part, frozen=True):
    """A folder that lives as long as the Pod."""

    medium: str = ""
    size_limit: str | int | None = None


class Volume(Part, frozen=True):
    """A volume: one of these kinds, or one that the podrunner refuses."""

    name: str
    config_map: Files | None = None
    secret: Files | None = None
    downward_api: Downward | None = msgspec.field(name="downwardAPI", default=None)
    projected: Projected | None = None
    empty_dir: EmptyDir | None = None
