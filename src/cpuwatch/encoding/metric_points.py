"""What is pushed for an interval: values of counters at its end and at its begin, whatever the protocol. Pure.

Metrics have the names, units and kinds of OpenTelemetry (opentelemetry.io/docs/specs/otel/metrics/data-model). A point
has both values, so that an encoder can send totals or differences, and can send the begin of a new series: the first
value of a series gives no rate.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

__all__ = ["Attributes", "Interval", "Metric", "Point", "Temporality", "merged"]

Attributes = tuple[tuple[str, str], ...]
"""Names and values, in a fixed order."""


Temporality = Literal["cumulative", "delta"]
"""Whether a receiver gets totals, or the difference to the value before."""


class Metric(Struct, frozen=True, gc=False):
    """A metric. ``unit`` is in UCUM; values are integers, in ``1/parts`` of the unit.

    An ``amount`` may decrease (OpenTelemetry's UpDownCounter, a gauge of Prometheus).
    """

    name: str
    unit: str
    description: str
    kind: Literal["counter", "amount"] = "counter"
    parts: int = 1


class Point(Struct, frozen=True, gc=False):
    """A series at the end of an interval. ``before`` is its value at the begin.

    The counter was 0 at ``start_ns`` (Unix time). ``is_new``: the interval before has no point of this series.
    """

    metric: Metric
    attributes: Attributes
    value: int
    before: int
    start_ns: int
    is_new: bool


class Interval(Struct, frozen=True, gc=False):
    """The points of the time from ``begin_ns`` to ``end_ns`` (Unix time)."""

    begin_ns: int
    end_ns: int
    points: tuple[Point, ...]


def merged(earlier: Interval, later: Interval) -> Interval:
    """One interval for two consecutive ones.

    Series that ended with the earlier interval are left out: their last amount is lost, nothing else.
    """
    first = {(point.metric.name, point.attributes): point for point in earlier.points}
    points = []
    for point in later.points:
        before = first.get((point.metric.name, point.attributes))
        if before is None or before.start_ns != point.start_ns:
            points.append(point)
        else:
            points.append(replace(point, before=before.before, is_new=before.is_new))
    return Interval(min(earlier.begin_ns, later.begin_ns), later.end_ns, tuple(points))
