"""The details of a unit. Pure."""

from __future__ import annotations

from cpuwatch.model import MachineUsage
from cpuwatch.query.crowd import crowd_of_unit, crowd_text
from cpuwatch.query.units import UnitUsage
from cpuwatch.terminal.model.text import UNKNOWN, Fields, Line, Screen, duration, fitted, percent

__all__ = ["unit_lines"]


def unit_lines(unit: UnitUsage, machine: MachineUsage, screen: Screen) -> list[Line]:
    """A unit: its sums, its limits, what they cost, and which processes crowd it."""
    fields = Fields(screen)
    crowd = crowd_of_unit(unit, machine)
    quota = "none" if unit.quota_cpus is None else f"{unit.quota_cpus:.2f} CPUs, {percent(unit.quota_percent)}% used"
    limit = UNKNOWN if unit.limit_cpus is None else f"{unit.limit_cpus:.2f} CPUs"
    lines = [
        [
            ("bold", screen.shown(unit.group or "(unknown)")),
            ("dim", f"   {unit.processes} processes   Enter lists them, Esc closes"),
        ],
        fields.line(
            ("total", percent(unit.cpu_percent)),
            ("exited", percent(unit.exited_percent)),
            ("user", percent(unit.user_percent)),
            ("system", percent(unit.system_percent)),
            ("CPU time", duration(unit.cpu_seconds)),
        ),
        fields.line(
            ("verdict", unit.verdict or UNKNOWN),
            ("waiting", percent(unit.wait_percent)),
            ("throttled", percent(unit.throttled_percent)),
            ("pressure", percent(unit.pressure_percent)),
            *([("by", crowd_text(crowd))] if crowd else []),
        ),
        fields.line(("quota", quota), ("limit", limit if unit.limited_by is None else f"{limit} by {unit.limited_by}")),
        fields.line(
            ("throttled periods", percent(unit.throttled_periods_percent)),
            ("throttled time", percent(unit.quota_throttled_percent)),
        ),
        fields.line(("type", unit.type or UNKNOWN), ("cgroup", unit.cgroup or UNKNOWN)),
    ]
    return [fitted(line, screen.columns) for line in lines]
