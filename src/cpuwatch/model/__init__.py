"""The values that flow through cpuwatch: raw readings on one side, snapshots of usage on the other.

All are frozen :class:`msgspec.Struct`. Raw amounts are integers of nanoseconds, as the kernel counts them;
snapshots show floats: percent and seconds. ``None`` means unknown; an unknown value is never 0 and never a guess.

Times of day are aware UTC datetimes. On the wire they are RFC 3339 with microseconds; a fraction of exactly zero is
omitted (msgspec's form).
"""

from __future__ import annotations

from cpuwatch.model.host import NO_NAMES, Host
from cpuwatch.model.readings import (
    CgroupTimes,
    CpuTimes,
    MachineTimes,
    PidNamespace,
    ProcessExit,
    ProcessTimes,
    Reading,
)
from cpuwatch.model.snapshots import (
    Attribution,
    BusyProcess,
    CgroupUsage,
    ExitedUsage,
    MachineUsage,
    ProcessUsage,
    Sampling,
    Snapshot,
    Verdict,
)

__all__ = [
    "NO_NAMES",
    "Attribution",
    "BusyProcess",
    "CgroupTimes",
    "CgroupUsage",
    "CpuTimes",
    "ExitedUsage",
    "Host",
    "MachineTimes",
    "MachineUsage",
    "PidNamespace",
    "ProcessExit",
    "ProcessTimes",
    "ProcessUsage",
    "Reading",
    "Sampling",
    "Snapshot",
    "Verdict",
]
