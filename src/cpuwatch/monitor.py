"""Sampling once a second in a thread of its own, for any number of readers.

The thread owns the sampler. Readers get the newest snapshot or wait for the next; however slow they are, they get
the newest one then and never hold up the sampling.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Self

from msgspec import Struct
from msgspec.structs import replace

from cpuwatch.accounting.reaped import NO_CARRY
from cpuwatch.accounting.usage import account
from cpuwatch.attempts import Attempts, Follower
from cpuwatch.errors import MonitorClosedError, MonitorForkedError
from cpuwatch.history import DEFAULT_HISTORY_BYTES, SnapshotHistory, SnapshotStore
from cpuwatch.model import Reading, Snapshot
from cpuwatch.samplers import OpenSampler, Sampler, open_sampler
from cpuwatch.tick_id import new_run

__all__ = ["Health", "Monitor", "next_deadline"]

FIRST_INTERVAL_SECONDS = 0.25
"""The first snapshot is made after this time, not after a whole interval."""

_CLOSING_SECONDS = 1.0
"""What a reading under way is given to end when the monitor is closed."""

_LONG_BREAK_TICKS = 3
"""So many ticks missed at once are told in the log."""

_log = logging.getLogger("cpuwatch.monitor")


class Health(Struct, frozen=True, gc=False):
    """The state of the sampling: counts since the start, and the cause while the last tick failed.

    ``failed_follower_calls`` counts calls of followers (:meth:`Monitor.follow`) that raised. Their ticks did not fail.
    """

    missed_ticks: int = 0
    failed_ticks: int = 0
    failure: str | None = None
    failed_follower_calls: int = 0


def next_deadline(start_ns: int, interval_ns: int, now_ns: int) -> int:
    """The first deadline after ``now_ns`` on the grid ``start_ns + k * interval_ns``.

    Absolute, so lateness does not add up to drift; a deadline that was slept through is left out, not made up for
    (py-spy's timer works alike).
    """
    return start_ns + ((now_ns - start_ns) // interval_ns + 1) * interval_ns


class Monitor:
    """Samples every ``interval`` seconds and keeps the last ``history`` snapshots in at most ``history_bytes``.

    Use it as a context manager, or with :meth:`start` and :meth:`close`. ``sampler`` is the name of a backend, or a
    :class:`~cpuwatch.Sampler` that the monitor then owns and closes. The first snapshot comes within half a second
    of the start. A tick that fails is logged once, counted in :attr:`health`, and sampling goes on.

    ``history_bytes`` limits an estimate of the memory that old snapshots take. The oldest are dropped first; the newest
    is kept always.

    It may be used from any number of threads and event loops, but not across a fork: in the child all that waits or
    looks raises :class:`~cpuwatch.errors.MonitorForkedError`, for the thread that sampled is not there.
    """

    def __init__(
        self,
        interval: float = 1.0,
        history: int = 600,
        sampler: str | Sampler = "auto",
        history_bytes: int = DEFAULT_HISTORY_BYTES,
    ) -> None:
        if not (math.isfinite(interval) and interval > 0):
            raise ValueError(f"interval is {interval!r}: it has to be a number of seconds above 0")
        if history < 1:
            raise ValueError(f"history is {history!r}: it has to be at least 1 snapshot")
        if history_bytes < 1:
            raise ValueError(f"history_bytes is {history_bytes!r}: it has to be at least 1")
        self._interval_ns = max(1, round(interval * 1e9))
        self._wanted = sampler
        self._history = SnapshotHistory(history, history_bytes)
        self._reading: Reading | None = None
        self._carry = NO_CARRY
        self._taken_ns = 0
        self._reading_since_ns = 0
        self._health = Health()
        self._publishing = threading.Lock()
        self._followers: tuple[Follower, ...] = ()
        self._life = threading.RLock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._owner_pid = os.getpid()
        self._run_id = new_run()

    # Life

    def follow(self, follower: Callable[[Snapshot], object]) -> None:
        """Call ``follower`` with every snapshot from now on, before readers see that snapshot.

        Readers who wait may miss snapshots; a follower does not. It is called in the sampling thread, so it must be
        quick. An exception in it is logged and counted in :attr:`health`; other followers and the tick are not
        affected.
        """
        with self._life:
            self._followers = (*self._followers, Follower(follower))

    def start(self) -> Self:
        """Open the sampler and begin. Raises what :func:`~cpuwatch.open_sampler` raises."""
        self._check_process()
        with self._life:
            if self._stop.is_set():
                raise MonitorClosedError("this monitor was closed: make another")
            if self._thread is None:
                self._thread = self._started_thread()
        return self

    def _started_thread(self) -> threading.Thread:
        wanted = self._wanted
        with ExitStack() as undo:
            # If the thread cannot be started: what was opened here is closed here, the rest by close().
            sampler = undo.enter_context(open_sampler(wanted)) if isinstance(wanted, str) else OpenSampler(wanted)
            thread = threading.Thread(target=self._run, args=(sampler,), name="cpuwatch-monitor", daemon=True)
            thread.start()
            undo.pop_all()
        return thread

    def close(self) -> None:
        """End the thread, close the sampler and wake all who wait. Snapshots taken so far stay readable."""
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
                _log.warning("the sampler did not come back within %g s; its thread is left", _CLOSING_SECONDS)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Looking

    @property
    def interval_seconds(self) -> float:
        """The time between two ticks."""
        return self._interval_ns / 1e9

    @property
    def latest(self) -> Snapshot | None:
        """The newest snapshot; None until the first one has come."""
        self._check_process()
        return self._history.latest

    def newest(self) -> tuple[Snapshot, float] | None:
        """:attr:`latest` with the time of its reading, by ``time.monotonic``."""
        self._check_process()
        with self._publishing:
            latest = self._history.latest
            return None if latest is None else (latest, self._taken_ns / 1e9)

    @property
    def history(self) -> SnapshotStore:
        """The last snapshots, by tick and by time. It stays readable after :meth:`close`."""
        self._check_process()
        return self._history

    @property
    def health(self) -> Health:
        """How the sampling fares."""
        self._check_process()
        return self._health

    @property
    def age_seconds(self) -> float | None:
        """How long ago, on the monotonic clock, the newest snapshot was taken; None if there is none."""
        self._check_process()
        return (time.monotonic_ns() - self._taken_ns) / 1e9 if self._taken_ns else None

    @property
    def reading_seconds(self) -> float | None:
        """For how long the reading that is under way has been going on; None between two readings."""
        self._check_process()
        since_ns = self._reading_since_ns
        return (time.monotonic_ns() - since_ns) / 1e9 if since_ns else None

    # Waiting

    def wait(self, after: int | None = None, timeout: float | None = None) -> Snapshot | None:
        """The newest snapshot whose sequence is above ``after``, as soon as there is one.

        Without ``after``: the next one that comes. None when ``timeout`` seconds have passed or the monitor is closed.
        """
        self._check_process()
        return self._history.wait(after, timeout)

    async def wait_async(self, after: int | None = None, timeout: float | None = None) -> Snapshot | None:
        """The same from a coroutine. Many may wait; each costs the sampling thread one call into its event loop."""
        self._check_process()
        return await self._history.wait_async(after, timeout)

    def __iter__(self) -> Iterator[Snapshot]:
        """Each new snapshot as it comes, until the monitor is closed; the newest only, for whoever is slow."""
        sequence = self._sequence
        while (snapshot := self.wait(sequence)) is not None:
            yield snapshot
            sequence = snapshot.sequence

    async def __aiter__(self) -> AsyncIterator[Snapshot]:
        """The same from a coroutine."""
        sequence = self._sequence
        while (snapshot := await self.wait_async(sequence)) is not None:
            yield snapshot
            sequence = snapshot.sequence

    @property
    def _sequence(self) -> int:
        latest = self.latest
        return 0 if latest is None else latest.sequence

    def _check_process(self) -> None:
        if os.getpid() != self._owner_pid:
            raise MonitorForkedError(
                f"this monitor samples in process {self._owner_pid}, and this is process {os.getpid()}, "
                "forked off it: make and start a monitor here"
            )

    # The thread

    def _run(self, sampler: OpenSampler) -> None:
        ticks = Attempts("tick", "sampling")
        with sampler:
            start_ns = deadline_ns = time.monotonic_ns()
            while not self._stop.wait(max(0, deadline_ns - time.monotonic_ns()) / 1e9):
                late_ns = time.monotonic_ns() - deadline_ns
                ticks.make(partial(self._tick, sampler, late_ns))
                self._health = replace(self._health, failed_ticks=ticks.failed, failure=ticks.failure)
                deadline_ns = self._after(deadline_ns, start_ns)

    def _tick(self, sampler: OpenSampler, late_ns: int) -> None:
        earlier, self._reading = self._reading, self._read(sampler)
        if earlier is not None:
            snapshot, self._carry = account(earlier, self._reading, self._carry, sequence=self._sequence + 1)
            self._publish(snapshot, self._reading.monotonic_ns, late_ns)

    def _read(self, sampler: OpenSampler) -> Reading:
        self._reading_since_ns = time.monotonic_ns()
        try:
            return sampler.read()
        finally:
            self._reading_since_ns = 0

    def _after(self, deadline_ns: int, start_ns: int) -> int:
        """The deadline to sleep for; those that went by meanwhile are counted as missed."""
        if deadline_ns == start_ns:
            # From now, not from the start: the first reading among thousands of processes may have taken as long.
            return time.monotonic_ns() + min(self._interval_ns, round(FIRST_INTERVAL_SECONDS * 1e9))
        due_ns = next_deadline(start_ns, self._interval_ns, deadline_ns)
        next_ns = next_deadline(start_ns, self._interval_ns, time.monotonic_ns())
        missed = max(0, next_ns - due_ns) // self._interval_ns
        if missed >= _LONG_BREAK_TICKS:
            held_up_seconds = (time.monotonic_ns() - deadline_ns) / 1e9
            _log.warning("a reading took %.1f s, and %d ticks were missed", held_up_seconds, missed)
        if missed:
            self._health = replace(self._health, missed_ticks=self._health.missed_ticks + missed)
        return next_ns

    def _publish(self, snapshot: Snapshot, taken_ns: int, late_ns: int) -> None:
        sampling = replace(
            snapshot.sampling,
            lateness_seconds=late_ns / 1e9,
            missed_ticks=self._health.missed_ticks,
            failed_ticks=self._health.failed_ticks,
            run=self._run_id,
        )
        published = replace(snapshot, sampling=sampling)
        # Followers come first: what they derive is up to date when a reader sees the snapshot.
        for follower in self._followers:
            follower.call(published)
        failed_calls = sum(follower.failed for follower in self._followers)
        self._health = replace(self._health, failed_follower_calls=failed_calls)
        with self._publishing:
            self._taken_ns = taken_ns
            self._history.append(published)
