"""The receivers that settings name. The libraries of the extra ``push`` are imported here, only if they are needed."""

from __future__ import annotations

import gzip
import ssl
from collections.abc import Mapping
from http import HTTPStatus
from importlib.metadata import version
from typing import TYPE_CHECKING

from cpuwatch.encoding.metric_points import Interval
from cpuwatch.errors import MissingExtraError, SettingsError
from cpuwatch.push.otlp_settings import OtlpSettings, otlp_settings, resource_attributes
from cpuwatch.push.target import Resource, Target
from cpuwatch.settings import Settings

if TYPE_CHECKING:
    from cpuwatch.push.pusher import Pusher

__all__ = ["open_pusher", "push_targets"]

_OTLP_RETRIED = {
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
"""opentelemetry.io/docs/specs/otlp/#retryable-response-codes."""

_GZIP_LEVEL = 6


def open_pusher(settings: Settings, environment: Mapping[str, str]) -> Pusher | None:
    """A running pusher to the receivers that settings and the variables ``OTEL_*`` name; None if they name none.

    Raises what :func:`push_targets` raises.
    """
    targets = push_targets(settings, environment)
    if not targets:
        return None
    from cpuwatch.push.pusher import Pusher  # noqa: PLC0415  it needs the extra

    return Pusher(targets, settings.push_interval, settings.push_top, resource_attributes(environment))


def push_targets(settings: Settings, environment: Mapping[str, str]) -> list[Target]:
    """The receivers that settings and the variables ``OTEL_*`` name.

    Raises :class:`~cpuwatch.errors.SettingsError` for an invalid variable or certificate, and
    :class:`~cpuwatch.errors.MissingExtraError` if a library is missing.
    """
    targets = []
    otlp = otlp_settings(environment, settings.otlp_endpoint)
    try:
        if otlp is not None:
            targets.append(_otlp_target(otlp))
        if settings.remote_write_url is not None:
            targets.append(_remote_write_target(settings, settings.remote_write_url))
        if targets:
            resource_attributes(environment)
            import httpx  # noqa: F401, PLC0415  the pusher needs it
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{error.name} is missing; pushing needs the extra 'push': install cpuwatch with [push]"
        ) from None
    return targets


def _otlp_target(settings: OtlpSettings) -> Target:
    from cpuwatch.encoding.otlp import otlp_request, rejected_points  # noqa: PLC0415  it needs the extra

    own_version = version("cpuwatch")

    def encode(interval: Interval, resource: Resource) -> bytes:
        body = otlp_request(interval, resource, own_version, settings.temporality)
        return gzip.compress(body, _GZIP_LEVEL, mtime=0) if settings.is_compressed else body

    def complaint(response: bytes) -> str | None:
        rejected = rejected_points(response)
        return None if rejected is None else f"{rejected[0]} points were rejected: {rejected[1]}"

    coding = {"content-encoding": "gzip"} if settings.is_compressed else {}
    return Target(
        protocol="OTLP",
        url=settings.url,
        headers={**dict(settings.headers.pairs), "content-type": "application/x-protobuf", **coding},
        encode=encode,
        is_retried=_OTLP_RETRIED.__contains__,
        complaint=complaint,
        timeout_seconds=settings.timeout_seconds,
        tls=_tls(settings),
    )


def _remote_write_target(settings: Settings, url: str) -> Target:
    from cpuwatch.encoding.remote_write import remote_write_request  # noqa: PLC0415  it needs the extra

    token = settings.remote_write_token
    authorization = {} if token is None else {"authorization": f"Bearer {token.secret.decode()}"}
    return Target(
        protocol="remote write",
        url=url,
        headers={
            **dict(settings.remote_write_headers.pairs),
            **authorization,
            "content-type": "application/x-protobuf",
            "content-encoding": "snappy",
            "x-prometheus-remote-write-version": "0.1.0",
        },
        encode=remote_write_request,
        # The specification asks for retries of all errors of the server.
        is_retried=lambda status: status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR,
    )


def _tls(settings: OtlpSettings) -> ssl.SSLContext | None:
    if settings.certificate is None and settings.client_certificate is None:
        return None
    files = [settings.certificate, settings.client_certificate, settings.client_key]
    try:
        context = ssl.create_default_context(cafile=settings.certificate)
        if settings.client_certificate is not None:
            context.load_cert_chain(settings.client_certificate, settings.client_key)
    except OSError as error:  # ssl.SSLError is one
        shown = " and ".join(str(file) for file in files if file is not None)
        raise SettingsError(f"OTEL_EXPORTER_OTLP_CERTIFICATE: cannot use {shown}: {error.strerror or error}") from None
    return context
