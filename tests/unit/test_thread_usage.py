from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cpuwatch import ThreadsSnapshot, ThreadUsage
from cpuwatch.accounting.threads import thread_usage
from cpuwatch.encoding.json import encode
from cpuwatch.encoding.threads import THREAD_ENCODERS, threads_table
from cpuwatch.errors import ReadingOrderError
from cpuwatch.query.threads import THREAD_FIELDS, THREADS, select_threads
from cpuwatch.thread_usage import ThreadReading, ThreadTimes

SECOND = 1_000_000_000
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def thread(tid: int = 1, cpu_ns: int = 0, **changes: Any) -> ThreadTimes:
    """A thread that started before the readings of these tests."""
    return replace(ThreadTimes(tid, f"t{tid}", "S", 0, SECOND, cpu_ns, 0, 0, 0), **changes)


def reading(*threads: ThreadTimes, at_s: float = 10, cpu_ns: int | None = None, **changes: Any) -> ThreadReading:
    """A reading in which the process used what its threads used, unless ``cpu_ns`` is given."""
    at_ns = round(at_s * SECOND)
    whole = ThreadReading(
        time=EPOCH + timedelta(seconds=at_s),
        monotonic_ns=at_ns,
        uptime_ns=at_ns,
        pid=1,
        key="1-7",
        name="work",
        cpu_ns=sum(each.cpu_ns for each in threads) if cpu_ns is None else cpu_ns,
        threads={each.tid: each for each in threads},
        unread=0,
        tolerance_ns=0,
    )
    return replace(whole, **changes)


def one(earlier: ThreadTimes, later: ThreadTimes) -> ThreadUsage:
    """The row of a thread over two seconds."""
    (row,) = thread_usage(reading(earlier), reading(later, at_s=12)).threads
    return row


counters = st.integers(0, 10**12)
threads = st.builds(
    ThreadTimes,
    tid=st.integers(1, 6),
    name=st.none() | st.text(max_size=15),
    state=st.sampled_from([None, "R", "S", "D", "Z"]),
    last_cpu=st.none() | st.integers(0, 255),
    start_ns=st.none() | st.integers(0, 40 * SECOND),
    cpu_ns=counters,
    user_ns=counters,
    system_ns=counters,
    wait_ns=st.none() | counters,
)


@st.composite
def readings(draw: st.DrawFn, at_s: float) -> ThreadReading:
    found = draw(st.lists(threads, max_size=6, unique_by=lambda each: each.tid))
    return reading(
        *found,
        at_s=at_s,
        cpu_ns=draw(counters),
        unread=draw(st.integers(0, 3)),
        tolerance_ns=draw(st.integers(0, SECOND)),
    )


@given(readings(10), readings(12))
def test_nothing_is_negative_and_no_thread_uses_more_than_one_cpu(earlier: ThreadReading, later: ThreadReading) -> None:
    snapshot = thread_usage(earlier, later)
    assert {row.tid for row in snapshot.threads} == later.threads.keys()
    for row in snapshot.threads:
        for percent in (row.cpu_percent, row.user_percent, row.system_percent, row.wait_percent):
            assert percent is None or 0 <= percent <= 100 + 1e-9
        if row.cpu_percent is not None and row.wait_percent is not None:
            assert row.cpu_percent + row.wait_percent <= 100 + 1e-9
        if row.user_percent is not None and row.system_percent is not None:
            assert row.user_percent + row.system_percent == pytest.approx(row.cpu_percent)
    for percent in (snapshot.ended_percent, snapshot.wait_percent):
        assert percent is None or percent >= 0


@given(readings(10), readings(12))
def test_the_whole_is_the_sum_of_its_parts_if_all_are_known(earlier: ThreadReading, later: ThreadReading) -> None:
    snapshot = thread_usage(earlier, later)
    parts = [row.cpu_percent for row in snapshot.threads]
    if later.unread or None in parts:
        assert snapshot.ended_percent is None
    else:
        assert snapshot.ended_percent is not None
        known = sum(part for part in parts if part is not None)
        assert snapshot.cpu_percent == pytest.approx(known + snapshot.ended_percent)


