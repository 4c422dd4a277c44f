"""The volumes of one Pod: made before its containers start, and kept up to date while they run."""

import asyncio
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from tests.e2e.podrunner import kernel
from tests.e2e.podrunner.api import Tell
from tests.e2e.podrunner.atomic_folder import AtomicFolder
from tests.e2e.podrunner.confinement import Mount
from tests.e2e.podrunner.pod_objects import Container, Pod
from tests.e2e.podrunner.refusals import Refused
from tests.e2e.podrunner.tokens import PodTokens
from tests.e2e.podrunner.volume_files import Sources
from tests.e2e.podrunner.volume_objects import EmptyDir, Volume

_RETRY: Final = 1.0
"""Seconds after which a Pod whose volumes are not there looks again, if it hears of no change before."""
_EVERYBODY: Final = 0o777
_GROUP_ALONE: Final = 0o2770
_MEMORY: Final = "Memory"


class PodVolumes:
    """Keeps the volumes of a Pod in one folder, in memory; `changed` says to look at them again."""

    def __init__(
        self, *, folder: Path, sources: Sources, tokens: PodTokens, switch: bool, tell: Tell
    ) -> None:
        self.changed = asyncio.Event()
        self._folder = folder
        self._sources = sources
        self._tokens = tokens
        self._switch = switch
        self._tell = tell
        self._kept = {
            volume.name: AtomicFolder(folder / volume.name)
            for volume in sources.pod.spec.volumes
            if volume.empty_dir is None
        }

    def pod_is(self, pod: Pod) -> None:
        """Take note of how the Pod is now: its labels and annotations may be in files."""
        self._sources = msgspec.structs.replace(self._sources, pod=pod)
        self.changed.set()

    async def make(self) -> None:
        """Make all volumes. Raises Refused, or Missing when something that they need is not there yet."""
        self.changed.clear()
        await self._tokens.renew()
        for volume in self._pod.spec.volumes:
            if volume.empty_dir is not None:
                self._make_empty(self._folder / volume.name, volume.empty_dir)
            else:
                self._write(volume)

    async def wait(self) -> None:
        """Return when it is worth while to make them again."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_RETRY):
                await self.changed.wait()

    async def keep(self) -> None:
        """Follow changes and renew tokens until cancelled; what is missing leaves the files as they are."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._tokens.seconds_left()):
                    await self.changed.wait()
            self.changed.clear()
            await self._tokens.renew()
            for volume in self._pod.spec.volumes:
                if volume.empty_dir is None:
                    with suppress(Refused):
                        self._write(volume)

    def mounts(self, container: Container) -> tuple[Mount, ...]:
        """Return where a container sees the volumes; files of the cluster are for reading. Raises Refused."""
        found = []
        for mount in container.volume_mounts:
            source = self._folder / mount.name
            if mount.sub_path:
                source /= mount.sub_path
                if mount.name not in self._kept:
                    source.mkdir(parents=True, exist_ok=True)
                # A single file is bound as it is now, and follows no change, as on every node.
                source = source.resolve()
            if not source.exists():
                raise Refused(f"volumeMount {mount.mount_path}: volume {mount.name} has no {mount.sub_path}")
            read_only = mount.read_only or mount.name in self._kept
            found.append(Mount(str(source), mount.mount_path, read_only))
        return tuple(found)

    def remove(self) -> None:
        """Remove all of them."""
        for volume in self._pod.spec.volumes:
            if volume.empty_dir is not None and volume.empty_dir.size_limit is not None:
                with suppress(OSError):  # It was never made.
                    kernel.unmount(str(self._folder / volume.name))
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _pod(self) -> Pod:
        return self._sources.pod

    def _write(self, volume: Volume) -> None:
        if self._kept[volume.name].write(self._sources.files(volume), switch=self._switch):
            self._tell(f"{self._pod.key}: volume {volume.name} written")

    def _make_empty(self, folder: Path, wanted: EmptyDir) -> None:
        """Make an empty folder; the medium is memory in any case, and a sizeLimit holds for medium Memory."""
        if folder.exists():
            return
        folder.mkdir(parents=True)
        if wanted.size_limit is not None and wanted.medium == _MEMORY:
            kernel.mount("memory", str(folder), kind="tmpfs", options=f"size={_size(wanted.size_limit)}")
        group = self._pod.spec.security_context.fs_group
        if group is not None and self._switch:
            shutil.chown(folder, group=group)
            folder.chmod(_GROUP_ALONE)
        else:
            folder.chmod(_EVERYBODY)


def _size(limit: str | int) -> str:
    """Return a size as tmpfs reads it: its own letters stand for powers of 1024, of `Ki`, `Mi` and `Gi`."""
    text = str(limit)
    if text.isdecimal():
        return text
    number, unit = text[:-2], text[-2:]
    if unit not in ("Ki", "Mi", "Gi") or not number.isdecimal():
        raise Refused(f"emptyDir: the podrunner does not read sizeLimit {text}")
    return f"{number}{unit[0].lower()}"
