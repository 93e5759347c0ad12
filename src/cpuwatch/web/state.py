"""The state that the lifespan creates and the endpoints use, carried in the ASGI scope."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import ModuleType
from typing import TYPE_CHECKING, TypedDict

from starlette.types import Scope

from cpuwatch.accounting.totals import RunningTotals
from cpuwatch.history import SnapshotStore
from cpuwatch.peers.opening import watch_peers
from cpuwatch.peers.status import WatchedPeers
from cpuwatch.query.unit_totals import RunningUnitTotals
from cpuwatch.recording.past import Past
from cpuwatch.recording.reader import Recording
from cpuwatch.recording.recorder import Recorder
from cpuwatch.samplers.threads import ThreadReader, open_thread_reader
from cpuwatch.settings import Settings
from cpuwatch.snapshot_source import SnapshotSource
from cpuwatch.supervisor import Supervisor
from cpuwatch.web.access.hosts import AllowedHosts
from cpuwatch.web.access.limits import StreamPlaces
from cpuwatch.web.response_cache import ResponseCache
from cpuwatch.web.scrapes import Scrapes
from cpuwatch.web.thread_watch import ThreadWatch

if TYPE_CHECKING:
    from cpuwatch.push.pusher import Pusher  # it needs the extra `push`

__all__ = ["Live", "State", "hypercorn_in_use", "live", "settings_of"]


class Live:
    """A running service: its settings, the source of its snapshots, and the results made from them.

    ``recorder`` writes the ``recording``, if there is one. A recording without a recorder is itself the source.
    ``pusher`` sends sums to receivers of metrics, if there are any.
    """

    def __init__(
        self,
        source: SnapshotSource,
        settings: Settings | None = None,
        recorder: Recorder | None = None,
        recording: Recording | None = None,
        pusher: Pusher | None = None,
    ) -> None:
        self.settings: Settings = settings or Settings()
        self.hosts: AllowedHosts = AllowedHosts(self.settings.allowed_hosts)
        self.source: SnapshotSource = source
        self.recorder: Recorder | None = recorder
        self.recording: Recording | None = recording
        self.pusher: Pusher | None = pusher
        self.cache: ResponseCache = ResponseCache(source)
        self.streams: StreamPlaces = StreamPlaces(self.settings.streams)
        self.scrapes: Scrapes = Scrapes()
        is_playback = recording is not None and recorder is None
        self.threads: ThreadWatch | None = (
            None if is_playback else ThreadWatch(self.cache.threads, self._open_thread_reader)
        )
        self.peers: WatchedPeers | None = None
        if self.settings.peers is not None:
            self.peers = watch_peers(self.settings.peers, self.settings.peers_token, self.cache.threads.run)
        self.begin_seconds: float = time.monotonic()
        # The source must not be started yet, so that the totals include every tick.
        # Those by unit come first, so that they are never older than the others (see web/endpoints/metrics.py).
        self.unit_totals: RunningUnitTotals = RunningUnitTotals(self.settings.metric_names)
        source.follow(self.unit_totals.take)
        self.totals: RunningTotals = RunningTotals(self.settings.metric_names)
        source.follow(self.totals.take)
        self.supervisor: Supervisor = Supervisor(lambda: self.cache.ended)
        self._heeds_server_stop: bool = False

    @property
    def past(self) -> SnapshotStore:
        """All snapshots that can be read: in memory and, with a recording, on disk."""
        if self.recording is None or self.recorder is None:
            return self.source.history
        return Past(self.source.history, self.recording)

    @property
    def age_seconds(self) -> float | None:
        """The age of the published snapshot; None without one.

        Snapshots that the source has but that are not published do not count.
        """
        taken_seconds = self.cache.taken_seconds
        return None if taken_seconds is None else time.monotonic() - taken_seconds

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Publish each tick and watch the peers, within the block."""
        self.cache.threads.start()
        works = {"cache": self.cache.follow}
        if self.peers is not None:
            works["peers"] = self.peers.run
        tasks = [asyncio.create_task(self.supervisor.keep_running(name, work)) for name, work in works.items()]
        try:
            yield
        finally:
            self.cache.end()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            if self.threads is not None:
                await self.threads.close()
            self.cache.threads.close()

    def _open_thread_reader(self) -> ThreadReader:
        """The reader that belongs to the sampler in use, so that both give a process the same key."""
        newest = self.source.newest()
        return open_thread_reader("auto" if newest is None else newest[0].host.backend.partition("/")[0])

    def heed_server_stop(self) -> None:
        """Make long requests end when the server begins to stop. Call it while a request is handled."""
        if not self._heeds_server_stop:
            self._heeds_server_stop = True
            if hypercorn := hypercorn_in_use():
                hypercorn.call_when_server_stops(self.cache.end)


def hypercorn_in_use() -> ModuleType | None:
    """:mod:`cpuwatch.server.hypercorn_quirks`, or None if another server runs the app."""
    if "hypercorn.asyncio" not in sys.modules:
        return None
    from cpuwatch.server import hypercorn_quirks  # noqa: PLC0415  it imports Hypercorn

    return hypercorn_quirks


class State(TypedDict):
    """The lifespan state of the app (asgi.readthedocs.io/en/latest/specs/lifespan.html)."""

    cpuwatch: Live


def live(scope: Scope) -> Live:
    """The service that this request belongs to.

    Raises ``RuntimeError`` if the server does not run ASGI lifespans, because then nothing samples.
    """
    try:
        found: Live = scope["state"]["cpuwatch"]
    except KeyError:
        raise RuntimeError(
            "no monitor is running: the server has to support the ASGI lifespan protocol with state"
        ) from None
    return found


def settings_of(scope: Scope) -> Settings:
    """The settings that apply to this request."""
    return live(scope).settings
