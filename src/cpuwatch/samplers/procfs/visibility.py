"""Which processes a /proc keeps from its reader, and why: its mount options, and the PID namespace it is of."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

__all__ = ["Reader", "Visibility", "is_restricted", "mount_options", "parse_mount_options", "reasons"]

_CHECK_EVERY = 16
"""Readings between two checks. A remount is rare, and a machine of containers has thousands of mounts to read."""

_INITIAL_PID_NAMESPACE = Path("pid:[4026531836]")
"""``PROC_PID_INIT_INO`` in include/linux/proc_ns.h."""

_CAP_SYS_PTRACE = 1 << 19

_HIDEPID_NUMBERS = {"off": "0", "noaccess": "1", "invisible": "2", "ptraceable": "4"}
"""Kernels before 5.8 show the numbers, later ones the words (fs/proc/root.c)."""


class Reader(Struct, frozen=True, gc=False):
    """Who reads a /proc, and what it shows of process 1, which every PID namespace has.

    ``init`` is ``"shown"``, ``"own"`` (shown, and of the reader's own user), ``"refused"`` or ``"absent"``.
    """

    group_ids: frozenset[int]
    may_trace_all: bool
    init: str
    in_container: bool


class Visibility:
    """What is hidden by the /proc mounted at ``root``; looked up at the first reading and at every sixteenth."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._calls = 0
        self._hidden: list[str] = []
        self.can_appear = False
        """Whether a process that is hidden now can be shown later: it has to change its user, as su and sshd do."""

    def hidden(self) -> list[str]:
        """A sentence for each reason why processes are missing; empty if all are shown."""
        if self._calls % _CHECK_EVERY == 0:
            # No descriptor left, or a /proc without these files: what was known stays.
            with suppress(OSError):
                options, reader = mount_options(self._root), _reader(self._root)
                self._hidden = reasons(options, reader)
                self.can_appear = is_restricted(options, reader)
        self._calls += 1
        return self._hidden


def reasons(options: Mapping[str, str], reader: Reader) -> list[str]:
    """A sentence for each reason why this reader of a /proc with these mount options does not see all processes."""
    found = []
    mode = _mode(options)
    if is_restricted(options, reader):
        effect = "cannot be read" if mode == "1" else "are not shown"
        cause = f"/proc is mounted with hidepid={mode}" if mode != "0" else "/proc does not show process 1"
        group = f", or in group {options['gid']}," if "gid" in options and mode != "4" else ""
        remedy = f"run cpuwatch as root or with CAP_SYS_PTRACE{group} to see them"
        found.append(f"{cause}, so processes of other users {effect} ({remedy})")
    if reader.in_container:
        found.append("processes outside this PID namespace (container) are not shown")
    return found


def is_restricted(options: Mapping[str, str], reader: Reader) -> bool:
    """Whether processes of other users are kept from this reader.

    As the kernel decides (``has_pid_permissions`` in fs/proc/base.c), where process 1 does not tell.
    """
    mode = _mode(options)
    if reader.init in {"absent", "refused"}:
        return reader.init == "absent" or mode != "0"
    if reader.init == "shown" or mode == "0" or reader.may_trace_all:
        return False
    return mode == "4" or int(options.get("gid", "0")) not in reader.group_ids


def _mode(options: Mapping[str, str]) -> str:
    mode = options.get("hidepid", "0")
    return _HIDEPID_NUMBERS.get(mode, mode)


def mount_options(root: Path) -> dict[str, str]:
    """The options of the file system mounted at ``root``. Raises ``OSError``."""
    return parse_mount_options((root / "self/mountinfo").read_bytes(), os.stat(root).st_dev)


def parse_mount_options(mountinfo: bytes, device: int) -> dict[str, str]:
    """The options of the file system on this device, from ``/proc/PID/mountinfo`` (proc_pid_mountinfo(5)).

    By its device, since other file systems may be mounted under or over the same path. Empty if it is not listed.
    """
    wanted = b"%d:%d" % (os.major(device), os.minor(device))
    for line in mountinfo.splitlines():
        of_mount, _, of_file_system = line.partition(b" - ")
        if of_mount.split(b" ", 3)[2:3] == [wanted]:
            _, _, options = of_file_system.rpartition(b" ")
            pairs = (option.partition("=") for option in options.decode("ascii", "replace").split(","))
            return {name: value for name, _, value in pairs}
    return {}


def _reader(root: Path) -> Reader:
    status = _status((root / "self/status").read_bytes())
    return Reader(
        group_ids=frozenset({os.getegid(), *os.getgroups()}),
        may_trace_all=bool(int(status.get(b"CapEff", b"0"), 16) & _CAP_SYS_PTRACE),
        init=_init(root / "1/stat"),
        # Only if this /proc is of our namespace, which then is the only one that is listed.
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
        return "refused"
    return "own" if path.parent.stat().st_uid == os.geteuid() else "shown"
