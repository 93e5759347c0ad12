"""A query with the shape of its answer: all of a process, some of its fields, or sums of groups. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import fields as fields_of
from msgspec.structs import replace

from cpuwatch.errors import QueryError
from cpuwatch.model import Attribution, Host, MachineUsage, ProcessUsage, Sampling, Snapshot
from cpuwatch.query.group import TreeUsage, UsageGroup, by_cgroup, by_name, by_tree, by_user
from cpuwatch.query.select import Query, select

__all__ = ["FIELDS", "GroupedSnapshot", "Grouping", "View", "apply_view", "head"]

FIELDS = tuple(field.name for field in fields_of(ProcessUsage))

Grouping = Literal["name", "user", "cgroup", "tree"]

_GROUPINGS: dict[Grouping, Callable[[Snapshot], list[UsageGroup] | list[TreeUsage]]] = {
    "name": by_name,
    "user": by_user,
    "cgroup": by_cgroup,
    "tree": by_tree,
}


class View(Struct, frozen=True, gc=False):
    """What to show: which processes, and of each all, or only these ``fields``, or instead the sums of groups.

    Groups come busiest first, and ``query.top`` counts them. Raises :class:`~cpuwatch.errors.QueryError` for what
    does not go together: groups with an order of their own or with fields, and for a field that there is not.
    """

    query: Query = Query()
    fields: tuple[str, ...] | None = None
    group_by: Grouping | None = None

    def __post_init__(self) -> None:
        unknown = [name for name in self.fields or () if name not in FIELDS]
        if unknown:
            raise QueryError(f"there is no field {unknown[0]!r}; there are {', '.join(FIELDS)}")
        if self.group_by is not None and self.fields is not None:
            raise QueryError("fields and group_by do not go together: groups have fields of their own")
        if self.group_by is not None and (self.query.sort or self.query.order):
            raise QueryError("sort and order do not go with group_by: groups come busiest first")


class GroupedSnapshot(Struct, frozen=True, gc=False):
    """A snapshot with sums of groups in the place of its processes; ended ones are in the sums."""

    sequence: int
    time: datetime
    interval_seconds: float
    sweep_seconds: float
    host: Host
    machine: MachineUsage
    attribution: Attribution
    group_by: Grouping
    groups: list[UsageGroup] | list[TreeUsage]
    exited_names: str
    sampling: Sampling


def apply_view(snapshot: Snapshot, view: View) -> Snapshot | GroupedSnapshot:
    """What the view shows of a snapshot; its ``fields`` are left to the encoder. Raises what ``select`` raises."""
    if view.group_by is None:
        return select(snapshot, view.query)
    chosen = select(snapshot, replace(view.query, top=None))
    groups = _GROUPINGS[view.group_by](chosen)
    return GroupedSnapshot(**head(snapshot), group_by=view.group_by, groups=groups[: view.query.top])


def head(snapshot: Snapshot | GroupedSnapshot) -> dict[str, Any]:
    """All of a snapshot but its rows, by field."""
    return {name: getattr(snapshot, name) for name in _HEAD}


_HEAD = [
    field.name for field in fields_of(Snapshot) if field.name in {other.name for other in fields_of(GroupedSnapshot)}
]
