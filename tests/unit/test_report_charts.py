"""Axes and downsampling: the arithmetic behind the charts of the performance report."""

from __future__ import annotations

from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from benchmarks.loadgen.results import Second
from benchmarks.report import figures
from benchmarks.report.axes import by_value, clock, linear, logarithmic
from benchmarks.report.timeline import spans

numbers = st.floats(0, 1e6)
logs = st.lists(
    st.builds(
        Second,
        second=st.just(0),
        requests=st.integers(0, 10**6),
        errors=st.integers(0, 10),
        p50_ms=st.none() | numbers,
        p95_ms=st.none() | numbers,
        p99_ms=st.none() | numbers,
        server_cpu_percent=st.none() | numbers,
        server_rss_bytes=st.none() | st.integers(0, 2**40),
        client_cpu_percent=st.none() | numbers,
        client_rss_bytes=st.none() | st.integers(0, 2**40),
    ),
    min_size=1,
).map(lambda log: [replace(second, second=at) for at, second in enumerate(log)])


@given(logs, st.integers(1, 20))
def test_downsampling_keeps_sums_and_extremes(log: list[Second], most: int) -> None:
    rows = spans(log, most)

    assert len(rows) <= most
    assert sum(row.seconds for row in rows) == len(log)
    assert sum(row.requests_per_second * row.seconds for row in rows) == pytest.approx(sum(s.requests for s in log))
    assert min(row.slowest_second for row in rows) == min(second.requests for second in log)
    assert sum(row.errors for row in rows) == sum(second.errors for second in log)
    for field in ("p50_ms", "p99_ms", "server_cpu_percent", "client_rss_bytes"):
        before = [value for second in log if (value := getattr(second, field)) is not None]
        after = [value for row in rows if (value := getattr(row, field)) is not None]
        assert max(after, default=None) == max(before, default=None)


@given(st.lists(st.none() | st.floats(allow_nan=True, allow_infinity=True), max_size=20))
def test_an_axis_contains_all_values_and_ticks(values: list[float | None]) -> None:
    drawn = [value for value in values if value is not None and isfinite(value) and 0 <= value < 1e15]
    for axis in (linear("", values), logarithmic("", values), by_value("", values), clock("", max(drawn, default=0.0))):
        assert axis.low < axis.high
        assert len(axis.ticks) <= 14
        assert all(axis.low <= value <= axis.high * 1.000001 for value, _ in axis.ticks)
        places = [axis.position(value) for value in sorted(drawn)]
        assert places == sorted(places)
        assert all(0 <= place <= 1 for place in places)
    assert all(value <= linear("", values).high * 1.000001 for value in drawn)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (figures.rate(1_234_567.8), "1,234,568"),
        (figures.rate(3_911.4), "3,911"),
        (figures.rate(39.14), "39.1"),
        (figures.rate(3.914), "3.91"),
        (figures.rate(0.0), "0"),
        (figures.thousandths(1234.56789), "1,234.568"),
        (figures.change(101.24, 100), "+1.2 %"),
        (figures.change(98, 100), "\N{MINUS SIGN}2.0 %"),
        (figures.change(1, 0), figures.UNKNOWN),
        (figures.mebibytes(43_352_064), "41.3 MiB"),
        (figures.duration(300), "5 minutes"),
        (figures.duration(60), "1 minute"),
        (figures.duration(123.4), "2 min 3 s"),
        (figures.duration(12.5), "12.5 seconds"),
        (figures.duration(1), "1 second"),
        (figures.short(0.25), "0.25"),
        (figures.short(1_500.0), "1,500"),
        (figures.short(0.0), "0"),
    ],
)
def test_numbers_are_formatted_for_people(shown: str, expected: str) -> None:
    assert shown == expected
