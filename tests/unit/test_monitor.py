from __future__ import annotations

import asyncio
import contextlib
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from readings import SECOND, process, reading

from cpuwatch import Health, Monitor, Reading, ScriptedSampler, Snapshot, sample
from cpuwatch.errors import MonitorClosedError, MonitorNotStartedError, SettingsError, UnknownSamplerError
from cpuwatch.samplers import OpenSampler
from cpuwatch.settings import parse_interval

TICK = 0.001
"""Seconds between ticks. Short, so that tests are fast; no test relies on the number of ticks in a time."""

TIMEOUT = 30.0
"""Seconds until a test fails instead of waiting longer."""


def nth(number: int) -> Reading:
    return reading(process(cpu_ns=number * SECOND // 2), at_ns=(100 + number) * SECOND)


class Gate:
    """A script whose readings wait until the test allows them: ``allow(2)`` allows two."""

    def __init__(self) -> None:
        self._permits = threading.Semaphore(0)
        self.sampler = ScriptedSampler(self._script())

    def allow(self, readings: int) -> None:
        self._permits.release(readings)

    def _script(self) -> Iterator[Reading]:
        for number in count():
            assert self._permits.acquire(timeout=TIMEOUT)
            yield nth(number)


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    # Release a thread that still waits here, so that it can end.
    made.allow(1000)


def until(monitor: Monitor, sequence: int) -> Snapshot:
    """Wait for the snapshot with this sequence, which must be the newest possible one."""
    found = monitor.wait(after=sequence - 1, timeout=TIMEOUT)
    assert found is not None
    assert found.sequence == sequence
    return found


def until_newest(monitor: Monitor, sequence: int) -> Snapshot:
    """Like :func:`until`, but earlier snapshots may still be pending."""
    found = monitor.latest
    while found is None or found.sequence < sequence:
        found = monitor.wait(after=0 if found is None else found.sequence, timeout=TIMEOUT)
        assert found is not None
    return found


def close(monitor: Monitor, gate: Gate) -> None:
    gate.allow(1000)
    monitor.close()


# Lifecycle


@pytest.mark.parametrize("interval", [0, -1, float("nan"), float("inf"), 1e10, 10**400, "abc", None, [], "x" * 1000])
@pytest.mark.parametrize("use", [Monitor, sample])
def test_an_invalid_interval_is_refused(use: Callable[[Any], object], interval: object) -> None:
    with pytest.raises(SettingsError, match=r"^invalid interval .+: must be a number of seconds from 0.0001 to 86400$"):
        use(interval)


def test_the_library_and_the_commands_refuse_an_interval_with_the_same_message() -> None:
    with pytest.raises(SettingsError) as by_library:
        sample("abc")  # type: ignore[arg-type]  # as untyped code may do
    with pytest.raises(ValueError, match="invalid interval") as by_command:
        parse_interval("abc")
    library, command = (str(error.value).partition(" from ")[0] for error in (by_library, by_command))
    assert library == command


@pytest.mark.parametrize("history", [0, -1])
def test_a_history_of_zero_snapshots_is_refused(history: int) -> None:
    with pytest.raises(ValueError, match=r"invalid history .*at least 1"):
        Monitor(history=history)


def test_an_unknown_sampler_prevents_the_start() -> None:
    with pytest.raises(UnknownSamplerError):
        Monitor(sampler="prokfs").start()


@pytest.mark.parametrize(
    "use",
    [
        lambda monitor: monitor.latest,
        lambda monitor: monitor.newest(),
        lambda monitor: monitor.history,
        lambda monitor: monitor.wait(),
        lambda monitor: asyncio.run(monitor.wait_async()),
        lambda monitor: next(iter(monitor)),
        lambda monitor: asyncio.run(anext(aiter(monitor))),
    ],
)
def test_a_monitor_that_is_not_started_says_so(use: Callable[[Monitor], object]) -> None:
    monitor = Monitor(sampler=ScriptedSampler([]))
    with pytest.raises(MonitorNotStartedError, match=r"not started: .* start\(\)"):
        use(monitor)
    assert (monitor.health, monitor.age_seconds, monitor.reading_seconds) == (Health(), None, None)
    monitor.close()


def test_a_monitor_without_a_snapshot_yet_has_none_and_waits(gate: Gate) -> None:
    with Monitor(TICK, sampler=gate.sampler) as monitor:
        assert (monitor.latest, monitor.newest(), list(monitor.history), monitor.age_seconds) == (None, None, [], None)
        assert monitor.wait(timeout=0) is None
        assert asyncio.run(monitor.wait_async(timeout=0)) is None
        gate.allow(1000)


def test_a_monitor_closed_before_its_start_has_no_snapshots_and_does_not_wait() -> None:
    monitor = Monitor(sampler=ScriptedSampler([]))
    monitor.close()
    assert (monitor.latest, list(monitor.history), monitor.wait(), list(monitor)) == (None, [], None, [])


def test_a_monitor_starts_and_closes_with_an_async_block(gate: Gate) -> None:
    async def first() -> Snapshot | None:
        gate.allow(2)
        async with Monitor(TICK, sampler=gate.sampler) as monitor:
            found = await monitor.wait_async(after=0, timeout=TIMEOUT)
            gate.allow(1000)
        assert await monitor.wait_async(after=10**9) is None
        return found

    snapshot = asyncio.run(first())
    assert snapshot is not None
    assert snapshot.sequence == 1
    assert gate.sampler.closed


def test_repr_shows_the_state_of_the_monitor(gate: Gate) -> None:
    gate.allow(2)
    monitor = Monitor(0.5, sampler=gate.sampler)
    assert repr(monitor) == "<cpuwatch.Monitor interval=0.5 sampler='ScriptedSampler' not started, 0 snapshots>"
    with monitor:
        until(monitor, 1)
        assert repr(monitor).endswith(" running, 1 snapshots>")
        gate.allow(1000)
    assert " closed, " in repr(monitor)
    assert "sampler='auto'" in repr(Monitor())


def test_the_end_of_the_block_closes_the_sampler_and_keeps_the_snapshots(gate: Gate) -> None:
    gate.allow(3)
    with Monitor(TICK, sampler=gate.sampler) as monitor:
        until(monitor, 2)
        gate.allow(1000)
    assert gate.sampler.closed
    assert monitor.latest is list(monitor.history)[-1]
    assert monitor.latest is not None


def test_starting_a_monitor_again_has_no_effect(gate: Gate) -> None:
    monitor = Monitor(TICK, sampler=gate.sampler)

    def threads() -> int:
        return sum(thread.name == "cpuwatch-monitor" for thread in threading.enumerate())

    before = threads()
    assert monitor.start() is monitor
    assert monitor.start() is monitor
    assert threads() == before + 1
    close(monitor, gate)
    assert threads() == before


def test_a_closed_monitor_cannot_be_started_again_and_may_be_closed_again(gate: Gate) -> None:
    monitor = Monitor(TICK, sampler=gate.sampler)
    close(monitor.start(), gate)
    monitor.close()
    with pytest.raises(MonitorClosedError):
        monitor.start()


def test_the_interval_is_readable() -> None:
    assert Monitor(0.25).interval_seconds == 0.25


# Reading


def test_each_reading_after_the_first_makes_a_snapshot(gate: Gate) -> None:
    gate.allow(1)
    with Monitor(TICK, sampler=gate.sampler) as monitor:
        assert monitor.wait(timeout=0) is None
        for sequence in range(1, 5):
            gate.allow(1)
            found = until(monitor, sequence)
            assert found.interval_seconds == 1.0
            assert [row.cpu_percent for row in found.processes] == [50.0]
            assert monitor.latest is found
        gate.allow(1000)


def test_the_history_holds_the_last_snapshots_oldest_first(gate: Gate) -> None:
    gate.allow(6)
    with Monitor(TICK, history=3, sampler=gate.sampler) as monitor:
        found = until_newest(monitor, 5)
        kept = list(monitor.history)
        assert [one.sequence for one in kept] == [3, 4, 5]
        assert kept[-1] is found
        assert monitor.history.latest is found
        gate.allow(1000)


def test_the_age_is_that_of_the_newest_reading() -> None:
    with Monitor(TICK, sampler=ScriptedSampler([nth(0), nth(1)])) as monitor:
        until(monitor, 1)
        age_seconds = monitor.age_seconds
    assert age_seconds is not None
    assert age_seconds == pytest.approx(time.monotonic() - 101, abs=TIMEOUT)


def test_a_snapshot_has_its_lateness_and_the_unreadable_processes() -> None:
    script = [reading(), reading(at_ns=101 * SECOND, unreadable={"EACCES": 3})]
    with Monitor(TICK, sampler=ScriptedSampler(script)) as monitor:
        sampling = until(monitor, 1).sampling
    assert sampling.lateness_seconds is not None
    assert sampling.lateness_seconds >= 0
    assert sampling.unreadable == {"EACCES": 3}


def test_ticks_during_a_slow_reading_are_counted_as_missed() -> None:
    def slow() -> Iterator[Reading]:
        yield nth(0)
        yield nth(1)
        end = time.monotonic() + 10 * TICK
        while time.monotonic() < end:
            threading.Event().wait(TICK)
        yield nth(2)
        yield nth(3)

    with Monitor(TICK, sampler=ScriptedSampler(slow())) as monitor:
        found = until_newest(monitor, 3)
    assert found.sampling.missed_ticks >= 8


# Failures


def test_a_tick_that_fails_is_counted_and_the_next_spans_the_gap(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "cpuwatch.monitor")
    gate = threading.Event()

    def script() -> Iterator[Reading | Exception]:
        yield nth(0)
        yield RuntimeError("the cable was pulled")
        assert gate.wait(TIMEOUT)
        yield nth(2)
        assert gate.wait(TIMEOUT)

    with Monitor(TICK, sampler=ScriptedSampler(script())) as monitor:
        gate.set()
        found = until(monitor, 1)
    assert found.interval_seconds == 2.0
    assert found.sampling.failed_ticks == 1
    assert "RuntimeError: the cable was pulled" in caplog.text
    assert "sampling works again" in caplog.text


class Failing(ScriptedSampler):
    """Fails at each reading after the script. ``thrice`` is set when a third one is requested."""

    def __init__(self, script: list[Reading | Exception]) -> None:
        super().__init__(script)
        self.thrice = threading.Event()
        self._failures = 0

    def read(self) -> Reading:
        try:
            return super().read()
        except Exception:
            self._failures += 1
            if self._failures >= 3:
                self.thrice.set()
            raise


def test_a_lasting_failure_is_logged_once_and_reported_while_it_lasts(caplog: pytest.LogCaptureFixture) -> None:
    failing = Failing([])
    with Monitor(TICK, sampler=failing) as monitor:
        assert failing.thrice.wait(TIMEOUT)
        health = monitor.health
    assert health.failed_ticks >= 2
    assert health.failure == "ScriptEndedError: the script ended after 0 readings"
    # A busy machine also misses some of these ticks of a millisecond, which is a warning.
    assert [record.levelname for record in caplog.records if record.levelno >= logging.ERROR] == ["ERROR"]
    assert monitor.latest is None


def test_a_failure_is_cleared_once_a_tick_works() -> None:
    def script() -> Iterator[Reading | Exception]:
        yield RuntimeError("not yet")
        yield from (nth(0), nth(1), nth(2))
        assert done.wait(TIMEOUT)

    done = threading.Event()
    with Monitor(TICK, sampler=ScriptedSampler(script())) as monitor:
        until_newest(monitor, 2)
        health = monitor.health
        done.set()
    assert (health.failed_ticks, health.failure) == (1, None)


# Waiting


def test_an_existing_snapshot_is_returned_at_once(gate: Gate) -> None:
    gate.allow(2)
    with Monitor(TICK, sampler=gate.sampler) as monitor:
        first = until(monitor, 1)
        assert monitor.wait(after=0, timeout=0) is first
        assert monitor.wait(after=1, timeout=0) is None
        assert monitor.wait(timeout=0) is None
        assert asyncio.run(monitor.wait_async(after=0, timeout=0)) is first
        assert asyncio.run(monitor.wait_async(timeout=0.001)) is None
        gate.allow(1000)


def test_all_waiting_threads_get_the_next_snapshot(gate: Gate) -> None:
    gate.allow(2)
    with Monitor(TICK, sampler=gate.sampler) as monitor:
        until(monitor, 1)

        async def two_wait() -> list[Snapshot | None]:
            waiting = [asyncio.create_task(monitor.wait_async(after=1, timeout=TIMEOUT)) for _ in range(2)]
            await asyncio.sleep(0)
            gate.allow(1)
            return await asyncio.gather(*waiting)

        found = asyncio.run(two_wait())
        assert [one.sequence for one in found if one is not None] == [2, 2]
        gate.allow(1000)


def test_closing_wakes_all_waiting_threads(gate: Gate) -> None:
    monitor = Monitor(TICK, sampler=gate.sampler).start()
    found: list[Snapshot | None] = []
    waiter = threading.Thread(target=lambda: found.append(monitor.wait(after=10**9)), daemon=True)
    waiter.start()

    async def wait_and_close() -> Snapshot | None:
        waiting = asyncio.create_task(monitor.wait_async(after=10**9))
        await asyncio.sleep(0)
        await asyncio.to_thread(close, monitor, gate)
        return await asyncio.wait_for(waiting, TIMEOUT)

    assert asyncio.run(wait_and_close()) is None
    waiter.join(TIMEOUT)
    assert not waiter.is_alive()
    assert found == [None]


def test_a_waiter_that_times_out_is_removed(gate: Gate) -> None:
    gate.allow(2)
    with Monitor(TICK, sampler=gate.sampler) as monitor:
        until(monitor, 1)

        async def give_up() -> None:
            waiting = asyncio.create_task(monitor.wait_async())
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

        asyncio.run(give_up())
        assert not monitor._history._listeners
        gate.allow(1)
        until(monitor, 2)
        gate.allow(1000)


def test_iterating_returns_each_snapshot_once_and_the_newest_to_a_slow_reader(gate: Gate) -> None:
    gate.allow(1)
    with Monitor(TICK, sampler=gate.sampler) as monitor:
        snapshots = iter(monitor)
        gate.allow(1)
        seen = [next(snapshots).sequence]
        gate.allow(4)
        until_newest(monitor, 5)
        seen.append(next(snapshots).sequence)
        gate.allow(1)
        seen.append(next(snapshots).sequence)
        assert seen == [1, 5, 6]
        gate.allow(1000)


def test_iterating_begins_with_the_call_of_iter(gate: Gate) -> None:
    gate.allow(2)
    with Monitor(TICK, sampler=gate.sampler) as monitor:
        until(monitor, 1)
        snapshots = iter(monitor)
        gate.allow(1)
        until(monitor, 2)
        assert next(snapshots).sequence == 2
        gate.allow(1000)


def test_iterating_starts_after_the_newest_snapshot_and_ends_with_the_monitor(gate: Gate) -> None:
    gate.allow(3)
    monitor = Monitor(TICK, sampler=gate.sampler).start()
    until_newest(monitor, 2)
    started = threading.Event()
    seen: list[int] = []

    def follow() -> None:
        snapshots = iter(monitor)
        started.set()
        seen.extend(snapshot.sequence for snapshot in snapshots)

    reader = threading.Thread(target=follow, daemon=True)
    reader.start()
    assert started.wait(TIMEOUT)
    close(monitor, gate)
    reader.join(TIMEOUT)
    assert not reader.is_alive()
    assert all(sequence > 2 for sequence in seen)
    assert seen == sorted(set(seen))


def test_iterating_in_a_coroutine_is_the_same(gate: Gate) -> None:
    gate.allow(2)
    monitor = Monitor(TICK, sampler=gate.sampler).start()
    until(monitor, 1)

    async def follow() -> list[int]:
        seen: list[int] = []
        snapshots = aiter(monitor)
        upcoming = asyncio.ensure_future(anext(snapshots))
        await asyncio.sleep(0)
        gate.allow(1)
        seen.append((await upcoming).sequence)
        gate.allow(3)
        await asyncio.to_thread(until_newest, monitor, 5)
        seen.append((await anext(snapshots)).sequence)
        await asyncio.to_thread(close, monitor, gate)
        seen.extend([snapshot.sequence async for snapshot in snapshots])
        return seen

    seen = asyncio.run(follow())
    assert seen[:2] == [2, 5]
    assert seen == sorted(set(seen))


def test_an_event_loop_closed_with_a_waiter_does_not_affect_others(gate: Gate) -> None:
    gate.allow(2)
    with Monitor(TICK, sampler=gate.sampler) as monitor:
        until(monitor, 1)
        loop = asyncio.new_event_loop()
        waiting = loop.create_task(monitor.wait_async())
        loop.run_until_complete(asyncio.sleep(0))
        kept = set(monitor._history._listeners)
        waiting.cancel()
        loop.run_until_complete(asyncio.gather(waiting, return_exceptions=True))
        loop.close()
        # As if the loop had been closed before its waiter was notified.
        monitor._history._listeners.update(kept)
        gate.allow(1)
        until(monitor, 2)
        gate.allow(1)
        until(monitor, 3)
        gate.allow(1000)
    assert monitor.health.failed_ticks == 0


def test_a_monitor_in_a_forked_child_raises() -> None:
    code = """
import os, sys, warnings
warnings.simplefilter("ignore")  # From 3.12 on Python warns of a fork beside threads, which is what is tested.
from cpuwatch import Monitor
from cpuwatch.errors import MonitorForkedError
with Monitor(0.05) as monitor:
    assert monitor.wait(after=0, timeout=30) is not None
    child = os.fork()
    if not child:
        refused = 0
        for look in (lambda: monitor.latest, lambda: monitor.history, lambda: monitor.wait(timeout=1), monitor.start,
                     lambda: monitor.health, lambda: monitor.age_seconds):
            try:
                look()
            except MonitorForkedError as error:
                refused += str(os.getpid()) in str(error)
        monitor.close()
        os._exit(refused)
    _, status = os.waitpid(child, 0)
    assert monitor.wait(timeout=30) is not None
sys.exit(os.waitstatus_to_exitcode(status))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 6, done.stderr


def cannot_follow(_: Snapshot) -> None:
    raise OSError("cannot follow")


def test_a_follower_that_raises_affects_neither_the_tick_nor_other_followers(
    gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    followed: list[int] = []
    gate.allow(5)
    monitor = Monitor(TICK, sampler=gate.sampler)
    monitor.follow(cannot_follow)
    monitor.follow(lambda snapshot: followed.append(snapshot.sequence))
    with monitor:
        until_newest(monitor, 4)
        health = monitor.health
        gate.allow(1000)
    assert followed[:4] == [1, 2, 3, 4]
    assert [snapshot.sequence for snapshot in monitor.history][:4] == [1, 2, 3, 4]
    assert health == Health(missed_ticks=health.missed_ticks, failed_follower_calls=4)
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert errors == ["a follower failed, following continues: OSError: cannot follow"]


def test_followers_are_up_to_date_when_a_reader_sees_the_snapshot(gate: Gate) -> None:
    newest_seen_by_readers: list[Snapshot | None] = []
    gate.allow(3)
    monitor = Monitor(TICK, sampler=gate.sampler)
    monitor.follow(lambda _: newest_seen_by_readers.append(monitor.latest))
    with monitor:
        until_newest(monitor, 2)
        gate.allow(1000)
    assert newest_seen_by_readers[:2] == [None, next(iter(monitor.history))]


# Concurrent starts and closes


class Counted(ScriptedSampler):
    """A script that counts how often it is closed."""

    def __init__(self) -> None:
        super().__init__([])
        self.closings = 0

    def close(self) -> None:
        self.closings += 1
        super().close()


@pytest.mark.parametrize("started", [False, True])
def test_closing_the_monitor_repeatedly_closes_the_sampler_once(started: bool) -> None:
    sampler = Counted()
    monitor = Monitor(TICK, sampler=sampler)
    if started:
        monitor.start()
    monitor.close()
    monitor.close()
    assert sampler.closings == 1


def test_threads_that_start_a_monitor_at_once_start_one_sampling_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    both_are_in = threading.Barrier(2)
    opened: list[ScriptedSampler] = []

    def slowly_opened(_: str) -> OpenSampler:
        # With a lock, only one thread arrives here, and the barrier breaks.
        with contextlib.suppress(threading.BrokenBarrierError):
            both_are_in.wait(0.2)
        opened.append(ScriptedSampler([]))
        return OpenSampler(opened[-1])

    monkeypatch.setattr("cpuwatch.monitor.open_sampler", slowly_opened)
    monitor = Monitor(TICK)
    starters = [threading.Thread(target=monitor.start) for _ in range(2)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join(TIMEOUT)
    monitor.close()
    assert [sampler.closed for sampler in opened] == [True]


def test_a_thread_that_cannot_be_started_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    opened, given = ScriptedSampler([]), Counted()
    monkeypatch.setattr("cpuwatch.monitor.open_sampler", lambda _: OpenSampler(opened))

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    by_name, by_itself = Monitor(TICK), Monitor(TICK, sampler=given)
    for monitor in (by_name, by_itself):
        with pytest.raises(RuntimeError, match="can't start"):
            monitor.start()
        monitor.close()
    assert opened.closed
    assert given.closings == 1


# History in bytes


@pytest.mark.parametrize("history_bytes", [0, -1])
def test_a_history_of_zero_bytes_is_refused(history_bytes: int) -> None:
    with pytest.raises(ValueError, match=r"invalid history_bytes .*at least 1"):
        Monitor(history_bytes=history_bytes)


def test_the_newest_snapshot_is_kept_with_any_memory_limit(gate: Gate) -> None:
    gate.allow(4)
    with Monitor(TICK, sampler=gate.sampler, history_bytes=1) as monitor:
        found = until_newest(monitor, 3)
        assert list(monitor.history) == [found]
        gate.allow(1000)
