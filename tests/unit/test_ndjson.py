from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from readings import HOSTILE_NAMES, SECOND, snapshot
from strategies import broken_texts, snapshots

from cpuwatch import Snapshot, View, apply_view, encode_lines, encode_view
from cpuwatch.fields import NAMES as FIELDS
from cpuwatch.query.view import Grouping

groupings = st.sampled_from(["name", "user", "cgroup", "tree"])


def read(lines: bytes) -> list[dict[str, Any]]:
    """The lines, parsed by the standard library."""
    assert lines.endswith(b"\n")
    return [json.loads(line) for line in lines.decode().removesuffix("\n").split("\n")]


def without_kind(line: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name != "kind"}


@given(snapshots(broken_texts))
def test_the_lines_contain_the_same_as_the_json(original: Snapshot) -> None:
    whole = json.loads(encode_view(original))
    first, *rows = read(encode_lines(original))
    assert first.pop("kind") == "snapshot"
    assert [without_kind(row) for row in rows if row["kind"] == "process"] == whole.pop("processes")
    assert [without_kind(row) for row in rows if row["kind"] == "exited"] == whole.pop("exited")
    assert [without_kind(row) for row in rows if row["kind"] == "cgroup"] == whole.pop("cgroups")
    assert {row["kind"] for row in rows} <= {"process", "exited", "cgroup"}
    assert first == whole


@given(snapshots(broken_texts), groupings)
def test_the_lines_of_groups_contain_the_same_as_the_json(original: Snapshot, grouping: Grouping) -> None:
    shown = apply_view(original, View(group_by=grouping))
    whole = json.loads(encode_view(shown))
    first, *rows = read(encode_lines(shown))
    groups = whole.pop("groups")
    assert rows == [{"kind": "group", "group_by": grouping, **group} for group in groups]
    del whole["group_by"]
    assert without_kind(first) == whole


@given(snapshots(), st.lists(st.sampled_from(FIELDS), unique=True))
def test_processes_have_only_the_selected_fields(original: Snapshot, fields: list[str]) -> None:
    _, *rows = read(encode_lines(original, fields))
    assert all([*row] == ["kind", *fields] for row in rows if row["kind"] == "process")
    assert len(rows) == len(original.processes) + len(original.exited) + len(original.cgroups)


@pytest.mark.parametrize("raw", HOSTILE_NAMES)
def test_a_hostile_name_stays_on_its_line(raw: bytes) -> None:
    name = raw.decode("utf-8", "backslashreplace")
    plain = snapshot((10, SECOND))
    hostile = replace(plain, processes=[replace(row, name=name) for row in plain.processes])
    assert [row["name"] for row in read(encode_lines(hostile))[1:]] == [name]
