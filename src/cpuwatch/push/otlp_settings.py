"""The variables ``OTEL_*`` that every OTLP exporter obeys. Pure.

opentelemetry.io/docs/specs/otel/protocol/exporter and .../configuration/sdk-environment-variables. A variable for
metrics takes precedence over the one for all signals, and an empty variable is the same as none.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from msgspec import Struct

from cpuwatch.encoding.metric_points import Temporality
from cpuwatch.errors import SettingsError
from cpuwatch.parse import invalid, invalid_choice, parse_integer
from cpuwatch.receiver_settings import Headers, parse_headers, parse_http_url

__all__ = ["OtlpSettings", "otlp_settings", "resource_attributes"]

_PREFIX = "OTEL_EXPORTER_OTLP_"
_METRICS = f"{_PREFIX}METRICS_"
_PATH = "v1/metrics"
_TEMPORALITIES: dict[str, Temporality] = {
    "cumulative": "cumulative",
    "delta": "delta",
    # Delta only for instruments that are updated as things happen; these counters are observed.
    "lowmemory": "cumulative",
}
_MAX_TIMEOUT_MS = 600_000


class OtlpSettings(Struct, frozen=True):
    """How to reach a receiver. ``certificate`` has the authorities to trust; the other two identify this client."""

    url: str
    headers: Headers
    timeout_seconds: float = 10.0
    is_compressed: bool = True
    temporality: Temporality = "cumulative"
    certificate: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None


def otlp_settings(environment: Mapping[str, str], endpoint: str | None = None) -> OtlpSettings | None:
    """The settings for metrics; None if neither ``endpoint`` nor a variable names a receiver.

    ``endpoint`` is a base URL, to which ``v1/metrics`` is appended, as to ``OTEL_EXPORTER_OTLP_ENDPOINT``. The URL of
    ``OTEL_EXPORTER_OTLP_METRICS_ENDPOINT`` is complete. Raises :class:`~cpuwatch.errors.SettingsError`, which names the
    variable.
    """
    url = _url(environment, endpoint)
    if url is None:
        return None
    protocol = _text(environment, "PROTOCOL")
    if protocol is not None and protocol[1] != "http/protobuf":
        raise SettingsError(f"{protocol[0]}: {invalid('protocol', protocol[1], 'only http/protobuf is supported')}")
    return OtlpSettings(
        url=url,
        headers=_headers(environment),
        timeout_seconds=_timeout_seconds(environment),
        is_compressed=_is_compressed(environment),
        temporality=_temporality(environment),
        certificate=_path(environment, "CERTIFICATE"),
        client_certificate=_path(environment, "CLIENT_CERTIFICATE"),
        client_key=_path(environment, "CLIENT_KEY"),
    )


def resource_attributes(environment: Mapping[str, str]) -> dict[str, str]:
    """``OTEL_RESOURCE_ATTRIBUTES``, and ``OTEL_SERVICE_NAME``, which takes precedence."""
    variable = "OTEL_RESOURCE_ATTRIBUTES"
    attributes = _pairs(variable, environment.get(variable, ""))
    name = environment.get("OTEL_SERVICE_NAME")
    return attributes | ({"service.name": name} if name else {})


def _url(environment: Mapping[str, str], endpoint: str | None) -> str | None:
    if endpoint is not None:
        return _appended(endpoint)
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true" or environment.get("OTEL_METRICS_EXPORTER") == "none":
        return None
    for variable, is_base in ((f"{_METRICS}ENDPOINT", False), (f"{_PREFIX}ENDPOINT", True)):
        text = environment.get(variable)
        if text:
            try:
                url = parse_http_url(text)
            except ValueError as error:
                raise SettingsError(f"{variable}: {error}") from None
            return _appended(url) if is_base else url
    return None


def _appended(url: str) -> str:
    return f"{url.rstrip('/')}/{_PATH}"


def _text(environment: Mapping[str, str], name: str) -> tuple[str, str] | None:
    """The variable that is set, and its value."""
    for variable in (f"{_METRICS}{name}", f"{_PREFIX}{name}"):
        text = environment.get(variable)
        if text:
            return variable, text
    return None


def _headers(environment: Mapping[str, str]) -> Headers:
    found = _text(environment, "HEADERS")
    if found is None:
        return Headers()
    variable, text = found
    try:
        return parse_headers(text)
    except ValueError as error:
        raise SettingsError(f"{variable}: {error}") from None


def _pairs(variable: str, text: str) -> dict[str, str]:
    pairs = {}
    for part in filter(None, map(str.strip, text.split(","))):
        key, separator, value = part.partition("=")
        if not separator or not key.strip():
            raise SettingsError(f"{variable}: {invalid('attribute', part, 'must be NAME=VALUE')}")
        pairs[key.strip()] = unquote(value.strip())
    return pairs


def _timeout_seconds(environment: Mapping[str, str]) -> float:
    found = _text(environment, "TIMEOUT")
    if found is None:
        return 10.0
    variable, text = found
    try:
        return parse_integer("number of milliseconds", text, 1, _MAX_TIMEOUT_MS) / 1000
    except ValueError as error:
        raise SettingsError(f"{variable}: {error}") from None


def _is_compressed(environment: Mapping[str, str]) -> bool:
    found = _text(environment, "COMPRESSION")
    if found is None:
        return True
    variable, text = found
    if text not in {"gzip", "none"}:
        raise SettingsError(f"{variable}: {invalid_choice('compression', text, ('gzip', 'none'))}")
    return text == "gzip"


def _temporality(environment: Mapping[str, str]) -> Temporality:
    variable = f"{_METRICS}TEMPORALITY_PREFERENCE"
    text = environment.get(variable) or "cumulative"
    try:
        return _TEMPORALITIES[text.lower()]
    except KeyError:
        raise SettingsError(f"{variable}: {invalid_choice('temporality', text, tuple(_TEMPORALITIES))}") from None


def _path(environment: Mapping[str, str], name: str) -> Path | None:
    found = _text(environment, name)
    return None if found is None else Path(found[1])
