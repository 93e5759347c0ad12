"""Finds out which processes a /proc hides from this process, and why: its mount options and its PID namespace."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

__all__ = ["ProcAccess", "Visibility", "hiding_reasons", "is_restricted", "mount_options", "parse_mount_options"]

_CHECK_EVERY = 16
"""Readings between two checks. Remounts are rare, and a container host has thousands of mounts to read."""

_INITIAL_PID_NAMESPACE = Path("pid:[4026531836]")
"""``PROC_PID_INIT_INO`` in include/linux/proc_ns.h."""

_CAP_SYS_PTRACE = 1 << 19

_HIDEPID_NUMBERS = {"off": "0", "noaccess": "1", "invisible": "2", "ptraceable": "4"}
"""Kernels before 5.8 show numbers, later ones words (fs/proc/root.c)."""


class ProcAccess(Struct, frozen=True, gc=False):
    """The credentials of this process, and what it can see of process 1, which every PID namespace has.

    ``init`` is ``"visible"``, ``"own"`` (visible, but owned by the same user), ``"denied"`` or ``"absent"``.
    """

    group_ids: frozenset[int]
    may_trace_all: bool
    init: str
    in_container: bool


class Visibility:
    """Tells what the /proc mounted at ``root`` hides; checked in the first reading and in every 16th after it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._calls = 0
        self._hidden: list[str] = []
        self.hidden_can_appear: bool = False
        """Whether a hidden process can become visible later, by changing its user as su and sshd do."""

    def hidden(self) -> list[str]:
        """The reasons why processes are missing, as sentences; empty if all are visible."""
        if self._calls % _CHECK_EVERY == 0:
            # Without descriptors, or without these files, the last result stays.
            with suppress(OSError):
                options, access = mount_options(self._root), _access(self._root)
                self._hidden = hiding_reasons(options, access)
                self.hidden_can_appear = is_restricted(options, access)
        self._calls += 1
        return self._hidden


def hiding_reasons(options: Mapping[str, str], access: ProcAccess) -> list[str]:
    """The reasons why processes of a /proc with these mount options are hidden, as sentences."""
    found = []
    mode = _mode(options)
    if is_restricted(options, access):
        effect = "cannot be read" if mode == "1" else "are not shown"
        cause = f"/proc is mounted with hidepid={mode}" if mode != "0" else "/proc does not show process 1"
        group = f", or in group {options['gid']}," if "gid" in options and mode != "4" else ""
        remedy = f"run cpuwatch as root or with CAP_SYS_PTRACE{group} to see them"
        found.append(f"{cause}, so processes of other users {effect} ({remedy})")
    if access.in_container:
        found.append("processes outside this PID namespace (container) are not shown")
    return found


def is_restricted(options: Mapping[str, str], access: ProcAccess) -> bool:
    """Whether processes of other users are hidden.

    Process 1 shows it, unless it is owned by the same user. Then the rule of the kernel decides
    (``has_pid_permissions`` in fs/proc/base.c).
    """
    mode = _mode(options)
    if access.init in {"absent", "denied"}:
        return access.init == "absent" or mode != "0"
    if access.init == "visible" or mode == "0" or access.may_trace_all:
        return False
    return mode == "4" or int(options.get("gid", "0")) not in access.group_ids


def _mode(options: Mapping[str, str]) -> str:
    mode = options.get("hidepid", "0")
    return _HIDEPID_NUMBERS.get(mode, mode)


def mount_options(root: Path) -> dict[str, str]:
    """The options of the file system mounted at ``root``. Raises ``OSError``."""
    return parse_mount_options((root / "self/mountinfo").read_bytes(), os.stat(root).st_dev)


def parse_mount_options(mountinfo: bytes, device: int) -> dict[str, str]:
    """The options of the file system on this device, from ``/proc/PID/mountinfo`` (proc_pid_mountinfo(5)).

    The device identifies it, since several file systems may be mounted on one path. Empty if it is not listed.
    """
    wanted = b"%d:%d" % (os.major(device), os.minor(device))
    for line in mountinfo.splitlines():
        of_mount, _, of_file_system = line.partition(b" - ")
        if of_mount.split(b" ", 3)[2:3] == [wanted]:
            _, _, options = of_file_system.rpartition(b" ")
            pairs = (option.partition("=") for option in options.decode("ascii", "replace").split(","))
            return {name: value for name, _, value in pairs}
    return {}


def _access(root: Path) -> ProcAccess:
    status = _status((root / "self/status").read_bytes())
    return ProcAccess(
        group_ids=frozenset({os.getegid(), *os.getgroups()}),
        may_trace_all=bool(int(status.get(b"CapEff", b"0"), 16) & _CAP_SYS_PTRACE),
        init=_init(root / "1/stat"),
        # NSpid has one number if this /proc is of our own namespace.
        in_container=len(status.get(b"NSpid", b"").split()) == 1
        and (root / "self/ns/pid").readlink() != _INITIAL_PID_NAMESPACE,
    )


def _status(data: bytes) -> dict[bytes, bytes]:
    return {name: value for name, _, value in (line.partition(b":") for line in data.splitlines())}


def _init(path: Path) -> str:
    try:
        path.read_bytes()
    except FileNotFoundError:
        return "absent"
    except PermissionError:
        return "denied"
    return "own" if path.parent.stat().st_uid == os.geteuid() else "visible"
