from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass
from itertools import compress, count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from readings import SECOND, process, reading
from strategies import snapshots

from cpuwatch import ProcessUsage, Snapshot, decode, encode, usage
from cpuwatch.packed_rows import PackedRows

rows_of_any_kind = snapshots().map(lambda snapshot: list(snapshot.processes))


@dataclass
class Idle:
    at_rest: ProcessUsage


def packed_rows(rows: list[ProcessUsage], is_packed: list[bool]) -> PackedRows:
    kept = [None if packs else Idle(row) for row, packs in zip(rows, is_packed, strict=True)]
    packed = list(compress(rows, is_packed))
    columns = {name: [getattr(row, name) for row in packed] for name in ProcessUsage.__struct_fields__}
    return PackedRows(kept, compress(count(), is_packed), columns)


@st.composite
def packed(draw: st.DrawFn) -> tuple[list[ProcessUsage], PackedRows]:
    """Rows, and the same with some of them packed."""
    rows = draw(rows_of_any_kind)
    is_packed = draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    return rows, packed_rows(rows, is_packed)


@given(packed())
def test_packed_rows_behave_like_the_list(pair: tuple[list[ProcessUsage], PackedRows]) -> None:
    rows, found = pair
    assert found == rows
    assert rows == found
    assert list(found) == rows
    assert len(found) == len(rows)
    assert repr(found) == repr(rows)
    for index in range(-len(rows), len(rows)):
        assert found[index] == rows[index]
    assert found[1:] == rows[1:]
    assert found[::-1] == rows[::-1]
    assert list(reversed(found)) == rows[::-1]


@given(packed())
def test_packed_rows_differ_from_other_rows(pair: tuple[list[ProcessUsage], PackedRows]) -> None:
    rows, found = pair
    assert found != [*rows, *rows, None]
    assert found != tuple(rows)
    if rows:
        assert found != [*rows[:-1], replace(rows[-1], cpu_seconds=-1.0)]


@given(packed())
def test_packed_rows_can_be_copied_and_pickled(pair: tuple[list[ProcessUsage], PackedRows]) -> None:
    rows, found = pair
    assert copy.deepcopy(found) == rows
    assert pickle.loads(pickle.dumps(found)) == rows  # noqa: S301  trusted data


@given(snapshots())
def test_a_snapshot_with_packed_rows_survives_json(snapshot: Snapshot) -> None:
    rows = list(snapshot.processes)
    shown = replace(snapshot, processes=packed_rows(rows, [True] * len(rows)))
    assert decode(encode(shown)) == shown == replace(snapshot, processes=rows)


def test_an_index_out_of_range_is_rejected() -> None:
    with pytest.raises(IndexError):
        packed_rows([], [])[0]


@pytest.mark.parametrize("number", [None, 2**31, 2**70])
def test_integers_out_of_the_range_of_the_kernel_are_kept(number: int | None) -> None:
    (row,) = usage(reading(process()), reading(process(cpu_ns=SECOND), at_ns=101 * SECOND)).processes
    rows = [row, replace(row, threads=number)]
    assert list(packed_rows(rows, [True, True])) == rows


def test_idle_rows_are_made_when_somebody_reads_them_and_then_kept() -> None:
    made: list[int] = []
    (row,) = usage(reading(process()), reading(process(), at_ns=101 * SECOND)).processes

    class Counted:
        @property
        def at_rest(self) -> ProcessUsage:
            made.append(row.pid)
            return row

    rows = PackedRows([Counted()], [], {})
    assert (len(rows), made) == (1, [])
    assert rows[0] is row
    assert (len(rows), list(rows), made) == (1, [row], [row.pid])


def test_an_idle_row_is_shared_between_snapshots() -> None:
    resting = process(10)
    readings = [reading(resting, at_ns=(100 + second) * SECOND) for second in range(3)]
    first, second = usage(*readings[:2]), usage(*readings[1:])
    assert first.processes[0] is second.processes[0]
