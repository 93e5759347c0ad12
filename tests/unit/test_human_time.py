"""Times as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpuwatch.human_time import parse_time

PRAGUE = ZoneInfo("Europe/Prague")
NOW = datetime(2026, 11, 26, 11, 30, 15, tzinfo=UTC)
"""12:30:15 in Prague."""

ZONES = st.sampled_from([UTC, PRAGUE, ZoneInfo("America/St_Johns"), ZoneInfo("Australia/Lord_Howe")])
TIMES = st.integers(63_072_000_000_000, 4_102_444_800_000_000).map(
    lambda microseconds: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
)
"""From 1972 to 2100: offsets were not whole minutes before."""


def utc(day: int, hour: int, minute: int = 0, second: int = 0, microsecond: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, second, microsecond, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", NOW),
        (" NOW ", NOW),
        ("-15m", utc(26, 11, 15, 15)),
        ("-2h30m", utc(26, 9, 0, 15)),
        ("-1d", utc(25, 11, 30, 15)),
        ("-90s", utc(26, 11, 28, 45)),
        ("-1d2h3m4s", utc(25, 9, 27, 11)),
        ("03:14", utc(26, 2, 14)),
        ("3:14", utc(26, 2, 14)),
        ("03:14:05", utc(26, 2, 14, 5)),
        ("12:30", utc(26, 11, 30)),
        ("12:31", utc(25, 11, 31)),
        ("23:59", utc(25, 22, 59)),
        ("12:31Z", utc(25, 12, 31)),
        ("11:30Z", utc(26, 11, 30)),
        ("yesterday 03:14", utc(25, 2, 14)),
        ("Yesterday", utc(24, 23)),
        ("today 03:14", utc(26, 2, 14)),
        ("today 23:00", utc(26, 22)),
        ("today", utc(25, 23)),
        ("2026-11-20", utc(19, 23)),
        ("2026-11-20 03:14", utc(20, 2, 14)),
        ("2026-11-20T03:14:05", utc(20, 2, 14, 5)),
        ("2026-11-20T03:14:05Z", utc(20, 3, 14, 5)),
        ("2026-11-20t03:14:05z", utc(20, 3, 14, 5)),
        ("2026-11-20T03:14:05.25Z", utc(20, 3, 14, 5, 250_000)),
        ("2026-11-20T03:14:05.123456789Z", utc(20, 3, 14, 5, 123_456)),
        ("2026-11-20T03:14:05+01:00", utc(20, 2, 14, 5)),
        ("2026-11-20 03:14 -0530", utc(20, 8, 44)),
    ],
)
def test_a_time_in_prague(text: str, expected: datetime) -> None:
    assert parse_time(text, NOW, PRAGUE) == expected


@pytest.mark.parametrize(
    "text", ["", " ", "-", "m", "15m", "-15", "-5x", "noon", "tomorrow 03:14", "03", "Z", "+01:00", "2026-11", "3:4"]
)
def test_an_unknown_form_names_the_allowed_ones(text: str) -> None:
    with pytest.raises(ValueError, match=r"invalid time .*: must be like now, -15m, .* or 2026-11-26T03:14:05Z"):
        parse_time(text, NOW, PRAGUE)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("24:00", "hour must be in 0..23"),
        ("03:60", "minute must be in 0..59"),
        ("2026-02-30 03:14", "day is out of range for month"),
        ("2026-11-20 03:14+01:75", "the offset +01:75 has more than 59 minutes"),
        ("2026-11-20 03:14+25:00", "offset must be"),
        ("-999999d", "date value out of range"),
        ("0001-01-01 00:00+23:00", "date value out of range"),
    ],
)
def test_an_impossible_time_says_what_is_wrong(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match="invalid time") as raised:
        parse_time(text, NOW, PRAGUE)
    assert reason in str(raised.value)


def test_a_long_text_is_shortened() -> None:
    with pytest.raises(ValueError, match=r"^.{,200}$"):
        parse_time("9" * 10_000, NOW, PRAGUE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-10-25 02:30", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        ("2026-10-25 02:30+02:00", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        ("2026-10-25 02:30+01:00", datetime(2026, 10, 25, 1, 30, tzinfo=UTC)),
        ("2026-03-29 02:30", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
    ],
)
def test_where_daylight_saving_time_begins_or_ends(text: str, expected: datetime) -> None:
    assert parse_time(text, NOW, PRAGUE) == expected


@given(TIMES, TIMES, ZONES)
def test_iso_8601_with_an_offset_is_exact(time: datetime, now: datetime, zone: ZoneInfo) -> None:
    local = time.astimezone(zone)
    for text in (local.isoformat(), local.isoformat(" "), time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")):
        assert parse_time(text, now, PRAGUE) == time


@given(TIMES, TIMES, ZONES)
def test_a_local_time_is_read_in_the_local_zone(time: datetime, now: datetime, zone: ZoneInfo) -> None:
    local = time.astimezone(zone)
    if not local.fold:
        assert parse_time(local.replace(tzinfo=None).isoformat(), now, zone) == time


@given(st.integers(0, 23), st.integers(0, 59), TIMES, ZONES)
def test_a_time_of_day_is_the_last_one(hour: int, minute: int, now: datetime, zone: ZoneInfo) -> None:
    found = parse_time(f"{hour}:{minute:02}", now, zone)
    assert found <= now
    # One day in the year has 25 hours, and a time that does not exist is shown an hour later.
    assert now - found < timedelta(hours=25)
    local = found.astimezone(zone)
    assert (local.hour, local.minute) == (hour, minute) or not _exists(found, hour, minute, zone)


def _exists(found: datetime, hour: int, minute: int, zone: ZoneInfo) -> bool:
    for shift in (-1, 0, 1):
        wall = (found + timedelta(hours=shift)).astimezone(zone).replace(hour=hour, minute=minute)
        if wall.astimezone(UTC).astimezone(zone).hour == hour:
            return True
    return False


@given(TIMES, st.integers(0, 10**4), st.integers(0, 10**4))
def test_a_duration_is_subtracted(now: datetime, hours: int, minutes: int) -> None:
    assert now - parse_time(f"-{hours}h{minutes}m", now, PRAGUE) == timedelta(hours=hours, minutes=minutes)


@given(st.text(max_size=30), TIMES)
def test_any_text_is_a_time_or_an_error(text: str, now: datetime) -> None:
    try:
        found = parse_time(text, now, PRAGUE)
    except ValueError:
        return
    assert found.tzinfo is UTC


def test_without_a_zone_the_system_decides() -> None:
    assert parse_time("2026-11-20T03:14", NOW) == datetime.fromisoformat("2026-11-20T03:14").astimezone(UTC)
