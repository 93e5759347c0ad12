"""The growth of counters between two readings. Pure."""

from __future__ import annotations

__all__ = ["growth", "pressure_percent"]


def growth(earlier: int | None, later: int | None) -> int | None:
    """The growth of a counter; None if it is unknown, or if the counter decreased and so began anew."""
    return None if earlier is None or later is None or later < earlier else later - earlier


def pressure_percent(earlier_ns: int | None, later_ns: int | None, interval_ns: int) -> float | None:
    """Pressure in percent of the interval. At most 100: the file is read slightly before or after the reading."""
    grown_ns = growth(earlier_ns, later_ns)
    return None if grown_ns is None or not interval_ns else min(100.0, 100 * grown_ns / interval_ns)
