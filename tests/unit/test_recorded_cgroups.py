"""Limits and counters of cgroups in recordings: only what changed is stored."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from readings import SECOND, process, reading
from recorded_runs import any_cgroups, later_cgroups, live_ticks

from cpuwatch import CgroupTimes
from cpuwatch.errors import RecordingDamagedError
from cpuwatch.recording.block import decode_ticks, encode_ticks
from cpuwatch.recording.cgroup_changes import cgroup_changes, cgroups_after
from cpuwatch.recording.difference import key_record, tick_record
from cpuwatch.recording.packing import compressed, pack, pack_escaped
from cpuwatch.recording.records import CgroupChanges, CgroupIdentity, KeyRecord, TickRecord
from cpuwatch.recording.replay import Replay
from cpuwatch.sampled_tick import SampledTick

Cgroups = dict[str, CgroupTimes]

LIMITED = CgroupTimes(quota_ns=20, period_ns=100, periods=7, throttled_periods=3, throttled_ns=90, pressure_ns=50)
UNLIMITED = CgroupTimes(pressure_ns=5)


@st.composite
def sequences(draw: st.DrawFn) -> list[Cgroups]:
    found = [draw(any_cgroups)]
    for _ in range(draw(st.integers(1, 5))):
        found.append(draw(later_cgroups(found[-1])))
    return found


def ticks_of(*each: Cgroups) -> list[SampledTick]:
    """Ticks with these cgroups, of a process that rests."""
    at_rest = process()
    return list(
        live_ticks(
            replace(reading(at_rest, at_ns=(100 + number) * SECOND), cgroups=cgroups)
            for number, cgroups in enumerate(each)
        )
    )


def zstd_content(data: bytes) -> list[Any]:
    content: list[Any] = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(data))
    return content


def records_of(ticks: list[SampledTick]) -> list[TickRecord]:
    return [tick_record(earlier, later) for earlier, later in pairwise(ticks)]


@given(sequences())
def test_changes_lead_to_the_later_cgroups_one_by_one_and_all_at_once(each: list[Cgroups]) -> None:
    changes = [cgroup_changes(earlier, later) for earlier, later in pairwise(each)]
    for (earlier, later), change in zip(pairwise(each), changes, strict=True):
        assert cgroups_after(earlier, [] if change is None else [change]) == later
    assert cgroups_after(each[0], [change for change in changes if change is not None]) == each[-1]


def test_cgroups_that_did_not_change_are_not_stored() -> None:
    cgroups = {"/": UNLIMITED, "/limited": LIMITED}
    read_again = {path: replace(times) for path, times in cgroups.items()}
    assert cgroup_changes(cgroups, cgroups.copy()) is None
    assert cgroup_changes(cgroups, read_again) is None
    (record,) = records_of(ticks_of(cgroups, cgroups.copy()))
    assert record.cgroups is None


def test_only_counters_that_grew_are_stored() -> None:
    earlier = {"/": UNLIMITED, "/limited": LIMITED, "/other": UNLIMITED}
    later = {**earlier, "/limited": replace(LIMITED, periods=17, pressure_ns=51)}
    assert cgroup_changes(earlier, later) == CgroupChanges([], [], [{1: 10}, {}, {}, {1: 1}])


def test_a_cgroup_that_is_new_or_has_other_limits_is_stored_as_a_whole() -> None:
    earlier = {"/b": LIMITED, "/gone": LIMITED}
    later = {"/a": UNLIMITED, "/b": replace(LIMITED, quota_ns=None, throttled_ns=None)}
    assert cgroup_changes(earlier, later) == CgroupChanges(
        ["/gone"],
        [CgroupIdentity("/a", None, None, None, None, 8), CgroupIdentity("/b", None, 100, None, None, 11)],
        [{}, {}, {1: -90}, {0: 5}],
    )


@pytest.mark.parametrize(
    "changes",
    [
        CgroupChanges(["/unknown"], [], [{}, {}, {}, {}]),
        CgroupChanges([], [], [{2: 1}, {}, {}, {}]),
        CgroupChanges([], [], [{-1: 1}, {}, {}, {}]),
        CgroupChanges([], [], [{}, {}, {}]),
    ],
)
@pytest.mark.parametrize("read", [Replay.skip, lambda replay, records: list(replay.snapshots(records))])
def test_changes_that_do_not_fit_are_damage(
    changes: CgroupChanges, read: Callable[[Replay, list[TickRecord]], object]
) -> None:
    ticks = ticks_of(*[{"/": UNLIMITED, "/limited": LIMITED}] * 4)
    good, damaged, last = records_of(ticks)
    records = [good, replace(damaged, cgroups=changes), last]
    replay = Replay(key_record(ticks[0]))
    with pytest.raises(RecordingDamagedError, match="reading 3 does not fit the one before"):
        read(replay, records)
    assert replay.replayed == 1


def test_older_recordings_have_no_cgroups() -> None:
    """Records and columns had neither their last element nor that of their identities."""
    (tick,) = ticks_of({"/": LIMITED})
    record = key_record(tick).tick
    in_log, in_block = msgspec.to_builtins(record), zstd_content(encode_ticks([record]))
    in_log[14] = [identity[:-1] for identity in in_log[14]]
    in_block[14] = in_block[14][:-1]
    for older in (
        msgspec.msgpack.decode(pack(in_log[:-1]), type=TickRecord),
        *decode_ticks(compressed(pack(in_block[:-1]))),
    ):
        assert Replay(KeyRecord(tick.run, older)).reading() == replace(tick.reading, cgroups={})


def test_places_are_relative_to_the_paths_as_they_are_stored() -> None:
    """Lone surrogates, which only samplers of third parties return, are escaped, which changes their order."""
    cgroups = {"/\udcff": LIMITED, "/a": UNLIMITED}
    ticks = ticks_of(cgroups, {**cgroups, "/a": replace(UNLIMITED, pressure_ns=7)})
    key = msgspec.msgpack.decode(pack_escaped(key_record(ticks[0])), type=KeyRecord)
    record = msgspec.msgpack.decode(pack_escaped(tick_record(*ticks)), type=TickRecord)
    replay = Replay(key)
    list(replay.snapshots([record]))
    assert replay.reading().cgroups == {"/\\xff": LIMITED, "/a": replace(UNLIMITED, pressure_ns=7)}


@pytest.mark.parametrize(
    ("cgroup", "cpu_cgroup", "stored"),
    [("/a", "/a", True), ("/a", "/b", "/b"), ("/a", None, None), (None, None, None), (None, "/a", "/a")],
)
def test_the_cgroup_with_the_quota_is_stored_if_it_differs(
    cgroup: str | None, cpu_cgroup: str | None, stored: str | bool | None
) -> None:
    (tick,) = live_ticks([reading(replace(process(), cgroup=cgroup, cpu_cgroup=cpu_cgroup))])
    (record,) = decode_ticks(encode_ticks([key_record(tick).tick]))
    assert record.identities[0].cpu_cgroup == stored
    assert Replay(KeyRecord("run", record)).reading() == tick.reading
