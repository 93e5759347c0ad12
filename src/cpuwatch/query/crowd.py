"""Who runs while a process, a unit or the machine is crowded: the busiest of the other processes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cpuwatch.model import BusyProcess, MachineUsage, ProcessUsage, Verdict
from cpuwatch.query.units import UnitUsage, is_in

__all__ = ["crowd_of_machine", "crowd_of_process", "crowd_of_unit", "crowd_text"]

_MAX_CROWD = 3
_MIN_PERCENT = 1.0
"""A process that uses less of a CPU takes it from nobody noticeably."""


def crowd_of_process(row: ProcessUsage, machine: MachineUsage) -> list[BusyProcess]:
    """The busiest processes while this one was crowded, otherwise none.

    The process itself is one of them if it wants more than one CPU: its threads wait for each other.
    """
    return _crowd(row.verdict, row.cpu_percent, row.wait_percent, machine, lambda other: other.pid == row.pid)


def crowd_of_unit(unit: UnitUsage, machine: MachineUsage) -> list[BusyProcess]:
    """The busiest processes while this unit was crowded, its own only if it wants more than one CPU."""
    return _crowd(
        unit.verdict, unit.cpu_percent, unit.wait_percent, machine, lambda other: is_in(other.cgroup, unit.cgroup)
    )


def crowd_of_machine(machine: MachineUsage) -> list[BusyProcess]:
    """The busiest processes while the machine was crowded, otherwise none."""
    return _crowd(machine.verdict, None, None, machine, lambda _: False)


def crowd_text(crowd: Iterable[BusyProcess]) -> str:
    """``stress-ng (4711), make (98)``."""
    return ", ".join(f"{other.name} ({other.pid})" for other in crowd)


def _crowd(
    verdict: Verdict | None,
    cpu_percent: float | None,
    wait_percent: float | None,
    machine: MachineUsage,
    is_own: Callable[[BusyProcess], bool],
) -> list[BusyProcess]:
    if verdict != "crowded":
        return []
    wants_more_than_one_cpu = (cpu_percent or 0.0) + (wait_percent or 0.0) > 100
    crowd = [
        other
        for other in machine.busiest
        if other.total_percent >= _MIN_PERCENT and (wants_more_than_one_cpu or not is_own(other))
    ]
    return crowd[:_MAX_CROWD]
