"""Replayed snapshots are equal to the live ones, for any sequence of readings."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import msgspec
from hypothesis import given
from msgspec.structs import replace
from readings import SECOND, process, reading
from recorded_runs import live_ticks, runs

from cpuwatch import Reading
from cpuwatch.recording.difference import key_record, tick_record
from cpuwatch.recording.records import KeyRecord, TickRecord
from cpuwatch.recording.replay import Replay
from cpuwatch.sampled_tick import SampledTick


def through_msgpack(record: TickRecord) -> TickRecord:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(record), type=TickRecord)


def records_of(ticks: list[SampledTick]) -> list[TickRecord]:
    return [through_msgpack(tick_record(earlier, later)) for earlier, later in pairwise(ticks)]


def key_of(tick: SampledTick) -> KeyRecord:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(key_record(tick)), type=KeyRecord)


@given(runs())
def test_replayed_readings_and_snapshots_equal_the_live_ones(ticks: list[SampledTick]) -> None:
    replay = Replay(key_of(ticks[0]))
    assert replay.reading() == ticks[0].reading
    for record, tick in zip(records_of(ticks), ticks[1:], strict=True):
        assert replay.next(record) == tick.snapshot
        assert replay.reading() == tick.reading
        assert list(replay.reading().processes) == list(tick.reading.processes)


@given(runs(min_ticks=3))
def test_a_replay_may_begin_at_any_tick(ticks: list[SampledTick]) -> None:
    for first, tick in enumerate(ticks):
        replay = Replay(key_of(tick))
        replayed = list(replay.snapshots(records_of(ticks[first:])))
        assert replayed == [later.snapshot for later in ticks[first + 1 :] if later.snapshot is not None]


@given(runs(min_ticks=3))
def test_a_replay_may_skip_to_any_tick(ticks: list[SampledTick]) -> None:
    records = records_of(ticks)
    for wanted, tick in enumerate(ticks[1:]):
        replay = Replay(key_of(ticks[0]))
        replay.skip(records[:wanted])
        assert replay.next(records[wanted]) == tick.snapshot


def test_the_record_of_a_tick_is_made_once_for_each_earlier_tick() -> None:
    ticks = list(live_ticks(reading(process(10, cpu_ns=number), at_ns=(100 + number) * SECOND) for number in range(3)))
    first = tick_record(ticks[1], ticks[2])
    assert tick_record(ticks[1], ticks[2]) is first
    assert (first.cpu_ns, tick_record(ticks[0], ticks[2]).cpu_ns) == ([1], [2])
    assert tick_record(ticks[1], ticks[2]) == first


def test_the_carry_of_the_accounting_survives_skipping_and_beginning_anywhere() -> None:
    """Children's time is rounded down to ticks, so the excess of one interval goes into the next."""

    def readings() -> Iterator[Reading]:
        children_ns = 0
        for number in range(12):
            exits_next = process(20 + number, cpu_ns=17_000_000 + 1_000 * number, start_ns=50 * SECOND)
            shell = process(10, cpu_ns=1_000 * number, children_ns=children_ns)
            yield reading(shell, replace(exits_next, ppid=10), at_ns=(100 + number) * SECOND)
            # 17 ms that were shown already are counted as one tick of 10 ms first, and made up for later.
            children_ns += 30_000_000 if number % 3 == 2 else 10_000_000

    ticks = list(live_ticks(readings()))
    assert any(tick.carry.excess_ns for tick in ticks)
    records = records_of(ticks)
    for first, tick in enumerate(ticks):
        assert list(Replay(key_of(tick)).snapshots(records[first:])) == [later.snapshot for later in ticks[first + 1 :]]
        replay = Replay(key_of(ticks[0]))
        replay.skip(records[:first])
        assert list(replay.snapshots(records[first:])) == [later.snapshot for later in ticks[first + 1 :]]
