"""Checks the interval between two readings. Pure."""

from __future__ import annotations

import math

from cpuwatch.errors import SettingsError
from cpuwatch.text import shortened

__all__ = ["LIBRARY_INTERVAL_SECONDS", "SERVICE_INTERVAL_SECONDS", "checked_interval"]

SERVICE_INTERVAL_SECONDS = (0.05, 3600.0)
"""RecordingLimits for the service and the commands. Shorter intervals cost more CPU than their detail is worth."""

LIBRARY_INTERVAL_SECONDS = (0.0001, 86_400.0)
"""RecordingLimits for the library, which leaves that choice to the caller."""


def checked_interval(given: float | str, limits: tuple[float, float]) -> float:
    """The interval in seconds. Raises :class:`~cpuwatch.errors.SettingsError` unless it is a number within limits."""
    low, high = limits
    try:
        seconds = float(given)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if low <= seconds <= high:
        return seconds
    shown = repr(shortened(given)) if isinstance(given, str) else shortened(repr(given))
    raise SettingsError(f"invalid interval {shown}: must be a number of seconds from {low:g} to {high:g}")
