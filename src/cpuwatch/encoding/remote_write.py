"""Intervals as Prometheus remote write 1.0: protobuf in snappy blocks (prometheus.io/docs/specs/prw/remote_write_spec).

It needs the packages ``protobuf`` and ``cramjam``. Names and labels are those of OTLP, translated by the rules for
Prometheus (opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics), so the same queries work
whichever protocol was used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cramjam import snappy
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from cpuwatch.encoding.metric_points import Interval, Metric, Point

__all__ = ["WriteRequest", "prometheus_name", "remote_write_request"]

_STRING, _DOUBLE, _INT64, _ENUM = 9, 1, 3, 14
_REPEATED = 3

# Of prometheus/prompb/types.proto and remote.proto: what version 1.0 of the protocol specifies.
_MESSAGES: dict[str, list[tuple[str, int, int | str, bool]]] = {
    "Label": [("name", 1, _STRING, False), ("value", 2, _STRING, False)],
    "Sample": [("value", 1, _DOUBLE, False), ("timestamp", 2, _INT64, False)],
    "TimeSeries": [("labels", 1, "Label", True), ("samples", 2, "Sample", True)],
    "MetricMetadata": [
        ("type", 1, _ENUM, False),
        ("metric_family_name", 2, _STRING, False),
        ("help", 4, _STRING, False),
        ("unit", 5, _STRING, False),
    ],
    "WriteRequest": [("timeseries", 1, "TimeSeries", True), ("metadata", 3, "MetricMetadata", True)],
}
_TYPES = {"UNKNOWN": 0, "COUNTER": 1, "GAUGE": 2}
_UNITS = {"s": "seconds"}


def _write_request_class() -> Any:
    """The class of the message, from its description: no generated code, and so no version of a generator."""
    file = FileDescriptorProto(name="cpuwatch/remote_write.proto", package="prometheus", syntax="proto3")
    for message, message_fields in _MESSAGES.items():
        described = file.message_type.add(name=message)
        for name, number, kind, is_repeated in message_fields:
            field = described.field.add(name=name, number=number, label=_REPEATED if is_repeated else 1)
            if isinstance(kind, str):
                field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".prometheus.{kind}"
            else:
                field.type = kind  # type: ignore[assignment]  # an enum of protobuf, by its number
            if kind == _ENUM:
                field.type_name = ".prometheus.MetricMetadata.MetricType"
        if message == "MetricMetadata":
            types = described.enum_type.add(name="MetricType")
            for type_name, number in _TYPES.items():
                types.value.add(name=type_name, number=number)
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("prometheus.WriteRequest"))


WriteRequest = _write_request_class()


def remote_write_request(interval: Interval, resource: Mapping[str, str]) -> bytes:
    """The compressed request for an interval.

    A new series begins with the value that it had at the begin of the interval, so that ``rate`` and ``increase`` see
    its first interval, and a restart as a reset.
    """
    job = {"job": resource["service.name"], "instance": resource["service.instance.id"]}
    begin_ms, end_ms = interval.begin_ns // 1_000_000, interval.end_ns // 1_000_000
    request = WriteRequest()
    for point in interval.points:
        values = _values(point, begin_ms, end_ms)
        _add_series(request, prometheus_name(point.metric), dict(point.attributes) | job, values)
    described = {name: text for name, text in resource.items() if not name.startswith("service.")}
    _add_series(request, "target_info", described | job, [(end_ms, 1.0)])
    for metric in {point.metric.name: point.metric for point in interval.points}.values():
        request.metadata.add(
            type=_TYPES["GAUGE" if metric.kind == "amount" else "COUNTER"],
            metric_family_name=prometheus_name(metric),
            help=metric.description,
            unit=_UNITS.get(metric.unit, ""),
        )
    return bytes(snappy.compress_raw(request.SerializeToString()))


def prometheus_name(metric: Metric) -> str:
    """``system_cpu_time_seconds_total`` for ``system.cpu.time`` in seconds."""
    unit = _UNITS.get(metric.unit)
    parts = [metric.name.replace(".", "_"), *([unit] if unit else []), *(["total"] if metric.kind == "counter" else [])]
    return "_".join(parts)


def _values(point: Point, begin_ms: int, end_ms: int) -> Iterator[tuple[int, float]]:
    if point.is_new and begin_ms < end_ms:
        yield begin_ms, point.before / point.metric.parts
    yield end_ms, point.value / point.metric.parts


def _add_series(request: Any, name: str, labels: Mapping[str, str], values: Any) -> None:
    series = request.timeseries.add()
    # An empty label is the same as none, and the names must be in order.
    named = {"__name__": name} | {key.replace(".", "_"): text for key, text in labels.items() if text}
    for key in sorted(named):
        series.labels.add(name=key, value=named[key])
    for timestamp, value in values:
        series.samples.add(value=value, timestamp=timestamp)
