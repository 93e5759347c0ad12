from __future__ import annotations

from typing import cast, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields, replace
from readings import SECOND, snapshot
from strategies import snapshots

from cpuwatch import (
    GroupedSnapshot,
    ProcessUsage,
    Query,
    Snapshot,
    View,
    apply_view,
    by_cgroup,
    by_name,
    by_tree,
    by_user,
    encode,
    select,
)
from cpuwatch.errors import QueryError
from cpuwatch.fields import NAMES as FIELDS
from cpuwatch.query.view import Grouping, head

SUMS = {"name": by_name, "user": by_user, "cgroup": by_cgroup, "tree": by_tree}
groupings = st.sampled_from(get_args(Grouping))


def grouped(original: Snapshot, view: View) -> GroupedSnapshot:
    shown = apply_view(original, view)
    assert isinstance(shown, GroupedSnapshot)
    return shown


def test_the_fields_are_those_of_a_process_row() -> None:
    assert tuple(field.name for field in fields(ProcessUsage)) == FIELDS


@given(snapshots(), st.integers(1, 3))
def test_a_view_without_groups_is_its_query(original: Snapshot, count: int) -> None:
    query = Query(top=count, sort="pid")
    assert apply_view(original, View(query)) == select(original, query)
    # The encoder applies the fields: rows stay rows.
    assert apply_view(original, View(query, fields=("pid",))) == select(original, query)


@given(snapshots(), groupings)
def test_groups_are_the_sums_of_all(original: Snapshot, grouping: Grouping) -> None:
    shown = grouped(original, View(group_by=grouping))
    assert shown.group_by == grouping
    # The sum of floats depends on their order, so compare with the sums of the same rows in the order of the view.
    everything = select(original, Query())
    assert sorted(map(repr, everything.processes)) == sorted(map(repr, original.processes))
    assert sorted(map(repr, everything.exited)) == sorted(map(repr, original.exited))
    assert shown.groups == SUMS[grouping](everything)
    assert all(getattr(original, name) == value for name, value in head(shown).items())


@given(snapshots(), groupings, st.floats(0, 100))
def test_groups_are_the_sums_of_the_selected_processes(original: Snapshot, grouping: Grouping, least: float) -> None:
    query = Query(min_percent=least)
    assert grouped(original, View(query, group_by=grouping)).groups == SUMS[grouping](select(original, query))


@given(snapshots(), groupings, st.integers(1, 5))
def test_top_counts_groups_not_their_processes(original: Snapshot, grouping: Grouping, count: int) -> None:
    cut = grouped(original, View(Query(top=count), group_by=grouping))
    assert cut.groups == grouped(original, View(group_by=grouping)).groups[:count]


def test_the_busiest_group_comes_first() -> None:
    plain = snapshot((1, 10), (2, SECOND), (3, SECOND))
    rows = [replace(row, name="b" if row.pid == 1 else "a") for row in plain.processes]
    groups = grouped(replace(plain, processes=rows), View(Query(top=1), group_by="name")).groups
    assert [(group.processes, round(group.cpu_percent)) for group in groups] == [(2, 200)]


@given(snapshots())
def test_the_head_is_everything_except_the_rows(original: Snapshot) -> None:
    assert head(original).keys() | {"processes", "exited", "cgroups"} == {field.name for field in fields(Snapshot)}
    assert all(value is getattr(original, name) for name, value in head(original).items())
    encode(head(original))


def test_an_unknown_field_is_rejected_with_the_known_ones() -> None:
    with pytest.raises(QueryError, match=r"^invalid field 'nmae': did you mean name\? It must be one of pid, .*name"):
        View(fields=("pid", "nmae"))


def test_an_unknown_grouping_is_rejected_with_the_nearest() -> None:
    with pytest.raises(QueryError, match=r"^invalid group_by 'users': did you mean user\? It must be one of name, "):
        View(group_by=cast(Grouping, "users"))


@pytest.mark.parametrize("key", ["sort", "order"])
def test_groups_cannot_be_combined_with_an_order(key: str) -> None:
    with pytest.raises(QueryError, match="busiest first"):
        View(replace(Query(), **{key: "name" if key == "sort" else "asc"}), group_by="user")


def test_groups_cannot_be_combined_with_fields() -> None:
    with pytest.raises(QueryError, match="cannot be combined with group_by"):
        View(fields=("pid",), group_by="user")
