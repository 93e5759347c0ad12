"""The machine's own files under a /proc: ``stat`` and ``loadavg``, held open, and the identity of the boot."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from cpuwatch.errors import SamplerError, SamplerUnavailableError
from cpuwatch.samplers.procfs.parse import KernelLoad, KernelStat, parse_kernel_load, parse_kernel_stat
from cpuwatch.samplers.procfs.visibility import mount_options

__all__ = ["KernelFiles", "boot_id"]

_LOADAVG_BYTES = 256
_LET_IT_SEE = "let this process see the kernel's own /proc/stat"


class KernelFiles:
    """Read once a tick. Held open, so they can still be read when descriptors have run out.

    Raises :class:`SamplerUnavailableError` if ``stat`` cannot be read. ``loadavg`` can be missing, as sandboxes and
    ``ProcSubset=`` hide it: without it there is no load average, and no last PID.
    """

    def __init__(self, root: Path, tick_ns: int) -> None:
        self._root = root
        self._tick_ns = tick_ns
        self._stat_bytes = 16_384
        self._loadavg: int | None = None
        try:
            self._stat = os.open(root / "stat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise SamplerUnavailableError(_why_unusable(root, error)) from error
        try:
            self.stat()
        except (OSError, SamplerError) as error:
            os.close(self._stat)
            raise SamplerUnavailableError(f"{error} (it is masked: {_LET_IT_SEE})") from error
        with suppress(OSError):
            self._loadavg = os.open(root / "loadavg", os.O_RDONLY | os.O_CLOEXEC)

    def stat(self) -> KernelStat:
        """The CPUs' times and the number of forks. Raises :class:`SamplerError` if the file makes no sense."""
        # Its length grows with the CPUs and interrupts of the machine. It is made anew at each read(2), and comes whole
        # if there is room for it: to ask at its end whether that was all would make the kernel write it twice.
        size = self._stat_bytes
        while len(data := os.pread(self._stat, size, 0)) == size:
            size *= 2
        self._stat_bytes = size
        try:
            return parse_kernel_stat(data, self._tick_ns)
        except ValueError as error:
            raise SamplerError(f"cannot parse {self._root}/stat: {error}") from error

    def load(self) -> KernelLoad | None:
        """The load averages and the last PID given out; None if the file is missing, masked or makes no sense."""
        if self._loadavg is None:
            return None
        try:
            return parse_kernel_load(os.pread(self._loadavg, _LOADAVG_BYTES, 0))
        except (OSError, ValueError):
            return None

    def close(self) -> None:
        """Close both files."""
        os.close(self._stat)
        if self._loadavg is not None:
            os.close(self._loadavg)


def boot_id(root: Path) -> str:
    """``sys/kernel/random/boot_id`` under this /proc; where that is masked, a stand-in made of the boot time.

    The stand-in is the same for every reader on the machine, unless the wall clock is set.
    """
    with suppress(OSError, UnicodeDecodeError):
        if found := (root / "sys/kernel/random/boot_id").read_text("ascii").strip():
            return found
    return f"boot-{_boot_time(root)}"


def _boot_time(root: Path) -> int:
    """Seconds from 1970 to the boot, as the kernel keeps it; that is steadier than the difference of two clocks."""
    with suppress(OSError, ValueError):
        _, _, rest = (root / "stat").read_bytes().partition(b"\nbtime ")
        return int(rest.split(b"\n", 1)[0])
    return round(time.time() - time.clock_gettime(time.CLOCK_BOOTTIME))


def _why_unusable(root: Path, error: OSError) -> str:
    """What is wrong with a /proc whose ``stat`` cannot be opened, and what to do about it."""
    message = f"cannot read {root}/stat: {error.strerror}"
    if not isinstance(error, FileNotFoundError):
        return message
    options: dict[str, str] = {}
    with suppress(OSError):
        options = mount_options(root)
    if options.get("subset") == "pid":
        return f"{message} ({root} is mounted with subset=pid: mount it without, or set ProcSubset=all in systemd)"
    if any(name.isdigit() for name in _names(root)):
        return f"{message} (it is masked: {_LET_IT_SEE})"
    return f"{message} (no proc file system is mounted on {root}: mount -t proc proc {root})"


def _names(root: Path) -> list[str]:
    try:
        return os.listdir(root)
    except OSError:
        return []
