"""Intervals as OTLP: ``ExportMetricsServiceRequest`` in protobuf (opentelemetry.io/docs/specs/otlp).

It needs the package ``opentelemetry-proto``, the official messages. The SDK is not needed: it collects and aggregates
measurements of its own program, and these are finished sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from cpuwatch.encoding.metric_points import Attributes, Interval, Point, Temporality

__all__ = ["otlp_request", "rejected_points"]

_TEMPORALITIES: dict[Temporality, metrics_pb2.AggregationTemporality.ValueType] = {
    "cumulative": metrics_pb2.AGGREGATION_TEMPORALITY_CUMULATIVE,
    "delta": metrics_pb2.AGGREGATION_TEMPORALITY_DELTA,
}

_INTEGERS = {"process.pid"}
"""Attributes that the semantic conventions define as integers."""


def otlp_request(
    interval: Interval, resource: Mapping[str, str], version: str, temporality: Temporality = "cumulative"
) -> bytes:
    """The request for an interval.

    With ``cumulative``, a new series begins with the value that it had at the begin of the interval.
    """
    metrics = []
    for metric, points in groupby(interval.points, key=lambda point: point.metric):
        is_amount = metric.kind == "amount"
        # Amounts stay cumulative (specification of OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE).
        is_delta = temporality == "delta" and not is_amount
        data = metrics_pb2.Sum(
            data_points=_data_points(points, interval, is_delta=is_delta),
            aggregation_temporality=_TEMPORALITIES["delta" if is_delta else "cumulative"],
            is_monotonic=not is_amount,
        )
        metrics.append(metrics_pb2.Metric(name=metric.name, description=metric.description, unit=metric.unit, sum=data))
    scope = metrics_pb2.ScopeMetrics(scope=InstrumentationScope(name="cpuwatch", version=version), metrics=metrics)
    of_host = metrics_pb2.ResourceMetrics(
        resource=Resource(attributes=_key_values(tuple(resource.items()))), scope_metrics=[scope]
    )
    return ExportMetricsServiceRequest(resource_metrics=[of_host]).SerializeToString()


def rejected_points(response: bytes) -> tuple[int, str] | None:
    """The number of points that the receiver rejected, and its message (partial success).

    None if it accepted all of them without a warning, and for a body that is not a response.
    """
    try:
        partial = ExportMetricsServiceResponse.FromString(response).partial_success
    except DecodeError:
        return None
    if not (partial.rejected_data_points or partial.error_message):
        return None
    return partial.rejected_data_points, partial.error_message


def _data_points(points: Iterable[Point], interval: Interval, *, is_delta: bool) -> list[metrics_pb2.NumberDataPoint]:
    found = []
    for point in points:
        attributes = _key_values(point.attributes)
        if is_delta:
            found.append(_number(point, attributes, interval.begin_ns, interval.end_ns, point.value - point.before))
            continue
        start_ns = min(point.start_ns, interval.begin_ns)
        if point.is_new:
            found.append(_number(point, attributes, start_ns, interval.begin_ns, point.before))
        found.append(_number(point, attributes, start_ns, interval.end_ns, point.value))
    return found


def _number(
    point: Point, attributes: list[KeyValue], start_ns: int, time_ns: int, value: int
) -> metrics_pb2.NumberDataPoint:
    number = metrics_pb2.NumberDataPoint(attributes=attributes, start_time_unix_nano=start_ns, time_unix_nano=time_ns)
    if point.metric.parts == 1:
        number.as_int = value
    else:
        number.as_double = value / point.metric.parts
    return number


def _key_values(attributes: Attributes) -> list[KeyValue]:
    return [
        KeyValue(key=key, value=AnyValue(int_value=int(text)) if key in _INTEGERS else AnyValue(string_value=text))
        for key, text in attributes
    ]
