"""Flags that commands share, and how they become settings."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Collection
from datetime import UTC, datetime

from msgspec.structs import replace

from cpuwatch.human_time import parse_time
from cpuwatch.parse import parse_integer
from cpuwatch.receiver_settings import parse_headers, parse_http_url
from cpuwatch.settings import (
    Settings,
    parse_interval,
    parse_log_format,
    parse_push_interval,
    parse_push_top,
    parse_record_max_age,
    parse_record_max_bytes,
)
from cpuwatch.token_file import read_token_file

__all__ = [
    "add_log_format_flag",
    "add_push_flags",
    "add_retention_flags",
    "add_sampling_flags",
    "parse_count",
    "parse_moment",
    "settings_from",
    "typed",
]

_DEFAULTS = Settings()
_MAX_COUNT = 10**9


def add_sampling_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags for sampling, which all commands that sample have."""
    group = parser.add_argument_group("sampling")
    group.add_argument(
        "--interval",
        type=typed(parse_interval),
        metavar="SECONDS",
        help="time between two readings, from 0.05 to 3600 seconds "
        f"(default: CPUWATCH_INTERVAL, or {_DEFAULTS.interval:g})",
    )
    group.add_argument(
        "--backend",
        metavar="NAME",
        help="how to read processes: auto, procfs, psutil or the name of an installed sampler "
        f"(default: CPUWATCH_BACKEND, or {_DEFAULTS.backend})",
    )
    group.add_argument(
        "--command-lines",
        action="store_true",
        default=None,
        help="read command lines and show them, with secrets masked (default: CPUWATCH_COMMAND_LINES, or off)",
    )


def add_retention_flags(group: argparse._ArgumentGroup) -> None:
    """Add the limits of a recording."""
    group.add_argument(
        "--record-max-bytes",
        type=typed(parse_record_max_bytes),
        metavar="SIZE",
        help="disk space for the recording, such as 500MB or 2GiB; the oldest seconds are deleted first "
        "(default: CPUWATCH_RECORD_MAX_BYTES, or 1GiB)",
    )
    group.add_argument(
        "--record-max-age",
        type=typed(parse_record_max_age),
        metavar="DURATION",
        help="delete what is older, such as 36h or 30d (default: CPUWATCH_RECORD_MAX_AGE, or no limit)",
    )


def add_push_flags(group: argparse._ArgumentGroup) -> None:
    """Add the receivers of metrics, and what they get."""
    group.add_argument(
        "--otlp-endpoint",
        type=typed(parse_http_url),
        metavar="URL",
        help="push to this OpenTelemetry receiver, such as http://localhost:4318; v1/metrics is appended "
        "(default: OTEL_EXPORTER_OTLP_ENDPOINT, or none; other OTEL_EXPORTER_OTLP_* variables apply too)",
    )
    group.add_argument(
        "--remote-write-url",
        type=typed(parse_http_url),
        metavar="URL",
        help="push to this receiver of Prometheus remote write, such as http://localhost:9090/api/v1/write "
        "(default: CPUWATCH_REMOTE_WRITE_URL, or none)",
    )
    group.add_argument(
        "--remote-write-token-file",
        dest="remote_write_token",
        type=typed(read_token_file),
        metavar="FILE",
        help="send it the token in this file, as Authorization: Bearer "
        "(default: CPUWATCH_REMOTE_WRITE_TOKEN_FILE, or no token)",
    )
    group.add_argument(
        "--remote-write-headers",
        type=typed(parse_headers),
        metavar="NAME=VALUE,...",
        help="send it these headers, such as X-Scope-OrgID=team; values are URL-encoded "
        "(default: CPUWATCH_REMOTE_WRITE_HEADERS, or none)",
    )
    group.add_argument(
        "--push-interval",
        type=typed(parse_push_interval),
        metavar="DURATION",
        help="time between two pushes, from 1s to 1h "
        f"(default: CPUWATCH_PUSH_INTERVAL, or {_DEFAULTS.push_interval:g}s)",
    )
    group.add_argument(
        "--push-top",
        type=typed(parse_push_top),
        metavar="NUMBER",
        help="names, and cgroups, that have a series each, from 1 to 30; the others are summed up as rest "
        f"(default: CPUWATCH_PUSH_TOP, or {_DEFAULTS.push_top})",
    )


def add_log_format_flag(group: argparse._ArgumentGroup) -> None:
    """Add the format of the log."""
    group.add_argument(
        "--log-format",
        type=typed(parse_log_format),
        choices=("text", "json"),
        metavar="FORMAT",
        help=f"text (key=value) or json (default: CPUWATCH_LOG_FORMAT, or {_DEFAULTS.log_format})",
    )


def parse_count(text: str) -> int:
    """How often a command samples. Raises ``ValueError`` with what is allowed."""
    return parse_integer("count", text, 1, _MAX_COUNT)


def typed(parse: Callable[[str], object]) -> Callable[[str], object]:
    """The parser as a ``type=`` of argparse, which shows the message of this exception only."""

    def parse_argument(text: str) -> object:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse_argument


def parse_moment(text: str) -> datetime:
    """A time relative to now, in local time unless it has an offset. Raises ``ValueError`` with what is allowed."""
    return parse_time(text, datetime.now(UTC))


def settings_from(options: argparse.Namespace, fields: Collection[str]) -> Settings:
    """These fields from the environment, overridden by the flags that were given."""
    flags = {name: value for name in fields if (value := getattr(options, name, None)) is not None}
    return replace(Settings.from_environment(os.environ, fields), **flags)
