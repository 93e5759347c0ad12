"""Turns a moment into the rows of the table, in order. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, TypeVar

from msgspec.structs import replace

from cpuwatch.accounting.kernel_threads import KTHREADD, kernel_threads_are_visible
from cpuwatch.model import Snapshot
from cpuwatch.query.group import by_name, by_tree, by_user
from cpuwatch.query.select import cgroups_of, in_order
from cpuwatch.query.units import by_cgroup
from cpuwatch.terminal.model.filter import row_test
from cpuwatch.terminal.model.rows import Item, Moment, Row, group_row, tree_row, unit_row
from cpuwatch.terminal.model.state import ViewState

__all__ = ["arranged"]

_Kind = TypeVar("_Kind", bound=Item)
_GROUPINGS = {"name": by_name, "user": by_user}

_Children = Mapping[int | str | None, Sequence[Row]]
"""The rows below each row, by its PID or by the path of its unit; those of None are the roots."""


def arranged(moment: Moment, state: ViewState, order: Sequence[str] = ()) -> list[Item]:
    """The rows of the view, sorted.

    While the cursor is in the table, rows stay in the ``order`` in which they were shown before, and new ones come
    last, so that the row under the cursor does not move away. In a tree this holds below each parent.

    Raises the errors of :func:`~cpuwatch.terminal.model.filter.row_test`.
    """
    test = row_test(state.filter)
    places = {key: place for place, key in enumerate(order)} if state.cursor is not None else {}
    moment = moment if state.kernel_threads else _without_kernel_threads(moment)
    if state.view == "tree":
        return _tree(moment, state, test, places)
    rows: list[Item] = [*moment.processes, *moment.fading.values()]
    if test is not None:
        rows = list(filter(test, rows))
    if state.view == "unit":
        return _units(moment.snapshot if test is None else _part(moment, rows), state, places)
    if state.view:
        rows = _grouped(moment, rows, state.view)
    return _held(in_order(rows, state.sort, descending=state.descending), places)


def _without_kernel_threads(moment: Moment) -> Moment:
    if not kernel_threads_are_visible(moment.processes):
        return moment
    processes = [row for row in moment.processes if KTHREADD not in {row.pid, row.ppid}]
    fading = {key: row for key, row in moment.fading.items() if row.ppid != KTHREADD}
    return Moment(replace(moment.snapshot, processes=processes), processes, fading)


def _grouped(moment: Moment, rows: Iterable[Item], field: Literal["name", "user"]) -> list[Item]:
    return [group_row(group, field) for group in _GROUPINGS[field](_part(moment, rows))]


def _part(moment: Moment, rows: Iterable[Item]) -> Snapshot:
    """The snapshot with only these rows."""
    kept = {row.key for row in rows}
    exited = [row for row in moment.snapshot.exited if f"exited {row.parent_pid} {row.user} {row.name}" in kept]
    processes = [row for row in moment.processes if row.key in kept]
    cgroups = cgroups_of(processes, moment.snapshot.cgroups)
    return replace(moment.snapshot, processes=processes, exited=exited, cgroups=cgroups)


def _held(rows: list[_Kind], places: Mapping[str, int]) -> list[_Kind]:
    return sorted(rows, key=lambda row: places.get(row.key, len(places)))


def _units(snapshot: Snapshot, state: ViewState, places: Mapping[str, int]) -> list[Item]:
    children: defaultdict[int | str | None, list[Row]] = defaultdict(list)
    for unit in by_cgroup(snapshot):
        children[unit.parent].append(unit_row(unit))
    return list(_in_tree_order(children, lambda row: row.cgroup or "", state, places))


def _tree(
    moment: Moment, state: ViewState, test: Callable[[Item], bool] | None, places: Mapping[str, int]
) -> list[Item]:
    processes = {row.pid: row for row in moment.processes}
    parents: dict[int, int | None] = {}
    children: defaultdict[int | str | None, list[Row]] = defaultdict(list)
    for tree in by_tree(moment.snapshot):
        row = tree_row(tree, processes.get(tree.pid or -1) if tree.pid is not None else None)
        parents[row.pid] = tree.parent
        children[tree.parent].append(row)
    if test is None:
        for exited in moment.fading.values():
            if exited.ppid in processes:
                children[exited.ppid].append(exited)
    else:
        kept = _with_ancestors(filter(test, moment.processes), parents)
        children = defaultdict(list, {at: [row for row in rows if row.pid in kept] for at, rows in children.items()})
    return list(_in_tree_order(children, _pid_of_branch, state, places))


def _pid_of_branch(row: Row) -> int:
    return row.pid if row.kind == "branch" and row.pid else -1


def _with_ancestors(rows: Iterable[Item], parents: Mapping[int, int | None]) -> set[int]:
    """The PIDs of these rows and of all their ancestors, so that a filtered tree stays connected."""
    kept: set[int] = set()
    for row in rows:
        at: int | None = row.pid
        while at is not None and at not in kept:
            kept.add(at)
            at = parents.get(at)
    return kept


def _in_tree_order(
    children: _Children, place_of: Callable[[Row], int | str], state: ViewState, places: Mapping[str, int]
) -> Iterable[Row]:
    def siblings(parent: int | str | None, depth: int) -> list[tuple[Row, int]]:
        rows = children.get(parent)
        if not rows:
            return []
        ordered = _held(in_order(list(rows), state.sort, descending=state.descending), places)
        return [(row, depth) for row in reversed(ordered)]

    stack = siblings(None, 0)
    while stack:
        row, depth = stack.pop()
        below = siblings(place_of(row), depth + 1)
        closed = row.key in state.closed
        yield replace(row, depth=depth, branch="" if not below else "closed" if closed else "open")
        if not closed:
            stack += below
