"""cpuwatch: what burns the CPU on this machine, each process, each second, in nanoseconds.

>>> import cpuwatch
>>> snapshot = cpuwatch.sample(interval=0.1)
>>> busiest = cpuwatch.top(snapshot, 3).processes
"""

from __future__ import annotations

from cpuwatch.encoding.json import decode, encode
from cpuwatch.errors import CpuwatchError
from cpuwatch.model import (
    Attribution,
    CpuTimes,
    ExitedUsage,
    Host,
    MachineTimes,
    MachineUsage,
    ProcessTimes,
    ProcessUsage,
    Reading,
    Sampling,
    Snapshot,
)
from cpuwatch.monitor import Health, Monitor
from cpuwatch.one_shot import sample
from cpuwatch.query import top
from cpuwatch.samplers import OpenSampler, Sampler, open_sampler
from cpuwatch.samplers.scripted import ScriptedSampler
from cpuwatch.usage import usage

__all__ = [
    "Attribution",
    "CpuTimes",
    "CpuwatchError",
    "ExitedUsage",
    "Health",
    "Host",
    "MachineTimes",
    "MachineUsage",
    "Monitor",
    "OpenSampler",
    "ProcessTimes",
    "ProcessUsage",
    "Reading",
    "Sampler",
    "Sampling",
    "ScriptedSampler",
    "Snapshot",
    "decode",
    "encode",
    "open_sampler",
    "sample",
    "top",
    "usage",
]