def test_the_use_of_threads_that_ended_is_what_the_living_ones_do_not_have() -> None:
    earlier = reading(thread(1, 5 * SECOND), thread(2, 3 * SECOND))
    later = reading(thread(1, 6 * SECOND), at_s=12, cpu_ns=10 * SECOND)
    snapshot = thread_usage(earlier, later)
    assert (snapshot.cpu_percent, snapshot.ended_percent) == (100.0, 50.0)
    # A difference that may come from the instants of the counters is none.
    snapshot = thread_usage(replace(earlier, tolerance_ns=SECOND), later)
    assert (snapshot.cpu_percent, snapshot.ended_percent) == (50.0, 0.0)


def test_a_sum_of_threads_above_the_clock_of_the_process_is_no_negative_rest() -> None:
    snapshot = thread_usage(reading(thread(cpu_ns=0)), reading(thread(cpu_ns=SECOND), at_s=12, cpu_ns=SECOND - 1))
    assert (snapshot.cpu_percent, snapshot.ended_percent) == (50.0, 0.0)


def test_a_thread_that_started_in_the_interval_started_from_zero() -> None:
    new = thread(2, SECOND, start_ns=11 * SECOND)
    first, second = thread_usage(reading(thread()), reading(thread(), new, at_s=12)).threads
    assert (first.tid, first.cpu_percent, second.cpu_percent) == (2, 50.0, 0.0)


def test_a_reused_id_is_another_thread() -> None:
    assert one(thread(cpu_ns=9 * SECOND), thread(cpu_ns=SECOND, start_ns=11 * SECOND)).cpu_percent == 50.0


def test_a_thread_that_an_earlier_reading_left_out_is_unknown() -> None:
    earlier = reading(thread(), cpu_ns=0, unread=1)
    later = reading(thread(), thread(2, SECOND), at_s=12)
    snapshot = thread_usage(earlier, later)
    row = next(row for row in snapshot.threads if row.tid == 2)
    assert (row.cpu_percent, row.user_percent, row.wait_percent) == (None, None, None)
    assert (snapshot.ended_percent, snapshot.wait_percent, snapshot.cpu_percent) == (None, None, 50.0)


def test_a_thread_that_stayed_runnable_and_never_ran_waited_all_the_time() -> None:
    before = thread(state="R", wait_ns=7)
    assert one(before, thread(state="R", wait_ns=7)).wait_percent == 100.0
    assert one(before, thread(state="S", wait_ns=7)).wait_percent == 0.0
    assert one(before, thread(state="R", wait_ns=7, cpu_ns=1)).wait_percent == 0.0


def test_a_wait_that_began_before_the_interval_counts_only_within_it() -> None:
    after = thread(cpu_ns=SECOND // 2, wait_ns=60 * SECOND)
    assert one(thread(), after).wait_percent == 75.0


def test_an_unknown_wait_makes_the_sum_unknown() -> None:
    earlier = reading(thread(), thread(2, wait_ns=None))
    snapshot = thread_usage(earlier, reading(thread(), thread(2, wait_ns=None), at_s=12))
    assert snapshot.wait_percent is None
    assert [row.wait_percent for row in snapshot.threads] == [0.0, None]


def test_cpu_time_is_split_in_the_proportion_of_the_ticks() -> None:
    row = one(thread(), thread(cpu_ns=SECOND, user_ns=3, system_ns=1))
    assert (row.user_percent, row.system_percent) == (37.5, 12.5)


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (reading(at_s=12), reading(at_s=10)),
        (reading(at_s=12), reading(at_s=12)),
        (reading(key="1-6"), reading(at_s=12)),
    ],
)
def test_readings_of_the_wrong_order_or_of_different_processes_are_refused(
    earlier: ThreadReading, later: ThreadReading
) -> None:
    with pytest.raises(ReadingOrderError):
        thread_usage(earlier, later)


