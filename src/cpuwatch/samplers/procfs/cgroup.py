"""Which cgroup a process is in, from ``/proc/PID/cgroup`` (cgroups(7))."""

from __future__ import annotations

import os
import re

from msgspec import Struct

from cpuwatch.text import text_from_bytes

__all__ = ["CgroupReader", "Membership", "parse_cgroup"]

_PREFERRED_V1 = ("cpu", "cpuacct", "name=systemd")


def parse_cgroup(data: bytes) -> str | None:
    """The path of the process's cgroup; None if the file names none.

    That of the unified hierarchy (``0::/path``). Where version 1 does the accounting the unified one is empty or at
    its root; then the one of the cpu controller, or of systemd.
    """
    paths: dict[str, str] = {}
    # A path may hold any character but a newline, which the kernel refuses in the name of a cgroup.
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
    """Where a process belongs.

    ``may_be_frozen``: it is in a cgroup of the version 1 freezer, not in its root. That freezes a process that sleeps
    without having it run, and its state is ``D`` then (kernel/freezer.c).
    """

    path: str | None
    may_be_frozen: bool


class CgroupReader:
    """Reads the file, and parses each text once: many processes have the same."""

    def __init__(self) -> None:
        self._known: dict[bytes, Membership] = {}

    def read(self, directory: str) -> Membership:
        """That of the process with this directory. Raises ``OSError``."""
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
