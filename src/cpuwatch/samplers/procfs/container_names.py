"""Names of containers and pods by the paths of their cgroups, cached and within a budget."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from cpuwatch.container_cgroup import container_of, pod_uid_of
from cpuwatch.samplers.procfs.runtime_files import RuntimeFiles

__all__ = ["ContainerNames"]

NAME_TTL_SECONDS = 60.0
"""Age at which a name is looked up again: ``docker rename`` changes it. Names not asked for that long are dropped."""

MIN_RETRY_SECONDS = 2.0
"""A new cgroup may get its name a moment later. Without one, the wait doubles up to the time above."""

MAX_REMEMBERED = 4096

BURST_SECONDS = 0.5
MAX_LOOKUPS_PER_BURST = 64
MAX_BYTES_PER_BURST = 2_097_152
"""Limits for lookups in each half second, so that 1,000 containers that start at once do not delay a reading. One file
of the largest size is decoded in 5 ms, 64 lookups take 3 ms."""


class _Entry(Struct, gc=False):
    name: str | None
    due: float
    retry_seconds: float


class ContainerNames:
    """Looks up names in the files below ``root``."""

    def __init__(self, root: Path = Path("/"), *, seconds: Callable[[], float] = time.monotonic) -> None:
        self._files = RuntimeFiles(root, home=Path(os.environ.get("HOME", "/")))
        self._seconds = seconds
        self._entries: dict[str, _Entry] = {}
        self._earlier_entries: dict[str, _Entry] = {}
        self._entries_since = seconds()
        self._burst_since = seconds()
        self._lookups_left = MAX_LOOKUPS_PER_BURST

    def name_of(self, cgroup_path: str) -> str | None:
        """``nginx`` for a container, ``namespace/pod`` and ``namespace/pod/container`` with Kubernetes.

        In a pod whose cgroup is shown as ``/``, that is the pod's name. None if the last segment of the path is neither
        a container nor a pod, if its name cannot be found, or until there is budget for the lookup. An expired name is
        used until then.
        """
        now = self._seconds()
        entry = self._entry(cgroup_path, now)
        if entry is None:
            return None
        if entry.due <= now and self._may_look_up(now):
            self._lookups_left -= 1
            entry.name = self._look_up(cgroup_path)
            if entry.name is None:
                entry.due = now + entry.retry_seconds
                entry.retry_seconds = min(2 * entry.retry_seconds, NAME_TTL_SECONDS)
            else:
                entry.due = now + NAME_TTL_SECONDS
                entry.retry_seconds = MIN_RETRY_SECONDS
        return entry.name

    def _entry(self, path: str, now: float) -> _Entry | None:
        if now - self._entries_since >= NAME_TTL_SECONDS:
            self._entries_since = now
            self._earlier_entries, self._entries = self._entries, {}
        entry = self._entries.get(path)
        if entry is None:
            entry = self._earlier_entries.pop(path, None)
            if entry is None:
                if len(self._entries) >= MAX_REMEMBERED or not _can_have_name(path):
                    return None
                entry = _Entry(None, now, MIN_RETRY_SECONDS)
            self._entries[path] = entry
        return entry

    def _may_look_up(self, now: float) -> bool:
        if now - self._burst_since >= BURST_SECONDS:
            self._burst_since = now
            self._lookups_left = MAX_LOOKUPS_PER_BURST
            self._files.bytes_read = 0
            self._files.allow_rereading()
        return self._lookups_left > 0 and self._files.bytes_read < MAX_BYTES_PER_BURST

    def _look_up(self, path: str) -> str | None:
        if path == "/":
            return self._files.name_of_root()
        segments = path.split("/")
        uid = pod_uid_of(segments)
        if uid is not None:
            return self._files.pod_name(uid)
        container = container_of(segments)
        return None if container is None else self._files.container_name(container.id)


def _can_have_name(path: str) -> bool:
    if path == "/":
        return True
    segments = path.split("/")
    container = container_of(segments)
    if container is None:
        return pod_uid_of(segments) is not None
    # Podman and CRI-O run a monitor beside each container, in a cgroup with the same ID.
    return not container.runtime.endswith("-conmon")
