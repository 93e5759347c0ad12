"""``/cpu_usage/summary`` and ``/cpu_usage/timeline``: ranges of the recording."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from asgi_client import get, service
from msgspec import json
from test_summary import minutes, recorded

from cpuwatch.playback import Playback
from cpuwatch.query.summary import GroupSummaries, ProcessSummaries, Timeline
from cpuwatch.recording.reader import Recording
from cpuwatch.recording.summary import summarize
from cpuwatch.recording.timeline import timeline
from cpuwatch.web.state import Live

TICKS = minutes(120)
FIRST, LAST = TICKS[0].reading.time, TICKS[-1].reading.time
BEYOND = timedelta(days=1)


def text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def answers(recording: Recording, *paths: str) -> Sequence[httpx.Response]:
    """The answers of an app that shows this recording."""

    async def act() -> Sequence[httpx.Response]:
        with Playback(recording) as playback:
            live = Live(playback, recording=recording)
            async with live.running():
                return [await get(live, path) for path in paths]

    return asyncio.run(act())


def test_without_a_recording_it_is_404_and_says_how_to_record() -> None:
    async def act() -> None:
        async with service() as running:
            for path in ("summary", "timeline"):
                answer = await get(running.live, f"/cpu_usage/{path}")
                assert answer.status_code == 404
                assert answer.json()["detail"] == "there is no recording: start cpuwatch with --record DIR"

    asyncio.run(act())


def test_by_default_the_range_is_all_that_is_recorded() -> None:
    with recorded(TICKS) as (recording, _):
        summed, drawn = answers(recording, "/cpu_usage/summary", "/cpu_usage/timeline")
        whole = summarize(recording, FIRST - BEYOND, LAST + BEYOND)
        assert isinstance(whole, ProcessSummaries)
        points = timeline(recording, FIRST - BEYOND, LAST + BEYOND, 500).points
    summary = json.decode(summed.content, type=ProcessSummaries)
    assert (summary.ticks, summary.machine, summary.processes) == (whole.ticks, whole.machine, whole.processes)
    found = json.decode(drawn.content, type=Timeline)
    assert (found.points[0].begin, found.points[-1].end) == (points[0].begin, points[-1].end)
    assert found.start < points[0].end
    assert found.end == LAST


def test_a_range_of_groups_has_the_largest_rows_and_the_rest() -> None:
    start, end = FIRST + timedelta(seconds=10), FIRST + timedelta(seconds=70)
    with recorded(TICKS) as (recording, _):
        (answer,) = answers(recording, f"/cpu_usage/summary?from={text(start)}&to={text(end)}&group_by=name&top=1")
        expected = summarize(recording, start, end, "name", 1)
    assert isinstance(expected, GroupSummaries)
    assert len(expected.groups) == 1
    assert json.decode(answer.content, type=GroupSummaries) == expected


def test_a_timeline_has_at_most_the_points_that_were_asked_for() -> None:
    with recorded(TICKS) as (recording, _):
        few, many = answers(recording, "/cpu_usage/timeline?points=3", "/cpu_usage/timeline?points=2000")
    assert len(json.decode(few.content, type=Timeline).points) <= 3
    assert len(json.decode(many.content, type=Timeline).points) == len(TICKS) - 1


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("timeline?points=0", "invalid points '0': must be an integer from 1 to 2000"),
        ("timeline?points=2001", "invalid points '2001'"),
        ("timeline?top=1", "unknown parameter 'top': this path accepts from, to, points"),
        ("summary?group_by=pid", "must be one of name, user, cgroup"),
        ("summary?from=2026-01-01", "the offset from UTC is missing"),
        ("summary?from=2100-01-01T00:00:00Z", "empty range"),
        ("timeline?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "empty range"),
    ],
)
def test_an_invalid_range_is_400(path: str, complaint: str) -> None:
    with recorded(TICKS[:5]) as (recording, _):
        (answer,) = answers(recording, f"/cpu_usage/{path}")
    assert answer.status_code == 400
    assert complaint in answer.json()["detail"]


def test_an_empty_recording_is_503() -> None:
    with recorded(TICKS[:1]) as (recording, _):
        answer = answers(recording, "/cpu_usage/summary")[0]
    assert answer.status_code == 503
