"""Reads the cgroup of a process from ``/proc/PID/cgroup`` (cgroups(7))."""

from __future__ import annotations

import os
import re

from msgspec import Struct

from cpuwatch.text import text_from_bytes

__all__ = ["CgroupPaths", "CgroupReader", "Membership", "parse_cgroup"]

_PREFERRED_V1 = ("cpu", "cpuacct", "name=systemd")


class CgroupPaths(Struct, frozen=True, gc=False):
    """The path of a cgroup, and the path that the cpu controller limits. None if the file names none."""

    path: str | None
    cpu_path: str | None


def parse_cgroup(data: bytes) -> CgroupPaths:
    """Parse ``/proc/PID/cgroup``. Raises ``ValueError`` on malformed input.

    The path is that of the unified hierarchy (``0::/path``). Where cgroup v1 does the accounting, that path is missing
    or the root; then it is the path of the cpu controller, or of systemd.
    """
    paths: dict[str, str] = {}
    # A path can contain any character except a newline, which the kernel refuses in the name of a cgroup.
    for line in data.removesuffix(b"\n").split(b"\n") if data else ():
        _, controllers, path = text_from_bytes(line).split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path
    ranked = [paths[name] for name in ("", *_PREFERRED_V1) if name in paths]
    own = next((path for path in ranked if path != "/"), ranked[0] if ranked else None)
    return CgroupPaths(own, paths.get("cpu", paths.get("")))


_FREEZER = re.compile(rb"^[0-9]+:(?:[^:\n]*,)?freezer(?:,[^:\n]*)?:/[^\n]", re.MULTILINE)
_FILE_BYTES = 65_536
_MAX_REMEMBERED = 4096


class Membership(Struct, frozen=True, gc=False):
    """The cgroup of a process: its path, and the path that the cpu controller limits.

    ``may_be_frozen`` says that it is in a cgroup of the v1 freezer other than the root. The freezer changes the state
    of a sleeping process to ``D`` without running it (kernel/freezer.c).
    """

    path: str | None
    cpu_path: str | None
    may_be_frozen: bool


class CgroupReader:
    """Reads the file and caches the result by its content, which many processes share."""

    def __init__(self) -> None:
        self._known: dict[bytes, Membership] = {}

    def read(self, directory: str) -> Membership:
        """The membership of the process with this directory. Raises ``OSError``."""
        fd = os.open(f"{directory}/cgroup", os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = os.pread(fd, _FILE_BYTES, 0)
        finally:
            os.close(fd)
        membership = self._known.get(data)
        if membership is None:
            if len(self._known) >= _MAX_REMEMBERED:
                self._known.clear()
            found = parse_cgroup(data)
            membership = Membership(found.path, found.cpu_path, _FREEZER.search(data) is not None)
            self._known[data] = membership
        return membership
