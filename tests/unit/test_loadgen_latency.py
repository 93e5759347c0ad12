"""The figures of the performance suite, compared with the statistics module and with plain counting."""

from __future__ import annotations

import math
import statistics
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from benchmarks.loadgen import latency
from benchmarks.loadgen.latency import PERCENTILES

SECOND_NS = 1_000_000_000

latencies = st.lists(st.integers(1, 10**13), min_size=1, max_size=300)
# Large and close together: where the naive formula for the variance loses all precision.
crowded = st.lists(st.integers(10**15, 10**15 + 20), min_size=2, max_size=50)


@given(latencies | crowded)
def test_mean_and_deviation_match_the_standard_library(values: list[int]) -> None:
    summary = latency.summarise(values)
    exact = [Fraction(value, 10**6) for value in values]
    assert summary.count == len(values)
    assert summary.mean_ms == pytest.approx(float(statistics.mean(exact)), rel=1e-12)
    assert summary.stddev_ms == pytest.approx(float(statistics.pstdev(exact)), rel=1e-9)
    assert summary.min_ms == min(values) / 1e6
    assert summary.max_ms == max(values) / 1e6


@given(latencies)
@example([1])
def test_a_percentile_is_the_smallest_value_with_that_share_at_or_below_it(values: list[int]) -> None:
    for name, found_ms in latency.summarise(values).percentiles_ms.items():
        share = Fraction(name[1:]) / 100
        enough = (
            value for value in sorted(values) if Fraction(sum(other <= value for other in values), len(values)) >= share
        )
        assert found_ms == next(enough) / 1e6


def test_percentiles_of_one_to_ten_thousand_are_as_computed_by_hand() -> None:
    ordered = range(1, 10_001)
    found = [latency.percentile(ordered, part) for part in PERCENTILES.values()]
    assert found == [5_000, 7_500, 9_000, 9_500, 9_900, 9_990, 9_999]


def test_without_responses_there_are_no_figures() -> None:
    summary = latency.summarise([])
    assert summary.count == 0
    assert (summary.mean_ms, summary.stddev_ms, summary.min_ms, summary.max_ms) == (None,) * 4
    assert summary.percentiles_ms == dict.fromkeys(PERCENTILES)
    assert set(latency.percentiles_ms([]).values()) == {None}
    assert latency.percentile_ms([], 50_00) is None


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_percentiles_of_milliseconds_end_with_the_maximum(values: list[float]) -> None:
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
