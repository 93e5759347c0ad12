"""Why something is slow although it uses little CPU, in one word. Pure.

The rules and their limits are described in docs/accounting.md.
"""

from __future__ import annotations

from cpuwatch.model import MachineUsage, Verdict

__all__ = ["IDLE_MACHINE_PERCENT", "stolen_share", "verdict_of"]

IDLE_PERCENT = 1.0
"""A process or a unit that wants less than this, in percent of one CPU, is idle."""

IDLE_MACHINE_PERCENT = 5.0
"""A machine whose processes want less than this, in percent of all its CPUs, is idle. A desktop at rest is below."""

_MIN_DENIED_SHARE = 0.1
"""Being denied a smaller share of what it wants slows nothing down noticeably."""

_MIN_WAIT_PERCENT = 5.0
"""A thread waits some microseconds at every wakeup, even on an idle CPU. So a process that wakes up often and runs
little waits for a large share of what it wants, and is not slowed down."""

_MIN_STEAL_PERCENT = 2.0
"""Steal is counted in ticks, so less than this is rounding."""


def verdict_of(
    used_percent: float | None,
    wait_percent: float | None,
    throttled_percent: float | None,
    stolen: float,
    idle_percent: float = IDLE_PERCENT,
) -> Verdict | None:
    """Whether something got the CPU that it wanted, or the main reason why not.

    The percentages are of one CPU. ``throttled_percent`` is a part of ``wait_percent``; ``stolen`` comes from
    :func:`stolen_share`. The result is None if one of the amounts is unknown and matters.
    """
    if used_percent is None or wait_percent is None:
        return None
    wanted_percent = used_percent + wait_percent
    if wanted_percent < idle_percent:
        return "idle"
    denied_share = wait_percent / wanted_percent if wait_percent >= _MIN_WAIT_PERCENT else 0.0
    if denied_share + stolen < _MIN_DENIED_SHARE:
        return "busy"
    return _main_reason(denied_share, None if throttled_percent is None else throttled_percent / wanted_percent, stolen)


def _main_reason(denied_share: float, throttled_share: float | None, stolen: float) -> Verdict | None:
    if stolen > denied_share:
        return "stolen"
    if throttled_share is None:
        return None
    crowded_share = denied_share - throttled_share
    if stolen > max(crowded_share, throttled_share):
        return "stolen"
    return "throttled" if throttled_share > crowded_share else "crowded"


def stolen_share(machine: MachineUsage) -> float:
    """The share of the CPU time wanted on this machine that the hypervisor gave to others, 0..1.

    It is an average: which processes were running at those moments is unknown.
    """
    steal_percent, busy_percent = machine.steal_percent, machine.cpu_percent
    if steal_percent is None or not busy_percent or steal_percent < _MIN_STEAL_PERCENT:
        return 0.0
    return steal_percent / busy_percent
