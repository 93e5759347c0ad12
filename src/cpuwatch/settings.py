"""The settings of the service, from the environment or from flags."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Self, get_args

from msgspec import Struct

from cpuwatch.errors import SettingsError
from cpuwatch.history import DEFAULT_HISTORY_BYTES
from cpuwatch.host import parse_host_name, parse_origin
from cpuwatch.shortened import shortened
from cpuwatch.token import Token, parse_token, read_token_file

__all__ = [
    "LogFormat",
    "Settings",
    "parse_allowed_hosts",
    "parse_cors_origins",
    "parse_history",
    "parse_history_bytes",
    "parse_interval",
    "parse_log_format",
    "parse_streams",
    "parse_whole_number",
]

LogFormat = Literal["text", "json"]

_PREFIX = "CPUWATCH_"

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


def _parse_backend(text: str) -> str:
    if not text:
        raise ValueError("it is empty; 'auto' chooses the best backend there is")
    return text


def parse_allowed_hosts(text: str) -> frozenset[str]:
    """Names with commas between them, or ``*`` for any. Raises ``ValueError`` with what is allowed."""
    return frozenset(part if part == "*" else parse_host_name(part) for part in _parts(text))


def parse_cors_origins(text: str) -> frozenset[str]:
    """Origins with commas between them. Raises ``ValueError`` with what is allowed."""
    return frozenset(map(parse_origin, _parts(text)))


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
    answers. Without ``page`` there is nothing at ``/``. ``streams`` of events may be open at once.
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

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """From the variables ``CPUWATCH_*``; what is not set has its default. The token may stand in a file.

        Raises :class:`~cpuwatch.errors.SettingsError` for a bad value, and for a ``CPUWATCH_`` variable that there is
        not: a setting that is silently ignored is worse than one that stops the start.
        """
        given: dict[str, Any] = {}
        for variable, text in environment.items():
            if not variable.startswith(_PREFIX):
                continue
            name = variable.removeprefix(_PREFIX).lower()
            if name not in _VARIABLES or variable != variable.upper():
                known = ", ".join(_PREFIX + name.upper() for name in _VARIABLES)
                raise SettingsError(f"{variable}: there is no such setting; there are {known}")
            field, parse = _VARIABLES[name]
            if field in given:
                raise SettingsError("CPUWATCH_TOKEN and CPUWATCH_TOKEN_FILE are both set: which one holds?")
            try:
                given[field] = parse(text)
            except ValueError as error:
                raise SettingsError(f"{variable}: {error}") from None
        return cls(**given)


_VARIABLES: dict[str, tuple[str, Callable[[str], object]]] = {
    "interval": ("interval", parse_interval),
    "history": ("history", parse_history),
    "history_bytes": ("history_bytes", parse_history_bytes),
    "backend": ("backend", _parse_backend),
    "token": ("token", parse_token),
    "token_file": ("token", read_token_file),
    "allowed_hosts": ("allowed_hosts", parse_allowed_hosts),
    "cors_origins": ("cors_origins", parse_cors_origins),
    "log_format": ("log_format", parse_log_format),
    "access_log": ("access_log", _parse_switch),
    "page": ("page", _parse_switch),
    "streams": ("streams", parse_streams),
    "command_lines": ("command_lines", _parse_switch),
}
"""The field that each stands for, and its parser."""
