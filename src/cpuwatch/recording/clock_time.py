"""Times of day as microseconds since the Unix epoch, exactly. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

__all__ = ["time_of", "time_us"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def time_us(time: datetime) -> int:
    """Microseconds since the Unix epoch. ``datetime.timestamp`` is a float, which cannot hold all of them."""
    return (time - _EPOCH) // _MICROSECOND


def time_of(microseconds: int) -> datetime:
    """The time of day, in UTC. Raises ``OverflowError`` beyond the year 9999."""
    return _EPOCH + timedelta(microseconds=microseconds)
