r"""Finds the directories of cgroups in the mounted hierarchies (cgroups(7), proc_pid_mountinfo(5)).

With cgroup v2 there is one hierarchy. With v1, the controllers ``cpu`` and ``cpuset`` have hierarchies of their own,
and a v2 hierarchy without them may be mounted as well; pressure is only counted in v2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

__all__ = ["CgroupMounts", "Hierarchy", "parse_mounts"]

_MOUNTINFO = Path("/proc/self/mountinfo")
_OCTAL = re.compile(rb"\\([0-7]{3})")


class Hierarchy(Struct, frozen=True, gc=False):
    """A mounted hierarchy. ``root`` is the path of the cgroup that is mounted on ``directory``.

    It is not ``/`` in a container that shares the cgroup namespace of the machine but sees only its own cgroup.
    """

    directory: str
    root: str

    def directory_of(self, path: str) -> str | None:
        """The directory of the cgroup with this path; None if it is outside of what is mounted."""
        if "/.." in path:
            return None  # Outside of the cgroup namespace (cgroup_namespaces(7)).
        if self.root == "/":
            return self.directory if path == "/" else self.directory + path
        if path == self.root:
            return self.directory
        return self.directory + path.removeprefix(self.root) if path.startswith(f"{self.root}/") else None


class CgroupMounts(Struct, frozen=True, gc=False):
    """The hierarchies that tell about CPU use. ``cpu`` and ``cpuset`` are only set with cgroup v1."""

    unified: Hierarchy | None = None
    cpu: Hierarchy | None = None
    cpuset: Hierarchy | None = None

    @classmethod
    def find(cls) -> CgroupMounts:
        """Those of this process; none if its mounts cannot be read."""
        try:
            return parse_mounts(_MOUNTINFO.read_bytes())
        except (OSError, ValueError):
            return cls()


def parse_mounts(mountinfo: bytes) -> CgroupMounts:
    """Parse ``/proc/PID/mountinfo``. Raises ``ValueError`` on malformed input."""
    unified: list[Hierarchy] = []
    controllers: dict[str, list[Hierarchy]] = {"cpu": [], "cpuset": []}
    for line in mountinfo.splitlines():
        fields, _, file_system = line.partition(b" - ")
        kind, _, super_options = file_system.split(b" ", 2)
        if kind not in {b"cgroup", b"cgroup2"}:
            continue
        _, _, _, root, directory, _ = fields.split(b" ", 5)
        hierarchy = Hierarchy(_unescaped(directory), _unescaped(root))
        if kind == b"cgroup2":
            unified.append(hierarchy)
        for name, found in controllers.items():
            if kind == b"cgroup" and name.encode() in super_options.split(b","):
                found.append(hierarchy)
    return CgroupMounts(_widest(unified), _widest(controllers["cpu"]), _widest(controllers["cpuset"]))


def _widest(mounts: Iterable[Hierarchy]) -> Hierarchy | None:
    """The mount that shows the most. A container may have bind mounts of single cgroups."""
    return min(mounts, key=lambda mount: len(mount.root), default=None)


def _unescaped(field: bytes) -> str:
    return _OCTAL.sub(lambda match: bytes([int(match[1], 8)]), field).decode("utf-8", "surrogateescape")
