"""The machine that readings and snapshots are of."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["NO_NAMES", "Host"]

NO_NAMES = "unavailable: this sampler does not report exits"


class Host(Struct, frozen=True, gc=False):
    """The machine that was read, and how.

    ``boot_id`` changes at every boot (``/proc/sys/kernel/random/boot_id``, or ``boot-`` and the boot time where that is
    hidden), so (boot_id, key) identifies one process forever. ``backend`` names the sampler (``procfs/clock``,
    ``procfs/stat``, ``psutil``, ...), and ``clock_resolution_seconds`` is the step of its CPU clock: 1e-9 for CPU
    clocks, 0.01 for the kernel's ticks.
    """

    name: str
    boot_id: str
    logical_cpus: int
    backend: str
    clock_resolution_seconds: float
