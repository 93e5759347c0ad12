"""Selects processes of a snapshot: filter, sort, first N. Pure: a snapshot in, a snapshot out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Literal, Protocol, TypeVar, get_args

from msgspec import Struct
from msgspec.structs import replace

from cpuwatch.accounting.cgroups import path_with_ancestors
from cpuwatch.accounting.kernel_threads import KTHREADD, kernel_threads_are_visible
from cpuwatch.errors import QueryError
from cpuwatch.fields import FIELDS, SortKey
from cpuwatch.model import CgroupUsage, ExitedUsage, ProcessUsage, Snapshot
from cpuwatch.parse import invalid_choice
from cpuwatch.query.name_pattern import compile_name_pattern

__all__ = ["DEFAULT_SORT", "Order", "Query", "Sortable", "cgroups_of", "in_order", "select", "sorted_by", "top"]

Order = Literal["asc", "desc"]


class Sortable(Protocol):
    """What has the fields by which processes are ordered; further fields are optional."""

    @property
    def pid(self) -> int:
        """PID; 0 if the row is not one process."""
        ...

    @property
    def cpu_seconds(self) -> float | None:
        """CPU time since the start."""
        ...

    @property
    def total_percent(self) -> float | None:
        """Own CPU use, and that of exited descendants."""
        ...


_Row = TypeVar("_Row")
_SortableRow = TypeVar("_SortableRow", bound=Sortable)


DEFAULT_SORT: SortKey = "total_percent"
"""Puts the culprit first: a shell whose loop starts thousands of programs uses little CPU itself."""


class Query(Struct, frozen=True, gc=False):
    """Which processes to show, and in which order. Criteria that are not set match all processes.

    ``name`` is a pattern (:mod:`cpuwatch.query.name_pattern`). Without ``order``, numbers are in descending order,
    ``pid`` and texts in ascending order. ``min_percent`` is the minimum ``total_percent``.

    Raises :class:`~cpuwatch.errors.QueryError` for a ``top`` below 1 and an unknown ``sort`` or ``order``.
    """

    top: int | None = None
    sort: SortKey = DEFAULT_SORT
    order: Order | None = None
    name: str | None = None
    pids: frozenset[int] = frozenset()
    users: frozenset[str] = frozenset()
    states: frozenset[str] = frozenset()
    min_percent: float | None = None
    kernel_threads: bool = True

    def __post_init__(self) -> None:
        if self.top is not None and self.top < 1:
            raise QueryError(f"invalid top {self.top}: must be 1 or more")
        if self.sort not in get_args(SortKey):
            raise QueryError(invalid_choice("sort", self.sort, get_args(SortKey)))
        if self.order is not None and self.order not in get_args(Order):
            raise QueryError(invalid_choice("order", self.order, get_args(Order)))


def select(snapshot: Snapshot, query: Query) -> Snapshot:
    """The processes, living and exited, that match the query. Machine and attribution still cover all processes.

    ``cgroups`` are narrowed to those of the processes and their ancestors.
    Exited processes have no state; ``pids`` applies to their ``parent_pid``. Unknown values match nothing and come
    last. Raises :class:`~cpuwatch.errors.PatternError` for an invalid ``name``.
    """
    matches_name = None if query.name is None else compile_name_pattern(query.name)
    if not query.kernel_threads:
        snapshot = _without_kernel_threads(snapshot)
    processes, exited, cgroups = list(snapshot.processes), snapshot.exited, snapshot.cgroups
    if not _matches_all(query):
        processes = list(filter(_process_filter(query, matches_name), processes))
        exited = list(filter(_exited_filter(query, matches_name), exited))
    descending = FIELDS[query.sort].descends if query.order is None else query.order == "desc"
    exited_key = query.sort if query.sort in {"name", "user"} else "cpu_percent"
    processes = in_order(processes, query.sort, descending=descending)
    exited = sorted_by(_busiest_exited_first(exited), exited_key, descending=descending)
    processes = processes[: query.top]
    if cgroups and len(processes) < len(snapshot.processes):
        cgroups = cgroups_of(processes, cgroups)
    return replace(snapshot, processes=processes, exited=exited[: query.top], cgroups=cgroups)


def cgroups_of(processes: Iterable[ProcessUsage], cgroups: Iterable[CgroupUsage]) -> list[CgroupUsage]:
    """Those that contain one of the processes, directly or not."""
    paths = {row.cgroup for row in processes}
    needed = {above for path in paths if path is not None for above in path_with_ancestors(path)}
    needed.update(limited_by for row in cgroups if (limited_by := row.limited_by) is not None and row.path in needed)
    return [row for row in cgroups if row.path in needed]


def top(snapshot: Snapshot, count: int | None = None) -> Snapshot:
    """The ``count`` busiest processes by ``total_percent``, and the busiest groups of exited ones, busiest first.

    Processes of unknown percentage come last; ties are ordered by CPU time, then by PID.
    Raises :class:`~cpuwatch.errors.QueryError` for a ``count`` below 1.
    """
    return select(snapshot, Query(top=count))


def _without_kernel_threads(snapshot: Snapshot) -> Snapshot:
    if not kernel_threads_are_visible(snapshot.processes):
        return snapshot
    return replace(
        snapshot,
        processes=[row for row in snapshot.processes if KTHREADD not in {row.pid, row.ppid}],
        exited=[row for row in snapshot.exited if row.parent_pid != KTHREADD],
    )


def _process_filter(query: Query, matches_name: Callable[[str], bool] | None) -> Callable[[ProcessUsage], bool]:
    def matches(row: ProcessUsage) -> bool:
        return (
            (matches_name is None or matches_name(row.name))
            and (not query.pids or row.pid in query.pids)
            and (not query.users or row.user in query.users)
            and (not query.states or row.state in query.states)
            and (query.min_percent is None or _reaches(row.total_percent, query.min_percent))
        )

    return matches


def _exited_filter(query: Query, matches_name: Callable[[str], bool] | None) -> Callable[[ExitedUsage], bool]:
    def matches(row: ExitedUsage) -> bool:
        return (
            not query.states
            and (matches_name is None or (row.name is not None and matches_name(row.name)))
            and (not query.pids or row.parent_pid in query.pids)
            and (not query.users or row.user in query.users)
            and (query.min_percent is None or _reaches(row.cpu_percent, query.min_percent))
        )

    return matches


def _reaches(percent: float | None, minimum: float) -> bool:
    return percent is not None and percent >= minimum


def _matches_all(query: Query) -> bool:
    return query.name is None and query.min_percent is None and not (query.pids or query.users or query.states)


# Python's sort is stable in both directions, and fast if the key is a single float: several passes, the most
# significant one last, take a fifth of the time of one pass over tuples.


def sorted_by(rows: list[_Row], key: str, *, descending: bool) -> list[_Row]:
    """The rows sorted by a field, stably; unknown values come last."""
    value = attrgetter(key)
    known = [row for row in rows if value(row) is not None]
    known.sort(key=value, reverse=descending)
    return known if len(known) == len(rows) else known + [row for row in rows if value(row) is None]


def in_order(rows: list[_SortableRow], sort: str, *, descending: bool) -> list[_SortableRow]:
    """The rows sorted by a field. Equal ones are in the order of total use, CPU time and PID, unknown ones last."""
    rows = sorted(rows, key=attrgetter("pid"))
    rows = sorted_by(rows, "cpu_seconds", descending=True)
    rows = sorted_by(rows, DEFAULT_SORT, descending=True)
    return rows if (sort, descending) == (DEFAULT_SORT, True) else sorted_by(rows, sort, descending=descending)


def _busiest_exited_first(rows: list[ExitedUsage]) -> list[ExitedUsage]:
    return sorted_by(sorted(rows, key=lambda row: row.count or 0, reverse=True), "cpu_percent", descending=True)