def snapshot_of(*threads: ThreadTimes, **changes: Any) -> ThreadsSnapshot:
    return replace(
        thread_usage(reading(*(thread(each.tid) for each in threads)), reading(*threads, at_s=12)), **changes
    )


def test_the_busiest_thread_is_first_and_top_keeps_the_sums() -> None:
    snapshot = snapshot_of(thread(1, 5), thread(2, SECOND), thread(3, 5))
    assert [row.tid for row in snapshot.threads] == [2, 1, 3]
    shown = select_threads(snapshot, {"top": 1})
    assert [row.tid for row in shown.threads] == [2]
    assert shown.cpu_percent == snapshot.cpu_percent


@given(readings(10), readings(12), st.sampled_from(THREADS["sort"].schema["enum"]), st.sampled_from(["asc", "desc"]))
def test_threads_are_sorted_by_any_field_with_unknown_values_last(
    earlier: ThreadReading, later: ThreadReading, sort: str, order: str
) -> None:
    snapshot = thread_usage(earlier, later)
    values = [getattr(row, sort) for row in select_threads(snapshot, {"sort": sort, "order": order}).threads]
    known = [value for value in values if value is not None]
    assert values == sorted(known, reverse=order == "desc") + [None] * (len(values) - len(known))


def test_ids_and_names_ascend_by_default_and_amounts_descend() -> None:
    snapshot = snapshot_of(thread(1, 5), thread(2, SECOND), thread(3, 7))
    assert [row.tid for row in select_threads(snapshot, {"sort": "tid"}).threads] == [1, 2, 3]
    assert [row.tid for row in select_threads(snapshot, {"sort": "cpu_seconds"}).threads] == [2, 3, 1]


def test_the_table_of_fields_has_every_field_of_a_thread_in_order() -> None:
    assert tuple(THREAD_FIELDS) == ThreadUsage.__struct_fields__
    assert set(THREADS["sort"].schema["enum"]) < set(THREAD_FIELDS)


def test_json_is_rounded_and_complete() -> None:
    snapshot = snapshot_of(thread(1, SECOND // 3), unread=2)
    found = THREAD_ENCODERS["json"](snapshot)
    # That of the process, and that of the thread.
    assert found.count(b'"cpu_percent":16.6667') == 2
    assert b'"unread":2' in found
    assert b'"cpu_percent":16.66666665' in encode(snapshot)


def test_lines_of_json_have_the_process_first() -> None:
    head, *rows = THREAD_ENCODERS["ndjson"](snapshot_of(thread(1), thread(2))).splitlines()
    assert head.startswith(b'{"kind":"threads","time":"2026-01-01T00:00:12Z","interval_seconds":2.0,"pid":1,')
    assert [row[:24] for row in rows] == [b'{"kind":"thread","tid":1', b'{"kind":"thread","tid":2']


def test_the_table_escapes_names_and_says_what_is_missing() -> None:
    snapshot = snapshot_of(thread(1, SECOND, name="\x1b[31mred"), thread(2), unread=5, ended_percent=None)
    assert threads_table(snapshot, max_rows=1, hint=" (--all)").splitlines() == [
        "work  PID 1  2026-01-01T00:00:12.000000Z  2.000 s",
        "process: CPU 50.0 %  of threads that ended - %  waiting 0.0 %  threads 2",
        "not read: 5 threads, because a reading takes a limited number",
        "",
        "TID  S  LASTCPU  CPU%  WAIT%  USER%  SYS%     TIME  NAME",
        "  1  S        0  50.0    0.0      -     -  0:01.00  \\x1b[31mred",
        "... 1 more (--all)",
    ]
