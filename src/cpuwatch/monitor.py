"""A thread that samples once a second, for any number of readers.

The thread owns the sampler. Readers get the newest snapshot or wait for the next one. A slow reader gets the newest
when it is ready, and never delays the sampling.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Self

from msgspec.structs import replace

from cpuwatch.accounting.reaped import NO_CARRY
from cpuwatch.accounting.usage import account
from cpuwatch.attempts import Attempts, Followers
from cpuwatch.deadlines import Deadlines
from cpuwatch.errors import MonitorClosedError, MonitorForkedError, MonitorNotStartedError, SettingsError
from cpuwatch.history import DEFAULT_HISTORY_BYTES, SnapshotHistory, SnapshotStore, Tick
from cpuwatch.interval import LIBRARY_INTERVAL_SECONDS, checked_interval
from cpuwatch.model import Reading, Snapshot
from cpuwatch.recording.memory import MAX_TICKS, HistoryPacker
from cpuwatch.sampled_tick import SampledTick
from cpuwatch.samplers import OpenSampler, Sampler, open_sampler
from cpuwatch.snapshot_source import Health
from cpuwatch.tick_id import new_run

__all__ = ["Monitor"]

_CLOSING_SECONDS = 1.0
"""How long close() waits for a reading in progress."""

_LONG_BREAK_TICKS = 3
"""Log a warning when at least this many ticks are missed in a row."""

_STALE_AFTER_INTERVALS = 3

_log = logging.getLogger("cpuwatch.monitor")


class Monitor:
    """Samples every ``interval`` seconds and keeps the last ``history`` snapshots in at most ``history_bytes``.

    Use it in a ``with`` or ``async with`` block, or call :meth:`start` and :meth:`close`. ``sampler`` is the name of a
    sampler, or a :class:`~cpuwatch.Sampler` that the monitor then owns and closes. The first snapshot comes within
    half a second of the start. A failed tick is logged once and counted in :attr:`health`, and sampling continues.

    ``history_bytes`` limits an estimate of the memory that old snapshots take. The oldest are dropped first; the newest
    is always kept.

    Any number of threads and event loops may use it. Until it is started, reading and waiting raise
    :class:`~cpuwatch.errors.MonitorNotStartedError`. In a forked child they raise
    :class:`~cpuwatch.errors.MonitorForkedError`: the sampling thread stays in the parent.
    """

    def __init__(
        self,
        interval: float = 1.0,
        history: int = 3600,
        sampler: str | Sampler = "auto",
        history_bytes: int = DEFAULT_HISTORY_BYTES,
    ) -> None:
        if history < 1:
            raise SettingsError(f"invalid history {history!r}: must be at least 1 snapshot")
        if history_bytes < 1:
            raise SettingsError(f"invalid history_bytes {history_bytes!r}: must be at least 1")
        self._interval_ns = round(checked_interval(interval, LIBRARY_INTERVAL_SECONDS) * 1e9)
        self._wanted = sampler
        self._history = SnapshotHistory(history, history_bytes)
        # A shorter history drops its snapshots before a block is full.
        self._packer = HistoryPacker(self._history) if history > MAX_TICKS else None
        self._reading: Reading | None = None
        self._carry = NO_CARRY
        self._taken_ns = 0
        self._reading_since_ns = 0
        self._read_ns = 0
        self._health = Health()
        self._publishing = threading.Lock()
        self._followers: Followers[Snapshot] = Followers()
        self._tick_followers: Followers[SampledTick] = Followers()
        self._readings = 0
        self._life = threading.RLock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._owner_pid = os.getpid()
        self._run_id = new_run()

    # Lifecycle

    def follow_ticks(self, follower: Callable[[SampledTick], object]) -> None:
        """Call ``follower`` with every tick from now on: the reading, and the snapshot if there is one.

        The same rules hold as for :meth:`follow`. A recording needs the readings.
        """
        self._tick_followers.add(follower)

    def follow(self, follower: Callable[[Snapshot], object]) -> None:
        """Call ``follower`` with every snapshot from now on, before readers see that snapshot.

        A waiting reader may miss snapshots; a follower does not. The sampling thread calls it, so it must be fast. An
        exception in it is logged and counted in :attr:`health`, and affects neither other followers nor the tick.
        """
        self._followers.add(follower)

    def start(self) -> Self:
        """Open the sampler and start sampling. Raises what :func:`~cpuwatch.open_sampler` raises."""
        self._check_process()
        with self._life:
            if self._stop.is_set():
                raise MonitorClosedError("this monitor is closed: create a new one")
            if self._thread is None:
                self._start_thread()
        return self

    def _start_thread(self) -> None:
        wanted = self._wanted
        with ExitStack() as undo:
            # If the thread cannot be started, a sampler opened here is closed here; close() closes a given one.
            sampler = undo.enter_context(open_sampler(wanted)) if isinstance(wanted, str) else OpenSampler(wanted)
            thread = threading.Thread(target=self._run, args=(sampler,), name="cpuwatch-monitor", daemon=True)
            # Set before the thread runs, because it calls followers, which may read the monitor.
            self._thread = thread
            undo.callback(setattr, self, "_thread", None)
            thread.start()
            undo.pop_all()

    def close(self) -> None:
        """End the thread, close the sampler and wake all waiting readers. Snapshots taken so far stay readable."""
        if os.getpid() != self._owner_pid:
            return
        with self._life:
            closed_before = self._stop.is_set()
            self._stop.set()
            thread = self._thread
        self._history.end()
        if thread is None:
            if not (closed_before or isinstance(self._wanted, str)):
                self._wanted.close()
        elif thread is not threading.current_thread():
            thread.join(_CLOSING_SECONDS)
            if thread.is_alive():
                _log.warning("the sampler did not return within %g s; its thread is abandoned", _CLOSING_SECONDS)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import asyncio  # noqa: PLC0415  a caller has it loaded already, and `import cpuwatch` stays fast

        # A reading in progress may take a while.
        await asyncio.to_thread(self.close)

    def __repr__(self) -> str:
        sampler = self._wanted if isinstance(self._wanted, str) else type(self._wanted).__name__
        state = "closed" if self._stop.is_set() else "not started" if self._thread is None else "running"
        return (
            f"<cpuwatch.Monitor interval={self.interval_seconds:g} sampler={sampler!r} {state}, "
            f"{len(self._history)} snapshots>"
        )

    # Reading

    @property
    def interval_seconds(self) -> float:
        """The time between two ticks, in seconds."""
        return self._interval_ns / 1e9

    @property
    def max_age_seconds(self) -> float:
        """The age above which the newest snapshot is stale: three intervals."""
        return _STALE_AFTER_INTERVALS * self.interval_seconds

    @property
    def latest(self) -> Snapshot | None:
        """The newest snapshot; None before the first one."""
        return self._readable_history().latest

    def newest(self) -> tuple[Snapshot, float] | None:
        """:attr:`latest` with the time of its reading, by ``time.monotonic``."""
        history = self._readable_history()
        with self._publishing:
            latest = history.latest
            return None if latest is None else (latest, self._taken_ns / 1e9)

    @property
    def history(self) -> SnapshotStore:
        """The last snapshots, by tick and by time. They stay readable after :meth:`close`."""
        return self._readable_history()

    @property
    def health(self) -> Health:
        """The state of the sampling."""
        self._check_process()
        return self._health

    @property
    def age_seconds(self) -> float | None:
        """Seconds since the newest snapshot, by the monotonic clock; None before the first one."""
        self._check_process()
        return (time.monotonic_ns() - self._taken_ns) / 1e9 if self._taken_ns else None

    @property
    def reading_seconds(self) -> float | None:
        """The duration of the current reading so far, in seconds; None between two readings."""
        self._check_process()
        since_ns = self._reading_since_ns
        return (time.monotonic_ns() - since_ns) / 1e9 if since_ns else None

    # Waiting

    def wait(self, after: Tick | None = None, timeout: float | None = None) -> Snapshot | None:
        """Wait for a snapshot after this tick and return the newest; without ``after``, wait for the next one.

        Returns None after ``timeout`` seconds, or once the monitor is closed.
        """
        return self._readable_history().wait(after, timeout)

    async def wait_async(self, after: Tick | None = None, timeout: float | None = None) -> Snapshot | None:
        """The same as :meth:`wait` in a coroutine. Each waiter costs the sampling thread one call into its loop."""
        return await self._readable_history().wait_async(after, timeout)

    def __iter__(self) -> Iterator[Snapshot]:
        """Iterate over the snapshots after this call, until the monitor is closed. A slow reader gets the newest."""
        return self._after(self._sequence)

    def __aiter__(self) -> AsyncIterator[Snapshot]:
        """The same in a coroutine."""
        return self._after_async(self._sequence)

    def _after(self, sequence: int) -> Iterator[Snapshot]:
        while (snapshot := self.wait(sequence)) is not None:
            yield snapshot
            sequence = snapshot.sequence

    async def _after_async(self, sequence: int) -> AsyncIterator[Snapshot]:
        while (snapshot := await self.wait_async(sequence)) is not None:
            yield snapshot
            sequence = snapshot.sequence

    @property
    def _sequence(self) -> int:
        latest = self.latest
        return 0 if latest is None else latest.sequence

    def _readable_history(self) -> SnapshotHistory:
        self._check_process()
        if self._thread is None and not self._stop.is_set():
            raise MonitorNotStartedError("this monitor is not started: use it in a with block, or call start()")
        return self._history

    def _check_process(self) -> None:
        if os.getpid() != self._owner_pid:
            raise MonitorForkedError(
                f"this monitor samples in process {self._owner_pid}, and this is its forked child {os.getpid()}: "
                "create and start a monitor here"
            )

    # The thread

    def _run(self, sampler: OpenSampler) -> None:
        ticks = Attempts("tick", "sampling")
        with sampler:
            deadlines = Deadlines(time.monotonic_ns(), self._interval_ns)
            while not self._stop.wait(max(0, deadlines.due_ns - time.monotonic_ns()) / 1e9):
                due_ns = deadlines.due_ns
                ticks.make(partial(self._tick, sampler, time.monotonic_ns() - due_ns))
                now_ns = time.monotonic_ns()
                deadlines.advance(self._read_ns, now_ns)
                if deadlines.missed >= _LONG_BREAK_TICKS:
                    held_up_seconds = (now_ns - due_ns) / 1e9
                    _log.warning("a reading took %.1f s, and %d ticks were missed", held_up_seconds, deadlines.missed)
                self._health = replace(
                    self._health,
                    missed_ticks=self._health.missed_ticks + deadlines.missed,
                    failed_ticks=ticks.failed,
                    failure=ticks.failure,
                )

    def _tick(self, sampler: OpenSampler, late_ns: int) -> None:
        earlier, self._reading = self._reading, self._read(sampler)
        self._readings += 1
        snapshot = None
        try:
            if earlier is not None:
                snapshot, self._carry = account(earlier, self._reading, self._carry, sequence=self._sequence + 1)
                snapshot = self._with_state(snapshot, late_ns)
        finally:
            tick = self._sampled(self._reading, snapshot, late_ns)
            self._tell_followers(tick)
        if snapshot is not None:
            with self._publishing:
                self._taken_ns = self._reading.monotonic_ns
                self._history.append(snapshot)
        if self._packer is not None:
            self._packer.add(tick)

    def _read(self, sampler: OpenSampler) -> Reading:
        self._reading_since_ns = time.monotonic_ns()
        try:
            return sampler.read()
        finally:
            self._reading_since_ns = 0
            self._read_ns = time.monotonic_ns()

    def _with_state(self, snapshot: Snapshot, late_ns: int) -> Snapshot:
        sampling = replace(
            snapshot.sampling,
            lateness_seconds=late_ns / 1e9,
            missed_ticks=self._health.missed_ticks,
            failed_ticks=self._health.failed_ticks,
            run=self._run_id,
        )
        return replace(snapshot, sampling=sampling)

    def _sampled(self, reading: Reading, snapshot: Snapshot | None, late_ns: int) -> SampledTick:
        return SampledTick(
            run=self._run_id,
            number=self._readings,
            reading=reading,
            snapshot=snapshot,
            carry=self._carry,
            lateness_ns=late_ns,
            missed_ticks=self._health.missed_ticks,
            failed_ticks=self._health.failed_ticks,
        )

    def _tell_followers(self, tick: SampledTick) -> None:
        """Followers come before readers, so that what they derive is up to date when a reader sees the snapshot."""
        if tick.snapshot is not None:
            self._followers.call(tick.snapshot)
        self._tick_followers.call(tick)
        failed_calls = self._followers.failed + self._tick_followers.failed
        self._health = replace(self._health, failed_follower_calls=failed_calls)
