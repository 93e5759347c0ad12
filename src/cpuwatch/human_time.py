"""Times as people write them in flags and queries: ``03:14``, ``yesterday 03:14``, ``-15m``, ``now``, RFC 3339. Pure.

A time without an offset is local. When clocks are set back, a local hour occurs twice, and the first one is meant
(RFC 5545, 3.3.5); with its offset, the second one can be given too. When clocks are set forward, the local times of an
hour do not exist. They are read with the offset that was valid before, so 02:30 is what the clocks show as 03:30.
Python's ``fold=0`` does the same (PEP 495).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo

from cpuwatch.text import shortened

__all__ = ["ALLOWED_TIMES", "parse_time"]

# Without quotation marks: a line of a man page that begins with one would be a command.
ALLOWED_TIMES = "now, -15m, -2h30m, 03:14, yesterday 03:14, 2026-11-26 03:14 or 2026-11-26T03:14:05Z"

_ABSOLUTE = re.compile(
    r"""
    (?:(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2}|today|yesterday)(?:[T ]\ *|$))?
    (?:(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]{1,9}))?)?)?
    (?P<offset>\ *(?:Z|[+-][0-9]{2}:?[0-9]{2}))?
    """,
    re.ASCII | re.IGNORECASE | re.VERBOSE,
)
_AGO = re.compile(
    r"-(?:(?P<days>[0-9]{1,6})d)?(?:(?P<hours>[0-9]{1,6})h)?(?:(?P<minutes>[0-9]{1,6})m)?(?:(?P<seconds>[0-9]{1,9})s)?",
    re.ASCII | re.IGNORECASE,
)


def parse_time(text: str, now: datetime, zone: tzinfo | None = None) -> datetime:
    """The time that is meant, in UTC.

    ``zone`` is the local time zone, by default that of the system; ``now`` is an aware time. A time of day alone is
    the last one that is not after ``now``. A day alone is its first moment.

    Raises ``ValueError`` with the allowed forms.
    """
    wanted = text.strip()
    if wanted.lower() == "now":
        return now.astimezone(UTC)
    ago, absolute = _AGO.fullmatch(wanted), _ABSOLUTE.fullmatch(wanted)
    try:
        if ago is not None and any(ago.groups()):
            return now.astimezone(UTC) - timedelta(**{unit: int(count or 0) for unit, count in ago.groupdict().items()})
        if absolute is not None and (absolute["day"] or absolute["hour"]):
            return _absolute(absolute, now, zone)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"invalid time {shortened(text)!r}: {error}") from None
    raise ValueError(f"invalid time {shortened(text)!r}: must be like {ALLOWED_TIMES}")


def _absolute(match: re.Match[str], now: datetime, zone: tzinfo | None) -> datetime:
    own_zone = zone if match["offset"] is None else _zone_of_offset(match["offset"].strip())
    today = now.astimezone(own_zone).date()
    at = _time_of_day(match)
    if match["day"] is not None:
        return _utc(_date(match["day"], today), at, own_zone)
    found = _utc(today, at, own_zone)
    return found if found <= now else _utc(today - timedelta(days=1), at, own_zone)


def _time_of_day(match: re.Match[str]) -> time:
    microseconds = int((match["fraction"] or "").ljust(6, "0")[:6])
    return time(int(match["hour"] or 0), int(match["minute"] or 0), int(match["second"] or 0), microseconds)


def _date(day: str, today: date) -> date:
    match day.lower():
        case "today":
            return today
        case "yesterday":
            return today - timedelta(days=1)
    return date.fromisoformat(day)


def _zone_of_offset(offset: str) -> tzinfo:
    if offset in {"Z", "z"}:
        return UTC
    hours, minutes = int(offset[1:3]), int(offset[-2:])
    if minutes > 59:
        raise ValueError(f"the offset {offset} has more than 59 minutes")
    size = timedelta(hours=hours, minutes=minutes)
    return timezone(-size if offset[0] == "-" else size)


def _utc(day: date, at: time, zone: tzinfo | None) -> datetime:
    # Without a zone, astimezone() reads a naive time as one of the system's zone.
    return datetime.combine(day, at, zone).astimezone(UTC)
