"""The protocols, decoded by the official packages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cramjam
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    AGGREGATION_TEMPORALITY_DELTA,
)

from cpuwatch.encoding.metric_points import Interval, Point, Temporality
from cpuwatch.encoding.otlp import otlp_request, rejected_points
from cpuwatch.encoding.remote_write import WriteRequest, prometheus_name, remote_write_request
from cpuwatch.push.payload import BY_NAME, LOGICAL_CPUS, MACHINE, METRICS, PROCESS, TICKS

SECOND = 10**9
BEGIN, END = 1_700_000_000 * SECOND, 1_700_000_010 * SECOND
RESOURCE = {"service.name": "cpuwatch", "service.instance.id": "here", "host.name": "here", "host.id": "1f"}
USER = (("cpu.mode", "user"),)
PID = (("process.pid", "42"), ("process.creation.time", "2026-01-01T00:00:05.000Z"), ("name", ""), *USER)
INTERVAL = Interval(
    BEGIN,
    END,
    (
        Point(BY_NAME, (("kind", "named"), ("name", "žlutý")), 5 * SECOND // 2, SECOND, BEGIN - SECOND, is_new=False),
        Point(BY_NAME, (("kind", "rest"),), SECOND, 0, BEGIN, is_new=True),
        Point(PROCESS, PID, 3 * SECOND, 2 * SECOND, BEGIN - 5 * SECOND, is_new=True),
        Point(MACHINE, USER, 7 * SECOND, 6 * SECOND, 1, is_new=False),
        Point(LOGICAL_CPUS, (), 2, 2, 1, is_new=False),
        Point(TICKS, (("state", "taken"),), 10, 0, BEGIN, is_new=True),
    ),
)


def otlp(temporality: Temporality) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the attributes of the resource, and the metrics by name."""
    message = ExportMetricsServiceRequest.FromString(otlp_request(INTERVAL, RESOURCE, "1.2", temporality))
    (of_host,) = message.resource_metrics
    (of_scope,) = of_host.scope_metrics
    assert (of_scope.scope.name, of_scope.scope.version) == ("cpuwatch", "1.2")
    resource = {pair.key: pair.value.string_value for pair in of_host.resource.attributes}
    return resource, {metric.name: metric for metric in of_scope.metrics}


def values(metric: Any) -> list[tuple[int, int, float]]:
    """Return start, time and value of each point, in seconds after the begin."""
    return [
        ((point.start_time_unix_nano - BEGIN) // SECOND, (point.time_unix_nano - BEGIN) // SECOND, point.as_double)
        for point in metric.sum.data_points
    ]


def test_otlp_totals_begin_with_the_value_before_a_new_series() -> None:
    resource, metrics = otlp("cumulative")
    assert resource == RESOURCE
    by_name = metrics["cpuwatch.cpu.time.by_name"]
    assert (by_name.unit, by_name.sum.is_monotonic) == ("s", True)
    assert by_name.sum.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE
    assert values(by_name) == [(-1, 10, 2.5), (0, 0, 0.0), (0, 10, 1.0)]
    assert values(metrics["process.cpu.time"]) == [(-5, 0, 2.0), (-5, 10, 3.0)]
    assert [point.as_int for point in metrics["cpuwatch.ticks"].sum.data_points] == [0, 10]


def test_otlp_differences_are_those_of_the_interval() -> None:
    _, metrics = otlp("delta")
    by_name = metrics["cpuwatch.cpu.time.by_name"]
    assert by_name.sum.aggregation_temporality == AGGREGATION_TEMPORALITY_DELTA
    assert values(by_name) == [(0, 10, 1.5), (0, 10, 1.0)]
    assert values(metrics["process.cpu.time"]) == [(0, 10, 1.0)]


@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
def test_an_amount_is_not_a_counter_of_otlp(temporality: Temporality) -> None:
    data = otlp(temporality)[1]["system.cpu.logical.count"].sum
    assert (data.is_monotonic, data.aggregation_temporality) == (False, AGGREGATION_TEMPORALITY_CUMULATIVE)
    assert data.data_points[0].as_int == 2


def test_otlp_attributes_have_the_types_of_the_conventions() -> None:
    point = otlp("delta")[1]["process.cpu.time"].sum.data_points[0]
    attributes = {pair.key: pair.value for pair in point.attributes}
    assert attributes["process.pid"].int_value == 42
    assert attributes["process.creation.time"].string_value == "2026-01-01T00:00:05.000Z"
    assert attributes["cpu.mode"].string_value == "user"


@pytest.mark.parametrize(
    ("rejected", "message", "expected"), [(0, "", None), (3, "old", (3, "old")), (0, "slow down", (0, "slow down"))]
)
def test_rejected_points_are_found(rejected: int, message: str, expected: tuple[int, str] | None) -> None:
    partial = ExportMetricsPartialSuccess(rejected_data_points=rejected, error_message=message)
    response = ExportMetricsServiceResponse(partial_success=partial).SerializeToString()
    assert rejected_points(response) == expected


@pytest.mark.parametrize("garbage", [b"", b"<html>", b"\xff" * 100, b"{}"])
def test_garbage_is_no_rejection(garbage: bytes) -> None:
    assert rejected_points(garbage) is None


def written() -> dict[str, list[tuple[dict[str, str], list[tuple[int, float]]]]]:
    """Return the series of remote write, by name: labels, and samples in seconds after the begin."""
    raw = bytes(cramjam.snappy.decompress_raw(remote_write_request(INTERVAL, RESOURCE)))
    found: dict[str, list[tuple[dict[str, str], list[tuple[int, float]]]]] = {}
    for series in WriteRequest.FromString(raw).timeseries:
        names = [label.name for label in series.labels]
        assert names == sorted(set(names))
        labels = {label.name: label.value for label in series.labels}
        samples = [(sample.timestamp // 1000 - BEGIN // SECOND, sample.value) for sample in series.samples]
        found.setdefault(labels.pop("__name__"), []).append((labels, samples))
    return found


def test_remote_write_has_sorted_labels_and_begins_of_series() -> None:
    where = {"job": "cpuwatch", "instance": "here"}
    series = written()
    assert series["cpuwatch_cpu_time_by_name_seconds_total"] == [
        ({"kind": "named", "name": "žlutý", **where}, [(10, 2.5)]),
        ({"kind": "rest", **where}, [(0, 0.0), (10, 1.0)]),
    ]
    process = {"process_pid": "42", "process_creation_time": "2026-01-01T00:00:05.000Z", "cpu_mode": "user"}
    assert series["process_cpu_time_seconds_total"] == [(process | where, [(0, 2.0), (10, 3.0)])]
    assert series["target_info"] == [({"host_name": "here", "host_id": "1f", **where}, [(10, 1.0)])]


def test_remote_write_describes_its_metrics() -> None:
    raw = bytes(cramjam.snappy.decompress_raw(remote_write_request(INTERVAL, RESOURCE)))
    described = {data.metric_family_name: (data.type, data.unit) for data in WriteRequest.FromString(raw).metadata}
    assert described["system_cpu_time_seconds_total"] == (1, "seconds")
    assert described["system_cpu_logical_count"] == (2, "")


def test_the_names_are_those_of_the_document() -> None:
    document = (Path(__file__).parents[2] / "docs" / "fleet.md").read_text()
    for metric in METRICS:
        assert f"| `{metric.name}` | `{prometheus_name(metric)}` | {metric.unit} |" in document
