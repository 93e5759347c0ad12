"""Asks all machines for their usage while somebody looks at the page, and keeps what they answered."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from datetime import UTC, datetime

from cpuwatch.errors import SettingsError
from cpuwatch.peers.connection import Connection, Fetched, FetchError
from cpuwatch.peers.source import PeerSource, Target
from cpuwatch.peers.status import Peers, PeerState, PeerStatus
from cpuwatch.peers.usage import PeerUsage, decode_usage, usage_target

__all__ = ["PeerWatch"]

INTERVAL_SECONDS = 2.0
_STEP_SECONDS = 0.5
"""How soon it shows that a machine is slow or stale."""
_LOOK_SECONDS = 15.0
"""Machines are asked for this long after the last request for the page."""
_LIST_SECONDS = 5.0
_SLOW_SECONDS = 1.0
_MAX_BACKOFF_SECONDS = 30.0
_STALE_INTERVALS = 3
_MIN_STALE_SECONDS = 10.0
_MAX_ETAG_BYTES = 200
_CONCURRENT = 32
_CONCURRENT_AFTER_FAILURE = 16
"""Machines that fail have their own limit, so that they do not delay the others until their timeouts."""

_log = logging.getLogger("cpuwatch.peers")


class PeerWatch:
    """The machines of a list. ``version`` grows with each change of what :meth:`shown` returns."""

    def __init__(self, source: PeerSource, interval_seconds: float = INTERVAL_SECONDS) -> None:
        self.version: int = 0
        self._source = source
        self._interval_seconds = interval_seconds
        self._machines: dict[Target, _Machine] = {}
        self._list_error: str | None = None
        self._looked_seconds = float("-inf")
        self._looked = asyncio.Event()

    def look(self) -> None:
        """Somebody looks: ask the machines for some seconds."""
        self._looked_seconds = time.monotonic()
        self._looked.set()

    def shown(self) -> Peers:
        """The machines as they are known now."""
        statuses = [machine.status() for machine in self._machines.values()]
        return Peers(self._interval_seconds, self._list_error, statuses)

    async def run(self) -> None:
        """Ask the machines whenever somebody looks, until cancelled."""
        tls = ssl.create_default_context()
        try:
            while True:
                await self._looked.wait()
                async with asyncio.TaskGroup() as tasks:
                    await self._ask_while_looked_at(tasks, tls)
                await self._forget()
        finally:
            await self._forget()

    async def _ask_while_looked_at(self, tasks: asyncio.TaskGroup, tls: ssl.SSLContext) -> None:
        limits = {False: asyncio.Semaphore(_CONCURRENT), True: asyncio.Semaphore(_CONCURRENT_AFTER_FAILURE)}
        reading_list = tasks.create_task(self._read_list(tls))
        await reading_list
        list_due_seconds = time.monotonic() + _LIST_SECONDS
        while (now := time.monotonic()) - self._looked_seconds < _LOOK_SECONDS:
            if now >= list_due_seconds and reading_list.done():
                # The source may be slow: meanwhile, the machines of the old list are asked.
                reading_list = tasks.create_task(self._read_list(tls))
                list_due_seconds = now + _LIST_SECONDS
            for machine in self._machines.values():
                if machine.is_due(now):
                    machine.begin()
                    tasks.create_task(self._ask(machine, limits[machine.failures > 0]))
            self.version += 1
            await asyncio.sleep(min(_STEP_SECONDS, self._interval_seconds))
        self._looked.clear()

    async def _ask(self, machine: _Machine, limit: asyncio.Semaphore) -> None:
        async with limit:
            await machine.ask(self._interval_seconds)
        self.version += 1

    async def _read_list(self, tls: ssl.SSLContext) -> None:
        try:
            targets = await self._source.targets(tls)
        except SettingsError as error:
            if str(error) != self._list_error:
                _log.warning("%s", error)
            self._list_error = str(error)
            return
        self._list_error = None
        before = self._machines
        self._machines = {target: before.get(target) or _Machine(target, tls) for target in targets}
        for target in before.keys() - self._machines.keys():
            await before[target].close()

    async def _forget(self) -> None:
        """What is known would be old when somebody looks again."""
        machines, self._machines = self._machines, {}
        self.version += 1
        for machine in machines.values():
            await machine.close()


class _Machine:
    """What is known about one machine."""

    def __init__(self, target: Target, tls: ssl.SSLContext) -> None:
        self.failures: int = 0
        self._peer = target.peer
        self._target = usage_target(target.peer.address.path)
        self._connection = Connection(target.peer.address, target.token, tls)
        self._has_token = target.token is not None
        self._due_seconds = 0.0
        self._asked_seconds: float | None = None
        self._error: str | None = None
        self._etag: bytes | None = None
        self._usage: PeerUsage | None = None
        self._changed_seconds = 0.0
        self._answered: datetime | None = None
        self._answer_seconds: float | None = None

    def is_due(self, now: float) -> bool:
        """Whether no request is under way and it is time for the next."""
        return self._asked_seconds is None and now >= self._due_seconds

    def begin(self) -> None:
        """A request is under way, though it may wait for its turn."""
        self._asked_seconds = time.monotonic()

    async def ask(self, interval_seconds: float) -> None:
        """Ask for the usage, and note the answer or the failure. Raises nothing."""
        self._asked_seconds = began = time.monotonic()
        try:
            self._note(await self._connection.get(self._target, self._etag))
        except (FetchError, ValueError) as error:
            self._fail(str(error), interval_seconds)
        except Exception as error:  # noqa: BLE001  one machine must not stop the others
            _log.exception("cannot ask %s", self._peer.address)
            self._fail(f"internal error: {type(error).__name__}; the log has the details", interval_seconds)
        else:
            self._answer_seconds = time.monotonic() - began
            self._due_seconds = began + interval_seconds
            self._answered = datetime.now(UTC)
            self._error, self.failures = None, 0
        finally:
            self._asked_seconds = None

    def status(self) -> PeerStatus:
        """The machine as the page shows it."""
        usage = self._usage
        return PeerStatus(
            str(self._peer.address),
            self._peer.name,
            self._state(time.monotonic()),
            self._error,
            self._answered,
            None if self._answer_seconds is None else round(self._answer_seconds, 3),
            None if usage is None else usage.host.name,
            None if usage is None else usage.host.logical_cpus,
            None if usage is None else usage.machine.cpu_percent,
            None if usage is None else usage.attribution,
            [] if usage is None else usage.processes,
        )

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    def _state(self, now: float) -> PeerState:
        if self._error is not None:
            return "failed"
        waited = 0.0 if self._asked_seconds is None else now - self._asked_seconds
        if waited > _SLOW_SECONDS or (self._answer_seconds or 0.0) > _SLOW_SECONDS:
            return "slow"
        if self._usage is None:
            return "asking"
        max_age = max(_MIN_STALE_SECONDS, _STALE_INTERVALS * self._usage.interval_seconds)
        return "stale" if now - self._changed_seconds > max_age else "live"

    def _note(self, fetched: Fetched) -> None:
        if fetched.status == 304 and self._usage is not None:
            return
        if fetched.status != 200:
            raise FetchError(_meaning(fetched.status, has_token=self._has_token))
        usage = decode_usage(fetched.body)
        if self._usage is None or usage.time != self._usage.time:
            self._changed_seconds = time.monotonic()
        self._usage, self._etag = usage, fetched.etag if len(fetched.etag or b"") <= _MAX_ETAG_BYTES else None

    def _fail(self, error: str, interval_seconds: float) -> None:
        self._error, self._etag = error, None
        self.failures += 1
        pause = min(_MAX_BACKOFF_SECONDS, interval_seconds * 2 ** min(self.failures - 1, 10))
        self._due_seconds = time.monotonic() + pause


def _meaning(status: int, *, has_token: bool) -> str:
    if status == 401:
        return "it rejects the token" if has_token else "it requires a token"
    if 300 <= status < 400:
        return f"it redirects ({status}), and redirects are not followed"
    if status == 421:
        return "it rejects the host name: use its address, or add the name to its --allowed-hosts"
    return f"it answers {status}"
