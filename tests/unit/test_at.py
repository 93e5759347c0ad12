"""``/cpu_usage?at=``: the snapshot of a moment, in any view and format."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from asgi_client import get, service
from msgspec import json
from readings import BOOT

from cpuwatch import decode
from cpuwatch.encoding.rounded import rounded


def at(seconds: float) -> str:
    return (BOOT + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize(
    ("seconds", "sequence"), [(102, 2), (102.999999, 2), (103, 3), (106, 6), (10**6, 6), (101.5, 1)]
)
def test_it_is_the_latest_snapshot_at_or_before_that_time(seconds: float, sequence: int) -> None:
    async def act() -> None:
        async with service(ticks=6) as running:
            answer = await get(running.live, f"/cpu_usage?at={at(seconds)}")
            assert answer.status_code == 200
            kept = {one.sequence: one for one in running.live.source.history}
            assert decode(answer.content) == rounded(kept[sequence])
            assert int(answer.headers["server-timing"].removeprefix("age;dur=")) > 10**9

    asyncio.run(act())


def test_views_formats_and_etags_work_as_for_the_newest() -> None:
    async def act() -> None:
        async with service(ticks=4) as running:
            text = await get(running.live, f"/cpu_usage?at={at(102)}&format=text&top=1")
            assert text.headers["content-type"].startswith("text/plain")
            grouped = await get(running.live, f"/cpu_usage?at={at(102)}&group_by=name")
            assert json.decode(grouped.content)["group_by"] == "name"
            tag = {"if-none-match": grouped.headers["etag"]}
            known = await get(running.live, f"/cpu_usage?at={at(102)}&group_by=name", **tag)
            assert known.status_code == 304
            other = await get(running.live, f"/cpu_usage?at={at(103)}&group_by=name", **tag)
            assert other.status_code == 200

    asyncio.run(act())


def test_a_time_before_all_snapshots_is_404_and_names_the_oldest() -> None:
    async def act() -> None:
        async with service(ticks=3) as running:
            answer = await get(running.live, f"/cpu_usage?at={at(50)}")
            assert answer.status_code == 404
            assert f"there is no snapshot at or before {at(50)[:-1]}" in answer.json()["detail"]
            assert "the oldest snapshot is of 2026-01-01T00:01:41" in answer.json()["detail"]

    asyncio.run(act())


@pytest.mark.parametrize("value", ["", "yesterday", "2026-01-01", "2026-01-01T00:00:00", "1"])
def test_what_is_not_a_time_is_400(value: str) -> None:
    async def act() -> None:
        async with service(ticks=1) as running:
            answer = await get(running.live, f"/cpu_usage?at={value}")
            assert answer.status_code == 400
            assert answer.json()["detail"].startswith(f"invalid at {value!r}: must be a time")

    asyncio.run(act())
