"""Reads the cgroup of a process from ``/proc/PID/cgroup`` (cgroups(7))."""

from __future__ import annotations

import os
import re

from msgspec import Struct

from cpuwatch.text import text_from_bytes

__all__ = ["CgroupReader", "Membership", "parse_cgroup"]

_PREFERRED_V1 = ("cpu", "cpuacct", "name=systemd")


def parse_cgroup(data: bytes) -> str | None:
    """The path of the cgroup, or None if the file names none.

    This is the path in the unified hierarchy (``0::/path``). Where cgroup v1 does the accounting, that path is missing
    or the root; then it is the path of the cpu controller, or of systemd.
    """
    paths: dict[str, str] = {}
    # A path can contain any character except a newline, which the kernel refuses in the name of a cgroup.
    for line in data.removesuffix(b"\n").split(b"\n") if data else ():
        _, controllers, path = text_from_bytes(line).split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path
    ranked = [paths[name] for name in ("", *_PREFERRED_V1) if name in paths]
    return next((path for path in ranked if path != "/"), ranked[0] if ranked else None)


_FREEZER = re.compile(rb"^[0-9]+:(?:[^:\n]*,)?freezer(?:,[^:\n]*)?:/[^\n]", re.MULTILINE)
_FILE_BYTES = 65_536
_MAX_REMEMBERED = 4096


class Membership(Struct, frozen=True, gc=False):
    """The cgroup of a process.

    ``may_be_frozen`` says that it is in a cgroup of the v1 freezer other than the root. The freezer changes the state
    of a sleeping process to ``D`` without running it (kernel/freezer.c).
    """

    path: str | None
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
            membership = self._known[data] = Membership(parse_cgroup(data), _FREEZER.search(data) is not None)
        return membership
