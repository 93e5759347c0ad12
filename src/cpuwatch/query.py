"""Choosing among the processes of a snapshot. Pure: a snapshot in, a snapshot with other rows out."""

from __future__ import annotations

from msgspec.structs import replace

from cpuwatch.model import ExitedUsage, ProcessUsage, Snapshot

__all__ = ["top"]


def top(snapshot: Snapshot, count: int | None = None) -> Snapshot:
    """The processes, and the groups of ended ones, that used most CPU, most first; at most ``count`` of each.

    Those without a known percentage come last; equal ones are ordered by their whole CPU time, then by PID.
    Machine and attribution stay those of the whole machine. Raises ``ValueError`` for a ``count`` below 0.
    """
    if count is not None and count < 0:
        raise ValueError(f"count is {count}: it has to be 0 or more, or None for all")
    processes = sorted(snapshot.processes, key=_busiest_first)
    exited = sorted(snapshot.exited, key=_busiest_exited_first)
    return replace(snapshot, processes=processes[:count], exited=exited[:count])


def _busiest_first(row: ProcessUsage) -> tuple[bool, float, float, int]:
    return row.cpu_percent is None, -(row.cpu_percent or 0), -row.cpu_seconds, row.pid


def _busiest_exited_first(ended: ExitedUsage) -> tuple[bool, float, int]:
    return ended.cpu_percent is None, -(ended.cpu_percent or 0), -(ended.count or 0)
