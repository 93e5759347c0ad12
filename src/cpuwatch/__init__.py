"""cpuwatch shows which processes use the CPU, every second, including those that lived for less than one.

>>> import cpuwatch
>>> snapshot = cpuwatch.sample(interval=0.1)
>>> busiest = cpuwatch.top(snapshot, 3).processes
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cpuwatch.accounting.reaped import NO_CARRY, Carry
from cpuwatch.accounting.usage import account, usage
from cpuwatch.encoding.arrow import to_arrow, to_pandas, to_polars
from cpuwatch.encoding.json import decode, encode, encode_view
from cpuwatch.encoding.ndjson import encode_lines
from cpuwatch.encoding.table import table
from cpuwatch.errors import CpuwatchError
from cpuwatch.history import SnapshotStore
from cpuwatch.measuring.block import Measurement, measure
from cpuwatch.measuring.used import GroupUsed
from cpuwatch.model import (
    Attribution,
    BusyProcess,
    CgroupTimes,
    CgroupUsage,
    CpuTimes,
    ExitedUsage,
    Host,
    MachineTimes,
    MachineUsage,
    ProcessExit,
    ProcessTimes,
    ProcessUsage,
    Reading,
    Sampling,
    Snapshot,
    Verdict,
)
from cpuwatch.monitor import Monitor
from cpuwatch.one_shot import sample, threads
from cpuwatch.query.cgroup_name import cgroup_name
from cpuwatch.query.group import TreeUsage, UsageGroup, by_name, by_tree, by_user
from cpuwatch.query.select import Query, select, top
from cpuwatch.query.units import UnitUsage, by_cgroup
from cpuwatch.query.view import GroupedSnapshot, View, apply_view
from cpuwatch.recording.reader import Recording, open_recording
from cpuwatch.recording.recorder import Recorder
from cpuwatch.recording.retention import RecordingLimits
from cpuwatch.recording.summary import summarize
from cpuwatch.recording.timeline import timeline
from cpuwatch.samplers import OpenSampler, Sampler, open_sampler
from cpuwatch.samplers.scripted import ScriptedSampler
from cpuwatch.snapshot_source import Health
from cpuwatch.thread_usage import ThreadsSnapshot, ThreadUsage
from cpuwatch.tick_id import TickId

__all__ = [
    "NO_CARRY",
    "Attribution",
    "BusyProcess",
    "Carry",
    "CgroupTimes",
    "CgroupUsage",
    "CpuTimes",
    "CpuwatchError",
    "ExitedUsage",
    "GroupUsed",
    "GroupedSnapshot",
    "Health",
    "Host",
    "MachineTimes",
    "MachineUsage",
    "Measurement",
    "Monitor",
    "OpenSampler",
    "ProcessExit",
    "ProcessTimes",
    "ProcessUsage",
    "Query",
    "Reading",
    "Recorder",
    "Recording",
    "RecordingLimits",
    "Sampler",
    "Sampling",
    "ScriptedSampler",
    "Snapshot",
    "SnapshotStore",
    "ThreadUsage",
    "ThreadsSnapshot",
    "TickId",
    "TreeUsage",
    "UnitUsage",
    "UsageGroup",
    "Verdict",
    "View",
    "__version__",
    "account",
    "apply_view",
    "by_cgroup",
    "by_name",
    "by_tree",
    "by_user",
    "cgroup_name",
    "decode",
    "encode",
    "encode_lines",
    "encode_view",
    "measure",
    "open_recording",
    "open_sampler",
    "sample",
    "select",
    "summarize",
    "table",
    "threads",
    "timeline",
    "to_arrow",
    "to_pandas",
    "to_polars",
    "top",
    "usage",
]

if TYPE_CHECKING:
    __version__: str
else:
    # Hidden from type checkers, for which it would make every name an attribute of this module.
    def __getattr__(name: str) -> str:
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        # Importing it would take longer than importing all of cpuwatch.
        from importlib.metadata import version  # noqa: PLC0415

        return version("cpuwatch")
