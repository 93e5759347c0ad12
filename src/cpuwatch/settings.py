"""The settings of the service, from the environment or from flags."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Self

import msgspec
from msgspec import Struct

from cpuwatch.errors import SettingsError

__all__ = ["Settings", "parse_history", "parse_interval", "parse_whole_number"]

_PREFIX = "CPUWATCH_"

_INTERVAL_SECONDS = (0.05, 3600.0)
_HISTORY_TICKS = (1, 86_400)


def parse_interval(text: str) -> float:
    """Seconds between two samples. Raises ``ValueError`` with what is allowed."""
    low, high = _INTERVAL_SECONDS
    message = f"{text!r} is no number of seconds from {low:g} to {high:g}"
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


def parse_whole_number(text: str, low: int, high: int, unit: str) -> int:
    """A number in digits. Raises ``ValueError`` with what is allowed."""
    # int() takes blanks, signs, underscores and other scripts' digits too, and refuses long ones with words of its own.
    if text.isascii() and text.isdigit() and len(text) <= len(str(high)) and low <= int(text) <= high:
        return int(text)
    raise ValueError(f"{text!r} is no whole number of {unit} from {low} to {high}")


def _parse_backend(text: str) -> str:
    if not text:
        raise ValueError("it is empty; 'auto' chooses the best backend there is")
    return text


class Settings(Struct, frozen=True, gc=False):
    """What the service can be told: seconds between samples, snapshots kept, and the backend's name."""

    interval: float = 1.0
    history: int = 600
    backend: str = "auto"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """From ``CPUWATCH_INTERVAL``, ``CPUWATCH_HISTORY``, ``CPUWATCH_BACKEND``; what is not set has its default.

        Raises :class:`~cpuwatch.errors.SettingsError` for a bad value, and for a ``CPUWATCH_`` variable that there is
        not: a setting that is silently ignored is worse than one that stops the start.
        """
        given: dict[str, object] = {}
        for variable, text in environment.items():
            if not variable.startswith(_PREFIX):
                continue
            field = variable.removeprefix(_PREFIX).lower()
            parser = _PARSERS.get(field)
            if parser is None or variable != variable.upper():
                known = ", ".join(_PREFIX + name.upper() for name in _PARSERS)
                raise SettingsError(f"{variable}: there is no such setting; there are {known}")
            try:
                given[field] = parser(text)
            except ValueError as error:
                raise SettingsError(f"{variable}: {error}") from None
        return msgspec.convert(given, cls)


_PARSERS: dict[str, Callable[[str], float | int | str]] = {
    "interval": parse_interval,
    "history": parse_history,
    "backend": _parse_backend,
}
