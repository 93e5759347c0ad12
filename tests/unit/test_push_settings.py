from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from cpuwatch.errors import SettingsError
from cpuwatch.model import Host
from cpuwatch.push.otlp_settings import otlp_settings, resource_attributes
from cpuwatch.push.resource import host_resource
from cpuwatch.push.sender import retry_after_seconds
from cpuwatch.push.target import without_credentials
from cpuwatch.push.targets import push_targets
from cpuwatch.receiver_settings import parse_headers, parse_http_url
from cpuwatch.settings import Settings
from cpuwatch.token_file import Token

BASE = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://base:4318"}
HOST = Host("web-1", "boot", 2, "scripted", 1e-9)


@pytest.mark.parametrize(
    ("environment", "endpoint", "url"),
    [
        ({}, None, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, None, None),
        (BASE, None, "http://base:4318/v1/metrics"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://base/a/"}, None, "http://base/a/v1/metrics"),
        (BASE | {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://own/x"}, None, "http://own/x"),
        (BASE | {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": ""}, None, "http://base:4318/v1/metrics"),
        (BASE, "https://flag", "https://flag/v1/metrics"),
        (BASE | {"OTEL_SDK_DISABLED": "TRUE"}, None, None),
        (BASE | {"OTEL_METRICS_EXPORTER": "none"}, None, None),
        ({"OTEL_SDK_DISABLED": "true"}, "https://flag", "https://flag/v1/metrics"),
    ],
)
def test_the_url_of_otlp(environment: dict[str, str], endpoint: str | None, url: str | None) -> None:
    settings = otlp_settings(environment, endpoint)
    assert (None if settings is None else settings.url) == url


def test_variables_for_metrics_take_precedence() -> None:
    settings = otlp_settings(
        {
            **BASE,
            "OTEL_EXPORTER_OTLP_HEADERS": "a=1",
            "OTEL_EXPORTER_OTLP_METRICS_HEADERS": "authorization=Basic%20dTpw, x-b = 2,",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "2500",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
            "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION": "gzip",
            "OTEL_EXPORTER_OTLP_CERTIFICATE": "/ca.pem",
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "Delta",
        }
    )
    assert settings is not None
    assert dict(settings.headers.pairs) == {"authorization": "Basic dTpw", "x-b": "2"}
    assert (settings.timeout_seconds, settings.is_compressed) == (2.5, True)
    assert (settings.certificate, settings.temporality) == (Path("/ca.pem"), "delta")
    assert "dTpw" not in repr(settings)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318", "invalid URL 'localhost:4318': must be a URL such as"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://", "must be a URL"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://a b", "without blanks"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "secret", "must be NAME=VALUE"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=%0d%0ab", "invalid value of the header 'a'"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "must be an integer from 1 to 600000"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", "must be one of gzip, none"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "only http/protobuf is supported"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "deltas", "did you mean delta?"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere.pem", "cannot use /nowhere.pem"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a", "must be NAME=VALUE"),
    ],
)
def test_an_invalid_variable_is_named(variable: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError) as raised:
        push_targets(Settings(), BASE | {variable: value})
    assert str(raised.value).startswith(f"{variable}: ")
    assert message in str(raised.value)


@pytest.mark.parametrize(
    "text", ["", "ftp://a", "http:///x", "http://a:x", "http://a:0", "http://a#b", "http://a\n", "http://ä", "//a"]
)
def test_invalid_urls(text: str) -> None:
    with pytest.raises(ValueError, match="must be a URL such as"):
        parse_http_url(text)


@pytest.mark.parametrize("text", ["gopher://user:secret@host/", "http://user:secret@host/#x"])
def test_messages_about_urls_have_no_credentials(text: str) -> None:
    with pytest.raises(ValueError, match="invalid URL") as raised:
        parse_http_url(text)
    assert "secret" not in str(raised.value)
    assert "secret" not in without_credentials("http://user:secret@host/?token=secret")


def test_messages_about_headers_have_no_values() -> None:
    with pytest.raises(ValueError, match="must be NAME=VALUE") as raised:
        parse_headers("bad name=secret")
    assert "secret" not in str(raised.value)
    assert repr(parse_headers("a=secret")) == "Headers(a=...)"


def test_requests_of_remote_write_have_token_and_headers() -> None:
    (target,) = push_targets(
        Settings(
            remote_write_url="http://user:pass@prometheus/api/v1/write",
            remote_write_token=Token(b"0123456789abcdef"),
            remote_write_headers=parse_headers("X-Scope-OrgID=team"),
        ),
        {},
    )
    assert target.headers["authorization"] == "Bearer 0123456789abcdef"
    assert target.headers["X-Scope-OrgID"] == "team"
    assert str(target) == "remote write to http://prometheus/api/v1/write"
    assert [target.is_retried(status) for status in (400, 429, 500, 503)] == [False, True, True, True]


def test_otlp_retries_what_its_specification_says() -> None:
    (target,) = push_targets(Settings(otlp_endpoint="http://collector"), {})
    assert {status for status in range(400, 600) if target.is_retried(status)} == {429, 502, 503, 504}


def test_without_a_receiver_nothing_is_imported_and_there_is_no_target() -> None:
    assert push_targets(Settings(), {}) == []


def test_the_resource_describes_the_host(tmp_path: Path) -> None:
    machine_id = tmp_path / "machine-id"
    assert host_resource(HOST, machine_id)["host.id"] == "boot"
    machine_id.write_text("1f\n")
    assert host_resource(HOST, machine_id) == {
        "service.name": "cpuwatch",
        "service.instance.id": "web-1",
        "host.name": "web-1",
        "host.id": "1f",
    }
    attributes = {"OTEL_RESOURCE_ATTRIBUTES": "service.name=a,b=%2C", "OTEL_SERVICE_NAME": "mine"}
    assert resource_attributes(attributes) == {"service.name": "mine", "b": ","}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        ("99999999999999999999", 300.0),
        ("Thu, 01 Jan 2026 00:00:30 GMT", 30.0),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0.0),
        ("soon", None),
        ("-1", None),
    ],
)
def test_retry_after(text: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(text, datetime(2026, 1, 1, tzinfo=UTC)) == seconds
