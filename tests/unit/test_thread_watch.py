from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import wraps
from typing import Any

import pytest
from msgspec import Struct

from cpuwatch import ThreadsSnapshot
from cpuwatch.errors import NotFoundError
from cpuwatch.fixed_threads import FixedThreads
from cpuwatch.thread_usage import ThreadReading, ThreadTimes
from cpuwatch.web.http.response import Answer
from cpuwatch.web.thread_watch import ThreadWatch

TIMEOUT = 30.0
LONG = 3600.0


def reading(pid: int, key: str, threads: int = 1) -> ThreadReading:
    now_ns = time.monotonic_ns()
    times = {tid: ThreadTimes(tid, "t", "S", 0, 0, now_ns, 0, 0, 0) for tid in range(pid, pid + threads)}
    return ThreadReading(datetime.now(UTC), now_ns, now_ns, pid, key, "work", now_ns * threads, times, 0, 0)


class Reader:
    """Counts its readings. ``keys`` are those of the process in each reading, the last one for all after it."""

    def __init__(self, keys: Iterable[str] = ("a",), threads: int = 1) -> None:
        self.reads: list[int] = []
        self.may_read = threading.Event()
        self.may_read.set()
        self._keys = list(keys)
        self._threads = threads

    def read(self, pid: int) -> ThreadReading:
        assert self.may_read.wait(TIMEOUT)
        self.reads.append(pid)
        key = self._keys[0] if len(self._keys) == 1 else self._keys.pop(0)
        if key == "gone":
            raise NotFoundError(f"no process with PID {pid}")
        return reading(pid, key, self._threads)


class Shown(Struct, frozen=True):
    name: str = "shown"

    def make(self, snapshot: ThreadsSnapshot) -> Answer:
        return Answer.of(f"{snapshot.key} {snapshot.interval_seconds}".encode(), "text/plain")


@asynccontextmanager
async def watching(reader: Reader, min_interval_seconds: float) -> AsyncIterator[ThreadWatch]:
    threads = FixedThreads(2, "test")
    threads.start()
    watch = ThreadWatch(threads, lambda: reader, min_interval_seconds)
    try:
        async with asyncio.timeout(TIMEOUT):
            yield watch
    finally:
        reader.may_read.set()
        await watch.close()
        threads.close()


def in_event_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @wraps(test)
    def run(**arguments: Any) -> None:
        asyncio.run(test(**arguments))

    return run


async def until(holds: Callable[[], bool]) -> None:
    # Nothing announces the changes that these tests wait for.
    while not holds():  # noqa: ASYNC110
        await asyncio.sleep(0.001)


@in_event_loop
async def test_a_hundred_clients_share_one_measurement() -> None:
    reader = Reader()
    async with watching(reader, 0.05) as watch:
        found = await asyncio.gather(*(watch.get(7, f"client {n}", Shown()) for n in range(100)))
    assert len({answer.body for answer in found}) == 1
    assert reader.reads == [7, 7]


@in_event_loop
async def test_nothing_is_read_unless_a_client_asks() -> None:
    reader = Reader()
    async with watching(reader, 0.001) as watch:
        await watch.get(7, None, Shown())
        await asyncio.sleep(0.05)
    assert reader.reads == [7, 7]


@in_event_loop
async def test_a_later_request_takes_one_more_reading() -> None:
    reader = Reader()
    async with watching(reader, 0.001) as watch:
        first = await watch.get(7, None, Shown())
        await asyncio.sleep(0.01)
        second = await watch.get(7, None, Shown())
    assert reader.reads == [7, 7, 7]
    assert first.body != second.body


@in_event_loop
async def test_another_process_with_the_same_pid_is_measured_anew() -> None:
    reader = Reader(["a", "a", "b"])
    async with watching(reader, 0.001) as watch:
        await watch.get(7, None, Shown())
        await asyncio.sleep(0.01)
        assert (await watch.get(7, None, Shown())).body.startswith(b"b ")
    assert reader.reads == [7] * 4


@pytest.mark.parametrize(
    ("second", "message"), [("b", "another process has its PID"), ("gone", "no process with PID 7")]
)
@in_event_loop
async def test_a_process_that_exits_while_it_is_measured_is_not_found(second: str, message: str) -> None:
    async with watching(Reader(["a", second]), 0.001) as watch:
        found = await asyncio.gather(*(watch.get(7, None, Shown()) for _ in range(3)), return_exceptions=True)
        assert all(isinstance(error, NotFoundError) and message in str(error) for error in found)
        # The next request does not find the failure of the last one.
        if second == "b":
            assert (await watch.get(7, None, Shown())).status == 200


@in_event_loop
async def test_a_client_that_asks_for_every_process_is_refused_and_others_are_not() -> None:
    reader = Reader()
    reader.may_read.clear()
    async with watching(reader, 0.001) as watch:
        greedy = [asyncio.ensure_future(watch.get(pid, "greedy", Shown())) for pid in range(1, 5001)]
        await until(lambda: sum(task.done() for task in greedy) == 4996)
        refusals = [task.result() for task in greedy if task.done()]
        assert {answer.status for answer in refusals} == {429}
        assert dict(refusals[0].headers)[b"retry-after"] == b"1"
        # What is under way already is not refused.
        joined = asyncio.ensure_future(watch.get(1, "greedy", Shown()))
        others = [asyncio.ensure_future(watch.get(pid, f"client {pid}", Shown())) for pid in range(6001, 6021)]
        await until(lambda: sum(task.done() for task in others) == 8)
        assert {task.result().status for task in others if task.done()} == {503}
        reader.may_read.set()
        assert {answer.status for answer in await asyncio.gather(*greedy, *others, joined)} == {200, 429, 503}
        assert (await watch.get(9, "greedy", Shown())).status == 200


@in_event_loop
async def test_a_client_that_disconnects_does_not_end_the_measurement_for_others() -> None:
    reader = Reader()
    reader.may_read.clear()
    async with watching(reader, 0.001) as watch:
        leaving = asyncio.ensure_future(watch.get(7, None, Shown()))
        staying = asyncio.ensure_future(watch.get(7, None, Shown()))
        await asyncio.sleep(0)
        leaving.cancel()
        reader.may_read.set()
        assert (await staying).status == 200
    assert reader.reads == [7, 7]


@in_event_loop
async def test_the_kept_readings_have_a_limited_number_of_threads() -> None:
    reader = Reader(threads=9000)
    async with watching(reader, 0.001) as watch:
        for pid in (10_000, 20_000, 30_000):
            await watch.get(pid, None, Shown())
        assert list(watch._measured) == [20_000, 30_000]


@in_event_loop
async def test_each_representation_is_made_once() -> None:
    made: list[str] = []

    class Counted(Struct, frozen=True):
        name: str

        def make(self, _: ThreadsSnapshot) -> Answer:
            made.append(self.name)
            return Answer.of(self.name.encode(), "text/plain")

    async with watching(Reader(), 0.05) as watch:
        wanted = [Counted(name) for name in ("a", "b")] * 50
        found = await asyncio.gather(*(watch.get(7, None, each) for each in wanted))
    assert [answer.body.decode() for answer in found] == [each.name for each in wanted]
    assert sorted(made) == ["a", "b"]


@in_event_loop
async def test_a_measurement_under_way_ends_with_the_service() -> None:
    async with watching(Reader(), LONG) as watch:
        waiting = asyncio.ensure_future(watch.get(7, None, Shown()))
        await until(lambda: bool(watch._measuring))
        await watch.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not watch._measuring
