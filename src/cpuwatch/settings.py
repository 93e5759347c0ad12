"""The settings of the service, from the environment or from flags."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Literal, Self, get_args

from msgspec import Struct

from cpuwatch.accounting.listed_names import DEFAULT_NAMES
from cpuwatch.errors import SettingsError
from cpuwatch.history import DEFAULT_HISTORY_BYTES
from cpuwatch.host_names import parse_host_name, parse_origin
from cpuwatch.interval import SERVICE_INTERVAL_SECONDS, checked_interval
from cpuwatch.parse import parse_integer
from cpuwatch.peers.peer_list import Address, parse_peers
from cpuwatch.quantities import parse_duration, parse_size
from cpuwatch.receiver_settings import Headers, parse_headers, parse_http_url
from cpuwatch.text import shortened
from cpuwatch.token_file import Token, parse_token, read_token_file

__all__ = [
    "PREFIX",
    "VARIABLES",
    "LogFormat",
    "Settings",
    "parse_allowed_hosts",
    "parse_cors_origins",
    "parse_history",
    "parse_history_bytes",
    "parse_interval",
    "parse_log_format",
    "parse_metric_names",
    "parse_proxies",
    "parse_push_interval",
    "parse_push_top",
    "parse_record_max_age",
    "parse_record_max_bytes",
    "parse_streams",
]

LogFormat = Literal["text", "json"]

PREFIX = "CPUWATCH_"

_HISTORY_TICKS = (1, 86_400)
_HISTORY_BYTES = (2**20, 2**40)
_STREAMS = (0, 10_000)
_METRIC_NAMES = (1, 500)
_RECORD_BYTES = (16 * 2**20, 2**50)
_RECORD_AGE_SECONDS = (60, 100 * 366 * 86_400)
_PUSH_SECONDS = (1, 3600)
_PUSH_TOP = (1, 30)


def parse_interval(text: str) -> float:
    """Seconds between two readings. Raises ``ValueError`` with what is allowed."""
    return checked_interval(text, SERVICE_INTERVAL_SECONDS)


def parse_history(text: str) -> int:
    """Snapshots to keep. Raises ``ValueError`` with what is allowed."""
    low, high = _HISTORY_TICKS
    return parse_integer("number of snapshots", text, low, high)


def parse_history_bytes(text: str) -> int:
    """Memory for old snapshots. Raises ``ValueError`` with what is allowed."""
    low, high = _HISTORY_BYTES
    return parse_integer("number of bytes", text, low, high)


def parse_record_max_bytes(text: str) -> int:
    """Disk space for a recording. Raises ``ValueError`` with what is allowed."""
    return parse_size("size of the recording", text, *_RECORD_BYTES)


def parse_record_max_age(text: str) -> int:
    """Seconds after which ticks are deleted. Raises ``ValueError`` with what is allowed."""
    return parse_duration("age of the recording", text, *_RECORD_AGE_SECONDS)


def parse_push_interval(text: str) -> int:
    """Seconds between two pushes. Raises ``ValueError`` with what is allowed."""
    return parse_duration("interval of pushing", text, *_PUSH_SECONDS)


def parse_push_top(text: str) -> int:
    """Names with a series of their own. Raises ``ValueError`` with what is allowed."""
    return parse_integer("number of names", text, *_PUSH_TOP)


def parse_streams(text: str) -> int:
    """Streams that may be open at once. Raises ``ValueError`` with what is allowed."""
    low, high = _STREAMS
    return parse_integer("number of streams", text, low, high)


def parse_metric_names(text: str) -> int:
    """Process names in ``/metrics`` at once. Raises ``ValueError`` with what is allowed."""
    low, high = _METRIC_NAMES
    return parse_integer("number of names", text, low, high)


def parse_allowed_hosts(text: str) -> frozenset[str]:
    """Host names separated by commas, or ``*`` for any. Raises ``ValueError`` with what is allowed."""
    return frozenset(part if part == "*" else parse_host_name(part) for part in _parts(text))


def parse_cors_origins(text: str) -> frozenset[str]:
    """Origins separated by commas. Raises ``ValueError`` with what is allowed."""
    return frozenset(map(parse_origin, _parts(text)))


def parse_proxies(text: str) -> frozenset[IPv4Network | IPv6Network]:
    """Addresses and networks separated by commas. Raises ``ValueError`` with what is allowed."""
    return frozenset(map(_parse_network, _parts(text)))


def _parse_network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError:
        raise ValueError(
            f"invalid address or network {shortened(text)!r}: "
            "must be an address such as 10.0.0.1, or a network such as 10.0.0.0/8"
        ) from None


def parse_log_format(text: str) -> LogFormat:
    """A format of the log. Raises ``ValueError`` with what is allowed."""
    for allowed in get_args(LogFormat):
        if text == allowed:
            return allowed  # type: ignore[no-any-return]  # get_args has no types
    raise ValueError(f"invalid log format {shortened(text)!r}: must be {' or '.join(get_args(LogFormat))}")


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _parse_switch(text: str) -> bool:
    try:
        return {"1": True, "true": True, "0": False, "false": False}[text.lower()]
    except KeyError:
        raise ValueError(f"invalid switch {shortened(text)!r}: must be true, false, 1 or 0") from None


class Settings(Struct, frozen=True, gc=False):
    """The settings of the service.

    ``interval`` is in seconds, ``history`` in snapshots, and ``history_bytes`` limits the memory that old snapshots
    take. With a ``token``, clients must send it. ``allowed_hosts`` are more names by which clients may call this
    machine; ``*`` allows any name. ``cors_origins`` are the origins of other web pages that may read the responses.
    ``page`` switches the live page at ``/``. At most ``streams`` event streams may be open at once, at most a quarter
    of them by one client; ``proxies`` are addresses that stand for many clients and are exempt from that share.
    ``/metrics`` lists ``metric_names`` process names.
    ``command_lines`` switches whether command lines are read and shown, with secrets masked.
    ``record`` is the directory of a recording, whose files take at most ``record_max_bytes`` and are deleted after
    ``record_max_age`` seconds.
    ``peers`` is where the list of other machines is, a file or a URL, and ``peers_token`` is sent to those that have no
    token file in the list.
    ``otlp_endpoint`` and ``remote_write_url`` are receivers of metrics. They get sums of ``push_interval`` seconds,
    with a series for each of ``push_top`` names and cgroups; requests of remote write have the token and the headers.
    """

    interval: float = 1.0
    history: int = 3600
    history_bytes: int = DEFAULT_HISTORY_BYTES
    backend: str = "auto"
    token: Token | None = None
    allowed_hosts: frozenset[str] = frozenset()
    cors_origins: frozenset[str] = frozenset()
    log_format: LogFormat = "text"
    access_log: bool = False
    page: bool = True
    streams: int = 200
    metric_names: int = DEFAULT_NAMES
    command_lines: bool = False
    proxies: frozenset[IPv4Network | IPv6Network] = frozenset()
    record: Path | None = None
    record_max_bytes: int = 2**30
    record_max_age: int | None = None
    peers: Path | Address | None = None
    peers_token: Token | None = None
    otlp_endpoint: str | None = None
    remote_write_url: str | None = None
    remote_write_token: Token | None = None
    remote_write_headers: Headers = Headers()
    push_interval: float = 10
    push_top: int = 20

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], fields: Collection[str] | None = None) -> Self:
        """The settings from the variables ``CPUWATCH_*``; those that are unset or empty have their defaults.

        With ``fields``, only the variables of these fields are read. :mod:`cpuwatch.environment` deals with unknown
        ``CPUWATCH_`` variables. Raises :class:`~cpuwatch.errors.SettingsError` for an invalid value.
        """
        given: dict[str, Any] = {}
        for variable, (field, parse) in VARIABLES.items():
            text = environment.get(variable)
            if not text or (fields is not None and field not in fields):
                continue
            if field in given:
                raise SettingsError("CPUWATCH_TOKEN and CPUWATCH_TOKEN_FILE are both set: unset one of them")
            try:
                given[field] = parse(text)
            except ValueError as error:
                raise SettingsError(f"{variable}: {error}") from None
        return cls(**given)


VARIABLES: dict[str, tuple[str, Callable[[str], object]]] = {
    "CPUWATCH_INTERVAL": ("interval", parse_interval),
    "CPUWATCH_HISTORY": ("history", parse_history),
    "CPUWATCH_HISTORY_BYTES": ("history_bytes", parse_history_bytes),
    "CPUWATCH_BACKEND": ("backend", str),
    "CPUWATCH_TOKEN": ("token", parse_token),
    "CPUWATCH_TOKEN_FILE": ("token", read_token_file),
    "CPUWATCH_ALLOWED_HOSTS": ("allowed_hosts", parse_allowed_hosts),
    "CPUWATCH_CORS_ORIGINS": ("cors_origins", parse_cors_origins),
    "CPUWATCH_LOG_FORMAT": ("log_format", parse_log_format),
    "CPUWATCH_ACCESS_LOG": ("access_log", _parse_switch),
    "CPUWATCH_PAGE": ("page", _parse_switch),
    "CPUWATCH_STREAMS": ("streams", parse_streams),
    "CPUWATCH_METRIC_NAMES": ("metric_names", parse_metric_names),
    "CPUWATCH_COMMAND_LINES": ("command_lines", _parse_switch),
    "CPUWATCH_PROXIES": ("proxies", parse_proxies),
    "CPUWATCH_RECORD": ("record", Path),
    "CPUWATCH_RECORD_MAX_BYTES": ("record_max_bytes", parse_record_max_bytes),
    "CPUWATCH_RECORD_MAX_AGE": ("record_max_age", parse_record_max_age),
    "CPUWATCH_PEERS": ("peers", parse_peers),
    "CPUWATCH_PEERS_TOKEN_FILE": ("peers_token", read_token_file),
    "CPUWATCH_REMOTE_WRITE_URL": ("remote_write_url", parse_http_url),
    "CPUWATCH_REMOTE_WRITE_TOKEN_FILE": ("remote_write_token", read_token_file),
    "CPUWATCH_REMOTE_WRITE_HEADERS": ("remote_write_headers", parse_headers),
    "CPUWATCH_PUSH_INTERVAL": ("push_interval", parse_push_interval),
    "CPUWATCH_PUSH_TOP": ("push_top", parse_push_top),
}
"""The variables, each with the field that it sets and its parser."""
