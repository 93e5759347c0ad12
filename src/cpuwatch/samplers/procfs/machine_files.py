"""Facts about the whole machine: ``stat`` and ``loadavg`` under /proc, the boot ID, the number of CPUs."""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from pathlib import Path

from cpuwatch.errors import SamplerError, SamplerUnavailableError
from cpuwatch.samplers.procfs.parse import (
    MachineLoad,
    MachineStat,
    parse_machine_load,
    parse_machine_stat,
    pressure_ns,
)
from cpuwatch.samplers.procfs.visibility import mount_options

__all__ = ["MachineFiles", "boot_id", "present_cpus"]

_LOADAVG_BYTES = 256
_PRESSURE_BYTES = 256
_PRESENT_CPUS = Path("/sys/devices/system/cpu/present")
_REMEDY_IF_MASKED = "let this process see the kernel's own /proc/stat"


class MachineFiles:
    """Keeps ``stat``, ``loadavg`` and ``pressure/cpu`` open, to read them even when the program is out of descriptors.

    Raises :class:`SamplerUnavailableError` if ``stat`` cannot be read. Sandboxes and ``ProcSubset=`` can hide
    ``loadavg``; without it the load average and the last PID are unknown. Kernels without pressure stall information
    (``psi=0``) have no ``pressure/cpu``.
    """

    def __init__(self, root: Path, tick_ns: int) -> None:
        self._root = root
        self._tick_ns = tick_ns
        self._stat_bytes = 16_384
        self._loadavg: int | None = None
        self._pressure: int | None = None
        try:
            self._stat = os.open(root / "stat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise SamplerUnavailableError(_why_unusable(root, error)) from error
        try:
            self.stat()
        except (OSError, SamplerError) as error:
            os.close(self._stat)
            raise SamplerUnavailableError(f"{error} (it is masked: {_REMEDY_IF_MASKED})") from error
        with suppress(OSError):
            self._loadavg = os.open(root / "loadavg", os.O_RDONLY | os.O_CLOEXEC)
        with suppress(OSError):
            self._pressure = os.open(root / "pressure" / "cpu", os.O_RDONLY | os.O_CLOEXEC)

    def stat(self) -> MachineStat:
        """The times of the CPUs and the number of forks. Raises :class:`SamplerError` if the file is malformed."""
        # The file grows with the machine's CPUs and interrupts. The kernel generates it for each read(2), and returns
        # all of it if the buffer is large enough. A second read(2) at its end would generate it twice.
        size = self._stat_bytes
        while len(data := os.pread(self._stat, size, 0)) == size:
            size *= 2
        self._stat_bytes = size
        try:
            return parse_machine_stat(data, self._tick_ns)
        except ValueError as error:
            raise SamplerError(f"cannot parse {self._root}/stat: {error}") from error

    def load(self) -> MachineLoad | None:
        """The load averages and the last PID; None if the file is missing, masked or malformed."""
        if self._loadavg is None:
            return None
        try:
            return parse_machine_load(os.pread(self._loadavg, _LOADAVG_BYTES, 0))
        except (OSError, ValueError):
            return None

    def pressure_ns(self) -> int | None:
        """The time in which a thread was runnable but got no CPU, in whole milliseconds; None if it is not counted.

        Where it is switched off, the file can exist and reading it fails.
        """
        if self._pressure is None:
            return None
        try:
            return pressure_ns(os.pread(self._pressure, _PRESSURE_BYTES, 0))
        except (OSError, ValueError):
            return None

    def close(self) -> None:
        """Close the files."""
        for fd in (self._stat, self._loadavg, self._pressure):
            if fd is not None:
                os.close(fd)


def boot_id(root: Path) -> str:
    """``sys/kernel/random/boot_id`` under this /proc; if that is masked, a substitute made from the boot time.

    The substitute is the same for every reader on the machine, unless the wall clock is set.
    """
    with suppress(OSError, UnicodeDecodeError):
        if found := (root / "sys/kernel/random/boot_id").read_text("ascii").strip():
            return found
    return f"boot-{_boot_time(root)}"


def _boot_time(root: Path) -> int:
    """The boot time in Unix seconds: the kernel's own if possible, as the difference of two clocks varies."""
    with suppress(OSError, ValueError):
        _, _, rest = (root / "stat").read_bytes().partition(b"\nbtime ")
        return int(rest.split(b"\n", 1)[0])
    return round(time.time() - time.clock_gettime(time.CLOCK_BOOTTIME))


def present_cpus() -> int | None:
    """The number of CPUs in ``/sys/devices/system/cpu/present`` (a list like ``0-3,8``); None if it cannot be parsed.

    lxcfs limits ``/proc/stat`` and ``online`` to the CPUs of a container's quota, but not this file.
    """
    try:
        text = _PRESENT_CPUS.read_text("ascii")
    except (OSError, UnicodeDecodeError):
        return os.cpu_count()
    ranges = re.findall(r"(\d+)(?:-(\d+))?", text)
    return sum(int(last or first) - int(first) + 1 for first, last in ranges) or None


def _why_unusable(root: Path, error: OSError) -> str:
    """Why ``stat`` under this /proc cannot be opened, and what to do about it."""
    message = f"cannot read {root}/stat: {error.strerror}"
    if not isinstance(error, FileNotFoundError):
        return message
    options: dict[str, str] = {}
    with suppress(OSError):
        options = mount_options(root)
    if options.get("subset") == "pid":
        return f"{message} ({root} is mounted with subset=pid: remount it without, or set ProcSubset=all in systemd)"
    if any(name.isdigit() for name in _names(root)):
        return f"{message} (it is masked: {_REMEDY_IF_MASKED})"
    return f"{message} (no proc file system is mounted on {root}: mount -t proc proc {root})"


def _names(root: Path) -> list[str]:
    try:
        return os.listdir(root)
    except OSError:
        return []
