from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable

import pytest
from asgi_client import TIMEOUT, Client, Service, Stepped, get, service
from readings import SECOND, process, reading

from cpuwatch import Monitor
from cpuwatch.supervisor import Supervisor
from cpuwatch.web.endpoints.stream import Stream
from cpuwatch.web.http.response import Endpoint
from cpuwatch.web.response_cache import ResponseCache
from cpuwatch.web.state import Live


async def fail() -> None:
    raise RuntimeError("can't start new thread")


async def end() -> None:
    pass


async def be_cancelled() -> None:
    # Like a future whose executor was closed: nobody cancelled the task.
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("work", "cause"),
    [(fail, 'failed: RuntimeError("can\'t start new thread")'), (end, "ended"), (be_cancelled, "was cancelled")],
)
def test_work_that_ends_is_logged_counted_and_restarted(
    work: Callable[[], Awaitable[None]], cause: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def act() -> None:
        supervised = Supervisor(lambda: False)
        begun = 0
        works = asyncio.Event()

        async def twice_in_vain() -> None:
            nonlocal begun
            begun += 1
            if begun <= 2:
                await work()
                return
            works.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(supervised.keep_running("views", twice_in_vain))
        await asyncio.wait_for(works.wait(), TIMEOUT)
        assert supervised.restarts == 2
        assert supervised.failure == f"the task 'views' {cause}"
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(act())
    assert caplog.text.count(cause) >= 2
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert ("Traceback" in caplog.text) == (work is fail)


def test_the_delay_between_restarts_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    delays: list[float] = []

    async def sleep(seconds: float) -> None:
        delays.append(seconds)
        if len(delays) == 10:
            await asyncio.Event().wait()

    monkeypatch.setattr(asyncio, "sleep", sleep)

    async def act() -> None:
        task = asyncio.create_task(Supervisor(lambda: False).keep_running("views", fail))
        while len(delays) < 10:
            await asyncio.wait({task}, timeout=0.001)
        task.cancel()

    asyncio.run(act())
    assert delays[:3] == [0.05, 0.1, 0.2]
    assert delays == sorted(delays)
    assert delays[-1] == 1.0


def test_nothing_is_restarted_at_shutdown(caplog: pytest.LogCaptureFixture) -> None:
    supervised = Supervisor(lambda: True)
    asyncio.run(asyncio.wait_for(supervised.keep_running("views", end), TIMEOUT))
    assert supervised.restarts == 0
    assert caplog.text == ""


# Served snapshots


@pytest.mark.parametrize(
    ("owner", "name"),
    [(ResponseCache, "_publish"), (Monitor, "newest")],
)
@pytest.mark.parametrize("error", [RuntimeError("for a moment"), asyncio.CancelledError()])
def test_the_next_tick_is_served_after_any_temporary_failure(
    owner: type, name: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inject a fault into each step of publishing a tick: a thread, a lock, memory."""

    async def act(running: Service) -> None:
        stream = Client(Endpoint(Stream()), running.live)
        assert await stream.ids(1) == [1]
        failed = asyncio.Event()
        right = getattr(owner, name)

        def failing(*arguments: object) -> object:
            if failed.is_set():
                return right(*arguments)
            failed.set()
            raise error

        with monkeypatch.context() as patched:
            patched.setattr(owner, name, failing)
            await running.tick()
            assert failed.is_set()
        sequence = await running.tick()
        while await stream.ids(1) != [sequence]:
            pass
        assert (await get(running.live, "/cpu_usage?top=1")).json()["sequence"] == sequence
        assert running.live.supervisor.restarts == 1
        await stream.leave()

    async def run() -> None:
        async with service() as running:
            await act(running)

    asyncio.run(run())


HOUR = 3600 * SECOND


@pytest.mark.parametrize(("shown_at", "status"), [(HOUR, 200), (-SECOND, 503)])
def test_readyz_is_503_when_the_newest_snapshot_is_not_served(shown_at: int, status: int) -> None:
    """The next tick is fresh, but the task that would serve it has ended.

    Fresh is a reading an hour in the future; stale is one a second ago, at an interval of a millisecond.
    """
    now = time.monotonic_ns()
    sampler = Stepped(
        reading(process(cpu_ns=number), at_ns=now + at) for number, at in enumerate([-2 * SECOND, shown_at, 2 * HOUR])
    )

    async def act() -> None:
        with Monitor(0.001, sampler=sampler) as monitor:
            live = Live(monitor)
            sampler.step(2)
            assert await monitor.wait_async(after=0, timeout=TIMEOUT)
            assert live.cache.newest_sequence == 1
            sampler.step()
            assert await monitor.wait_async(after=1, timeout=TIMEOUT)
            ready = await get(live, "/readyz")
            served = await get(live, "/cpu_usage")
            monitor._stop.set()
            sampler.step()
        assert served.json()["sequence"] == 1
        assert ready.status_code == status
        if status == 503:
            assert int(served.headers["server-timing"].removeprefix("age;dur=")) >= 1000
            assert "newer snapshots are not shown" in ready.json()["detail"]

    asyncio.run(act())


def test_readyz_is_503_while_the_event_of_a_stream_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def never(*_: object) -> bytes:
        begun.set()
        may_end.wait(TIMEOUT)
        return b""

    now = time.monotonic_ns()
    sampler = Stepped(
        reading(process(cpu_ns=number), at_ns=now + at)
        for number, at in enumerate([-2 * SECOND, -SECOND, HOUR, 2 * HOUR])
    )

    async def act() -> None:
        with Monitor(0.001, sampler=sampler) as monitor:
            live = Live(monitor)
            async with live.running():
                sampler.step(2)
                assert await live.cache.wait(after=0, timeout=TIMEOUT)
                stream = Client(Endpoint(Stream()), live)
                assert await stream.ids(1) == [1]
                monkeypatch.setattr("cpuwatch.web.endpoints.stream.encode_view_event", never)
                sampler.step()
                assert await asyncio.to_thread(begun.wait, TIMEOUT)
                ready = await get(live, "/readyz")
                assert ready.status_code == 503
                assert "encoding takes too long" in ready.json()["detail"]
                may_end.set()
                assert await live.cache.wait(after=1, timeout=TIMEOUT)
                assert (await get(live, "/readyz")).status_code == 200
                await stream.leave()
            monitor._stop.set()
            sampler.step()

    asyncio.run(act())
