"""The answers made from the newest snapshot: each view, format and coding at most once a tick."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from hashlib import blake2b

from msgspec import Struct

from cpuwatch.encoding.formats import FORMATS
from cpuwatch.model import Snapshot
from cpuwatch.monitor import Monitor
from cpuwatch.query.view import View, apply_view
from cpuwatch.tick_id import TickId
from cpuwatch.web.bounded import keep
from cpuwatch.web.encoder import Encoder
from cpuwatch.web.http.response import Answer, coded

__all__ = ["Aspect", "Views"]

_MOST_KEPT = 64
_MOST_PREPARED = 16
"""So many of the answers that were asked for in one tick are ready before anybody asks for them in the next."""
_MAX_FIRST_ANSWERS_AT_ONCE = 2
"""More would only take turns at the interpreter, and take it from the event loop."""

_log = logging.getLogger("cpuwatch.web")


class Aspect(Struct, frozen=True):
    """What is asked for: a view, in a format, in a content coding."""

    view: View
    format: str
    coding: str


class _Shown:
    """A snapshot that is shown, when it was taken (``time.monotonic``), and its answers: finished, and being made."""

    def __init__(self, snapshot: Snapshot, taken_seconds: float, answers: dict[Aspect, Answer]) -> None:
        self.snapshot = snapshot
        self.taken_seconds = taken_seconds
        self.answers = answers
        self.making: dict[Aspect, asyncio.Task[Answer]] = {}


class Views:
    """The answers of the current tick.

    As long as clients ask for an aspect, its answer is made when a tick comes, and the tick is shown only then: no
    request waits for it. An aspect that is new in a tick is made for its first request; others wait for the same
    answer. The event loop encodes nothing.
    """

    def __init__(self, monitor: Monitor, encoder: Encoder) -> None:
        self.ended: bool = False
        self._monitor = monitor
        self._encoder = encoder
        self._shown: _Shown | None = None
        self._wanted: dict[Aspect, None] = {}
        self._first_answers = asyncio.Semaphore(_MAX_FIRST_ANSWERS_AT_ONCE)
        self._changed = asyncio.Event()

    @property
    def snapshot(self) -> Snapshot | None:
        """The snapshot that is shown now; None while there is none."""
        shown = self._newest_shown()
        return None if shown is None else shown.snapshot

    @property
    def newest(self) -> TickId:
        """Which tick that is; sequence 0 of no run while there is none."""
        snapshot = self.snapshot
        return TickId(None, 0) if snapshot is None else TickId.of(snapshot)

    @property
    def newest_sequence(self) -> int:
        """The sequence of that; 0 while there is none."""
        snapshot = self.snapshot
        return 0 if snapshot is None else snapshot.sequence

    @property
    def taken_seconds(self) -> float | None:
        """When that was taken, by ``time.monotonic``; None while there is none."""
        shown = self._newest_shown()
        return None if shown is None else shown.taken_seconds

    @property
    def age_header(self) -> tuple[bytes, bytes]:
        """How old that is now (``Server-Timing``, w3.org/TR/server-timing)."""
        age_ms = int((time.monotonic() - (self.taken_seconds or 0)) * 1000)
        return b"server-timing", b"age;dur=%d" % age_ms

    async def answer(self, aspect: Aspect) -> Answer | None:
        """The answer; None while there is no snapshot. Raises what :func:`~cpuwatch.query.view.apply_view` raises.

        Does not wait where the answer is finished.
        """
        shown = self._newest_shown()
        if shown is None:
            return None
        answer = shown.answers.get(aspect)
        if answer is None:
            answer = await self._first_answer(shown, aspect)
        if len(self._wanted) < _MOST_PREPARED:
            self._wanted[aspect] = None
        return answer

    async def wait(self, after: int, timeout: float | None = None) -> Snapshot | None:
        """What is shown, as soon as its sequence is above ``after``; None when ``timeout`` seconds have passed.

        None as well when nothing more will come.
        """
        try:
            async with asyncio.timeout(timeout):
                while (snapshot := self.snapshot) is None or snapshot.sequence <= after:
                    if self.ended:
                        return None
                    await self._changed.wait()
        except TimeoutError:
            return None
        return snapshot

    async def follow(self) -> None:
        """Show each tick as it comes, until the monitor is closed. May be called again after it failed."""
        while await self._monitor.wait_async(after=self.newest_sequence) is not None:
            newest = self._monitor.newest()
            if newest is not None:
                wanted, self._wanted = self._wanted, {}
                self._show(*newest, await self._made_ahead(newest[0], wanted))

    def end(self) -> None:
        """Let go of all who wait: nothing more will come."""
        self.ended = True
        self._changed.set()

    def etag(self, snapshot: Snapshot, what: object) -> str:
        """The tag of this, which is described by its ``repr``, as of this snapshot."""
        digest = blake2b(repr(what).encode("utf-8", "replace"), digest_size=6).hexdigest()
        return f'"{TickId.of(snapshot)}-{digest}"'

    def _newest_shown(self) -> _Shown | None:
        if self._shown is None and (newest := self._monitor.newest()) is not None:
            self._show(*newest, {})
        return self._shown

    def _show(self, snapshot: Snapshot, taken_seconds: float, answers: dict[Aspect, Answer]) -> None:
        self._shown = _Shown(snapshot, taken_seconds, answers)
        self._changed.set()
        self._changed = asyncio.Event()

    async def _made_ahead(self, snapshot: Snapshot, aspects: Iterable[Aspect]) -> dict[Aspect, Answer]:
        if not aspects:
            return {}
        try:
            return await self._encoder.run(self._make_all, snapshot, aspects)
        except Exception:  # noqa: BLE001  the tick is shown all the same; who asks for such an answer gets the error
            _log.exception("the answers of tick %d could not be made ahead", snapshot.sequence)
            return {}

    async def _first_answer(self, shown: _Shown, aspect: Aspect) -> Answer:
        making = shown.making.get(aspect)
        if making is None:
            making = shown.making[aspect] = asyncio.create_task(self._make_first(shown, aspect))
            making.add_done_callback(lambda task: task.cancelled() or task.exception())  # nobody may be waiting
        # Shielded: that one of those who wait leaves is no reason to begin anew for the others.
        return await asyncio.shield(making)

    async def _make_first(self, shown: _Shown, aspect: Aspect) -> Answer:
        try:
            async with self._first_answers:
                answer = await self._encoder.run(self._make, shown.snapshot, aspect)
        finally:
            del shown.making[aspect]
        keep(shown.answers, aspect, answer, _MOST_KEPT)
        return answer

    def _make_all(self, snapshot: Snapshot, aspects: Iterable[Aspect]) -> dict[Aspect, Answer]:
        return {aspect: self._make(snapshot, aspect) for aspect in aspects}

    def _make(self, snapshot: Snapshot, aspect: Aspect) -> Answer:
        chosen = FORMATS[aspect.format]
        body, coding = coded(chosen.encode(apply_view(snapshot, aspect.view), aspect.view.fields), aspect.coding)
        headers = [("vary", "accept, accept-encoding"), *coding]
        return Answer.of(body, chosen.content_type, headers=headers, etag=self.etag(snapshot, aspect))
