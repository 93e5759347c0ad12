"""The settings of the service, from the environment or from flags."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Literal, Self, get_args

from msgspec import Struct

from cpuwatch.errors import SettingsError
from cpuwatch.history import DEFAULT_HISTORY_BYTES
from cpuwatch.host_names import parse_host_name, parse_origin
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
    "parse_proxies",
    "parse_streams",
    "parse_whole_number",
]

LogFormat = Literal["text", "json"]

PREFIX = "CPUWATCH_"

_INTERVAL_SECONDS = (0.05, 3600.0)
_HISTORY_TICKS = (1, 86_400)
_HISTORY_BYTES = (2**20, 2**40)
_STREAMS = (0, 10_000)


def parse_interval(text: str) -> float:
    """Seconds between two samples. Raises ``ValueError`` with what is allowed."""
    low, high = _INTERVAL_SECONDS
    message = f"{shortened(text)!r} is no number of seconds from {low:g} to {high:g}"
    try:
        seconds = float(text)
    except ValueError:
        raise ValueError(message) from None
    if not low <= seconds <= high:
        raise ValueError(message)
    return seconds


def parse_history(text: str) -> int:
    """Snapshots to keep. Raises ``ValueError`` with what is allowed."""
    low, high = _HISTORY_TICKS
    return parse_whole_number(text, low, high, "snapshots")


def parse_history_bytes(text: str) -> int:
    """Memory for old snapshots. Raises ``ValueError`` with what is allowed."""
    low, high = _HISTORY_BYTES
    return parse_whole_number(text, low, high, "bytes")


def parse_streams(text: str) -> int:
    """Streams that may be open at once. Raises ``ValueError`` with what is allowed."""
    low, high = _STREAMS
    return parse_whole_number(text, low, high, "streams")


def parse_whole_number(text: str, low: int, high: int, unit: str) -> int:
    """A number in digits. Raises ``ValueError`` with what is allowed."""
    # int() takes blanks, signs, underscores and other scripts' digits too, and refuses long ones with words of its own.
    if text.isascii() and text.isdigit() and len(text) <= len(str(high)) and low <= int(text) <= high:
        return int(text)
    raise ValueError(f"{shortened(text)!r} is no whole number of {unit} from {low} to {high}")


def parse_allowed_hosts(text: str) -> frozenset[str]:
    """Names with commas between them, or ``*`` for any. Raises ``ValueError`` with what is allowed."""
    return frozenset(part if part == "*" else parse_host_name(part) for part in _parts(text))


def parse_cors_origins(text: str) -> frozenset[str]:
    """Origins with commas between them. Raises ``ValueError`` with what is allowed."""
    return frozenset(map(parse_origin, _parts(text)))


def parse_proxies(text: str) -> frozenset[IPv4Network | IPv6Network]:
    """Addresses and networks with commas between them. Raises ``ValueError`` with what is allowed."""
    return frozenset(map(_parse_network, _parts(text)))


def _parse_network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError:
        raise ValueError(
            f"invalid address or network {shortened(text)!r}: write 10.0.0.1, 10.0.0.0/8 or fd00::/8"
        ) from None


def parse_log_format(text: str) -> LogFormat:
    """Raises ``ValueError`` with what is allowed."""
    for allowed in get_args(LogFormat):
        if text == allowed:
            return allowed  # type: ignore[no-any-return]  # get_args knows no types
    raise ValueError(f"{shortened(text)!r} is none of {', '.join(get_args(LogFormat))}")


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _parse_switch(text: str) -> bool:
    try:
        return {"1": True, "true": True, "0": False, "false": False}[text.lower()]
    except KeyError:
        raise ValueError(f"{shortened(text)!r} is none of true, false, 1, 0") from None


class Settings(Struct, frozen=True, gc=False):
    """What the service can be told: seconds between samples, snapshots kept, the backend's name; who may ask; the log.

    ``history_bytes`` limits the memory that old snapshots take.
    Without a ``token`` all may ask. ``allowed_hosts`` are names by which clients call this machine and which it does
    not know itself; ``*`` lets any name pass. ``cors_origins`` are those of web pages elsewhere that may read the
    answers. Without ``page`` there is nothing at ``/``. ``streams`` of events may be open at once, a quarter of them by
    one client; ``proxies`` are addresses that stand for many clients, to which that does not apply.
    ``command_lines`` are read and shown, with secrets masked, only if that is set.
    """

    interval: float = 1.0
    history: int = 600
    history_bytes: int = DEFAULT_HISTORY_BYTES
    backend: str = "auto"
    token: Token | None = None
    allowed_hosts: frozenset[str] = frozenset()
    cors_origins: frozenset[str] = frozenset()
    log_format: LogFormat = "text"
    access_log: bool = False
    page: bool = True
    streams: int = 200
    command_lines: bool = False
    proxies: frozenset[IPv4Network | IPv6Network] = frozenset()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], fields: Collection[str] | None = None) -> Self:
        """From the variables ``CPUWATCH_*``; whatever is not set, or set to nothing, has its default.

        With ``fields``, only the variables of these fields are read. Other ``CPUWATCH_`` variables are left to
        :mod:`cpuwatch.environment`. Raises :class:`~cpuwatch.errors.SettingsError` for a bad value.
        """
        given: dict[str, Any] = {}
        for variable, (field, parse) in VARIABLES.items():
            text = environment.get(variable)
            if not text or (fields is not None and field not in fields):
                continue
            if field in given:
                raise SettingsError("CPUWATCH_TOKEN and CPUWATCH_TOKEN_FILE are both set: set only one of them")
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
    "CPUWATCH_COMMAND_LINES": ("command_lines", _parse_switch),
    "CPUWATCH_PROXIES": ("proxies", parse_proxies),
}
"""The settings by their variables: the field that each stands for, and its parser."""
