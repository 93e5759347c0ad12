"""Splits exact CPU time into user and system mode. Pure."""

from __future__ import annotations

__all__ = ["user_share"]


def user_share(cpu_ns: int, grown_ns: tuple[int, int], total_ns: tuple[int, int]) -> float | None:
    """The fraction of ``cpu_ns`` that was spent in user mode, 0..1; None if it is unknown.

    ``grown_ns`` are the user and system time that the kernel's ticks counted in the interval, ``total_ns`` those of the
    whole life. The exact clock does not distinguish modes, so its total is split in proportion to the ticks of this
    interval. If there are none, it is split in proportion to those of the whole life, as the kernel itself does
    (cputime_adjust in kernel/sched/cputime.c). The split of what never filled a tick is unknown.
    """
    if cpu_ns == 0:
        return 0.0
    user_ns, system_ns = grown_ns
    if user_ns < 0 or system_ns < 0 or user_ns + system_ns == 0:
        user_ns, system_ns = total_ns
    ticks_ns = user_ns + system_ns
    return user_ns / ticks_ns if ticks_ns > 0 else None
