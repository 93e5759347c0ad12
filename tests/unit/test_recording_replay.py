"""Replayed snapshots are equal to the live ones, for any sequence of readings."""

from __future__ import annotations

from itertools import pairwise

import msgspec
from hypothesis import given
from recorded_runs import runs

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
        for record in records[:wanted]:
            replay.skip(record)
        assert replay.next(records[wanted]) == tick.snapshot
