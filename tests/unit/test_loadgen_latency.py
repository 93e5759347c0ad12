"""The figures of the performance suite against the standard library's statistics and against counting."""

from __future__ import annotations

import math
import statistics
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from benchmarks.loadgen import latency
from benchmarks.loadgen.latency import PERCENTILES

SECOND_NS = 1_000_000_000

latencies = st.lists(st.integers(1, 10**13), min_size=1, max_size=300)
# Large and close together: where the naive formula of the variance loses everything.
crowded = st.lists(st.integers(10**15, 10**15 + 20), min_size=2, max_size=50)


@given(latencies | crowded)
def test_mean_and_deviation_are_those_of_the_standard_library(values: list[int]) -> None:
    summary = latency.summarise(values)
    exact = [Fraction(value, 10**6) for value in values]
    assert summary.count == len(values)
    assert summary.mean_ms == pytest.approx(float(statistics.mean(exact)), rel=1e-12)
    assert summary.stddev_ms == pytest.approx(float(statistics.pstdev(exact)), rel=1e-9)
    assert summary.min_ms == min(values) / 1e6
    assert summary.max_ms == max(values) / 1e6


@given(latencies)
@example([1])
def test_a_percentile_is_the_smallest_value_that_so_many_are_not_above(values: list[int]) -> None:
    for name, found_ms in latency.summarise(values).percentiles_ms.items():
        share = Fraction(name[1:]) / 100
        enough = (
            value for value in sorted(values) if Fraction(sum(other <= value for other in values), len(values)) >= share
        )
        assert found_ms == next(enough) / 1e6


def test_all_percentiles_of_ten_thousand_values_are_those_on_paper() -> None:
    ordered = range(1, 10_001)
    found = [latency.percentile(ordered, part) for part in PERCENTILES.values()]
    assert found == [5_000, 7_500, 9_000, 9_500, 9_900, 9_990, 9_999]


@given(latencies)
def test_the_histogram_counts_each_value_once_and_between_its_bounds(values: list[int]) -> None:
    histogram = latency.summarise(values).histogram
    assert sum(count for _, count in histogram) == len(values)
    assert all(lower < upper for (lower, _), (upper, _) in pairwise(histogram))
    seen = 0
    for bound_ms, count in histogram:
        assert count > 0
        seen += count
        assert seen == sum(value / 1e6 <= bound_ms for value in values)


@given(latencies)
def test_bounds_of_the_histogram_are_at_most_an_eighth_above_the_values_in_them(values: list[int]) -> None:
    in_range = [value for value in values if 1_000 < value < 10**12] or [5_000]
    smallest_bound_ms = latency.summarise(in_range).histogram[0][0]
    assert min(in_range) / 1e6 <= smallest_bound_ms <= min(in_range) / 1e6 * 1.125


def test_nothing_answered_has_no_figures() -> None:
    summary = latency.summarise([])
    assert summary.count == 0
    assert (summary.mean_ms, summary.stddev_ms, summary.min_ms, summary.max_ms) == (None,) * 4
    assert summary.percentiles_ms == dict.fromkeys(PERCENTILES)
    assert summary.histogram == []
    assert set(latency.percentiles_ms([]).values()) == {None}
    assert latency.percentile_ms([], 50_00) is None


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_percentiles_of_milliseconds_end_with_the_highest(values: list[float]) -> None:
    found = latency.percentiles_ms(values)
    assert found["max"] == max(values)
    assert found["p50"] == statistics.median_low(values)


requests = st.lists(st.tuples(st.integers(0, 5 * SECOND_NS), st.integers(1, 2 * SECOND_NS)), max_size=100)


@given(requests, st.integers(0, 6))
def test_a_request_belongs_to_the_second_in_which_it_ends(pairs: list[tuple[int, int]], seconds: int) -> None:
    found = latency.by_second([sent for sent, _ in pairs], [took for _, took in pairs], seconds)
    assert found == [
        sorted(took for sent, took in pairs if math.floor(Fraction(sent + took, SECOND_NS)) == second)
        for second in range(seconds)
    ]


ticks = st.lists(st.integers(-SECOND_NS, 6 * SECOND_NS), unique=True, max_size=8).map(sorted)


@given(requests, ticks)
@example([(2 * SECOND_NS + 120_000_000, 7), (900_000_000, 8), (3_100_000_000, 9)], [0, SECOND_NS, 2 * SECOND_NS])
def test_a_request_belongs_to_the_slice_of_time_since_the_last_tick(
    pairs: list[tuple[int, int]], ticks_ns: list[int]
) -> None:
    found = latency.by_tick_position([sent for sent, _ in pairs], [took for _, took in pairs], ticks_ns)
    assert [position.slice for position in found] == list(range(20))
    for position in found:
        low_ns, high_ns = position.slice * 50_000_000, (position.slice + 1) * 50_000_000
        inside = [
            took
            for sent, took in pairs
            if any(tick <= sent for tick in ticks_ns)
            and low_ns <= sent - max(tick for tick in ticks_ns if tick <= sent) < high_ns
        ]
        assert position.requests == len(inside)
        assert position.p50_ms == (statistics.median_low(inside) / 1e6 if inside else None)


def test_little_says_how_many_connections_waited_for_nothing() -> None:
    # 1,000 requests a second that take 4 ms keep 4 connections busy.
    assert latency.idle_connections(5, 1_000, 4.0) == 1.0
    assert latency.idle_connections(5, 0, None) is None
