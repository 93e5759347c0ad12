"""A query together with the shape of its result: whole rows, some of their fields, or sums by group. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal, get_args

from msgspec import Struct
from msgspec.structs import fields as fields_of
from msgspec.structs import replace

from cpuwatch.errors import QueryError
from cpuwatch.fields import NAMES
from cpuwatch.model import Attribution, Host, MachineUsage, Sampling, Snapshot
from cpuwatch.parse import invalid_choice
from cpuwatch.query.group import TreeUsage, UsageGroup, by_name, by_tree, by_user
from cpuwatch.query.select import DEFAULT_SORT, Query, select
from cpuwatch.query.units import UnitUsage, by_cgroup
from cpuwatch.shown_tables import GROUP_HEADINGS, grouped_rows, grouped_summary, html_table, rich_table

__all__ = ["GroupedSnapshot", "Grouping", "View", "apply_view", "head"]

Grouping = Literal["name", "user", "cgroup", "tree"]

_GROUPINGS: dict[Grouping, Callable[[Snapshot], list[UsageGroup] | list[UnitUsage] | list[TreeUsage]]] = {
    "name": by_name,
    "user": by_user,
    "cgroup": by_cgroup,
    "tree": by_tree,
}


class View(Struct, frozen=True, gc=False):
    """What to show: the processes that match ``query``, with all or only these ``fields``, or their sums by group.

    Groups are sorted by ``cpu_percent``, busiest first, and ``query.top`` limits their number. Raises
    :class:`~cpuwatch.errors.QueryError` for an unknown field or grouping, and for a grouping combined with ``fields``
    or with an order.
    """

    query: Query = Query()
    fields: tuple[str, ...] | None = None
    group_by: Grouping | None = None

    def __post_init__(self) -> None:
        for name in self.fields or ():
            if name not in NAMES:
                raise QueryError(invalid_choice("field", name, NAMES))
        if self.group_by is None:
            return
        if self.group_by not in _GROUPINGS:
            raise QueryError(invalid_choice("group_by", self.group_by, get_args(Grouping)))
        if self.fields is not None:
            raise QueryError("fields cannot be combined with group_by: it selects fields of processes, not of groups")
        if (self.query.sort, self.query.order) != (DEFAULT_SORT, None):
            raise QueryError("sort and order cannot be combined with group_by: groups are always sorted busiest first")


class GroupedSnapshot(Struct, frozen=True, gc=False):
    """A snapshot with sums by group instead of processes; the sums include exited processes."""

    sequence: int
    time: datetime
    interval_seconds: float
    sweep_seconds: float
    host: Host
    machine: MachineUsage
    attribution: Attribution
    group_by: Grouping
    groups: list[UsageGroup] | list[UnitUsage] | list[TreeUsage]
    exited_names: str
    sampling: Sampling

    def __repr__(self) -> str:
        return f"<GroupedSnapshot {grouped_summary(self)}>"

    def _repr_html_(self) -> str:
        return html_table(grouped_summary(self), GROUP_HEADINGS, grouped_rows(self))

    def __rich__(self) -> Any:
        return rich_table(grouped_summary(self), GROUP_HEADINGS, grouped_rows(self))


def apply_view(snapshot: Snapshot, view: View) -> Snapshot | GroupedSnapshot:
    """The part of a snapshot that a view shows. The encoder applies ``fields``. Raises the errors of :func:`select`."""
    if view.group_by is None:
        return select(snapshot, view.query)
    chosen = select(snapshot, replace(view.query, top=None))
    groups = _GROUPINGS[view.group_by](chosen)
    return GroupedSnapshot(**head(snapshot), group_by=view.group_by, groups=groups[: view.query.top])


def head(snapshot: Snapshot | GroupedSnapshot) -> dict[str, Any]:
    """The fields of a snapshot except its rows."""
    return {name: getattr(snapshot, name) for name in _HEAD}


_HEAD = [
    field.name for field in fields_of(Snapshot) if field.name in {other.name for other in fields_of(GroupedSnapshot)}
]
