"""Choosing among the processes of a snapshot: filter, sort, the first N. Pure: a snapshot in, a snapshot out."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Literal, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from cpuwatch.accounting.kernel_threads import KTHREADD, kernel_threads_are_shown
from cpuwatch.model import ExitedUsage, ProcessUsage, Snapshot
from cpuwatch.query.name_pattern import compile_name_pattern

__all__ = ["Query", "SortKey", "select", "top"]

SortKey = Literal[
    "pid",
    "name",
    "user",
    "threads",
    "cpu_percent",
    "user_percent",
    "system_percent",
    "exited_percent",
    "cpu_seconds",
    "start_time",
]
_ASCENDING_BY_NATURE = {"pid", "name", "user"}
_Row = TypeVar("_Row", ProcessUsage, ExitedUsage)


class Query(Struct, frozen=True, gc=False):
    """Which processes, in which order. What is not given does not restrict.

    ``name`` is a pattern (:mod:`cpuwatch.query.name_pattern`). ``sort`` without ``order`` puts numbers from the highest
    down, ``pid`` and texts from the lowest up; ``top`` or ``order`` without ``sort`` means
    ``cpu_percent``.
    Without any of the three the order stays that of the snapshot. ``min_percent`` is of one CPU, as ``cpu_percent``.
    """

    top: int | None = None
    sort: SortKey | None = None
    order: Literal["asc", "desc"] | None = None
    name: str | None = None
    pids: frozenset[int] = frozenset()
    users: frozenset[str] = frozenset()
    states: frozenset[str] = frozenset()
    min_percent: float | None = None
    kernel_threads: bool = True


def select(snapshot: Snapshot, query: Query) -> Snapshot:
    """The processes, and the ended ones, that the query asks for. Machine and attribution stay those of all.

    Of ended ones there is no state, and of PIDs that of their ``parent_pid``. What is not known matches nothing and
    comes last. Raises :class:`~cpuwatch.errors.PatternError` for a bad ``name``, ``ValueError`` for a ``top`` below 0.
    """
    if query.top is not None and query.top < 0:
        raise ValueError(f"top is {query.top}: it has to be 0 or more, or None for all")
    matches_name = None if query.name is None else compile_name_pattern(query.name)
    if not query.kernel_threads:
        snapshot = _without_kernel_threads(snapshot)
    processes = list(filter(_test_of_processes(query, matches_name), snapshot.processes))
    exited = list(filter(_test_of_exited(query, matches_name), snapshot.exited))
    if (query.top, query.sort, query.order) != (None, None, None):
        key = query.sort or "cpu_percent"
        descending = (query.order or ("asc" if key in _ASCENDING_BY_NATURE else "desc")) == "desc"
        processes = _sorted(processes, key, _busiest_first, descending=descending)
        by_cpu = key if key in {"name", "user"} else "cpu_percent"
        exited = _sorted(exited, by_cpu, _busiest_exited_first, descending=descending)
    return replace(snapshot, processes=processes[: query.top], exited=exited[: query.top])


def top(snapshot: Snapshot, count: int | None = None) -> Snapshot:
    """The processes, and the groups of ended ones, that used most CPU, most first; at most ``count`` of each.

    Those without a known percentage come last; equal ones are ordered by their whole CPU time, then by PID.
    Raises ``ValueError`` for a ``count`` below 0.
    """
    return select(snapshot, Query(top=count, sort="cpu_percent"))


def _without_kernel_threads(snapshot: Snapshot) -> Snapshot:
    if not kernel_threads_are_shown(snapshot.processes):
        return snapshot
    return replace(
        snapshot,
        processes=[row for row in snapshot.processes if KTHREADD not in {row.pid, row.ppid}],
        exited=[ended for ended in snapshot.exited if ended.parent_pid != KTHREADD],
    )


def _test_of_processes(query: Query, matches_name: Callable[[str], bool] | None) -> Callable[[ProcessUsage], bool]:
    def matches(row: ProcessUsage) -> bool:
        return (
            (matches_name is None or matches_name(row.name))
            and (not query.pids or row.pid in query.pids)
            and (not query.users or row.user in query.users)
            and (not query.states or row.state in query.states)
            and (query.min_percent is None or (row.cpu_percent is not None and row.cpu_percent >= query.min_percent))
        )

    return matches


def _test_of_exited(query: Query, matches_name: Callable[[str], bool] | None) -> Callable[[ExitedUsage], bool]:
    def matches(ended: ExitedUsage) -> bool:
        return (
            not query.states
            and (matches_name is None or (ended.name is not None and matches_name(ended.name)))
            and (not query.pids or ended.parent_pid in query.pids)
            and (not query.users or ended.user in query.users)
            and (
                query.min_percent is None or (ended.cpu_percent is not None and ended.cpu_percent >= query.min_percent)
            )
        )

    return matches


def _sorted(rows: list[_Row], key: str, tie: Callable[[_Row], Any], *, descending: bool) -> list[_Row]:
    value = attrgetter(key)
    known = [row for row in rows if value(row) is not None]
    unknown = [row for row in rows if value(row) is None]
    # Sorting keeps the order of equal ones, in both directions.
    return sorted(sorted(known, key=tie), key=value, reverse=descending) + sorted(unknown, key=tie)


def _busiest_first(row: ProcessUsage) -> tuple[bool, float, float, int]:
    return row.cpu_percent is None, -(row.cpu_percent or 0), -row.cpu_seconds, row.pid


def _busiest_exited_first(ended: ExitedUsage) -> tuple[bool, float, int]:
    return ended.cpu_percent is None, -(ended.cpu_percent or 0), -(ended.count or 0)
