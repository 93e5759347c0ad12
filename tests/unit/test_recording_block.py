"""A block holds its ticks exactly, and damaged bytes are an error of the recording."""

from __future__ import annotations

from itertools import pairwise

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from recorded_runs import runs

from cpuwatch.errors import RecordingDamagedError
from cpuwatch.recording.block import decode_ticks, encode_ticks
from cpuwatch.recording.columns import packed, unpacked
from cpuwatch.recording.difference import key_record, tick_record
from cpuwatch.sampled_tick import SampledTick

counters = st.integers(-(2**62), 2**62)


@given(st.lists(counters) | st.lists(st.integers(0, 500).map(lambda ticks: 10_000_000 * ticks)))
def test_a_column_holds_its_values(values: list[int]) -> None:
    assert unpacked(packed(values)) == values


@given(st.lists(st.integers(0, 255), min_size=1))
def test_a_column_of_small_values_takes_a_byte_each_at_most(values: list[int]) -> None:
    assert len(packed(values).data) <= len(values)


def test_a_column_rejects_data_that_does_not_fit_its_count() -> None:
    column = packed([1, 2, 300])
    with pytest.raises(ValueError, match="a column of 4 values has 6 bytes"):
        unpacked(type(column)(4, 0, 1, column.data))


@given(runs(min_ticks=2))
def test_a_block_holds_its_ticks(ticks: list[SampledTick]) -> None:
    key = key_record(ticks[0]).tick
    assert decode_ticks(encode_ticks([key])) == [key]
    records = [tick_record(earlier, later) for earlier, later in pairwise(ticks)]
    assert decode_ticks(encode_ticks(records)) == records


@given(st.binary(max_size=200))
def test_any_other_bytes_are_damage(data: bytes) -> None:
    with pytest.raises(RecordingDamagedError):
        decode_ticks(data)
    with pytest.raises(RecordingDamagedError):
        decode_ticks(zstandard.ZstdCompressor().compress(data))
