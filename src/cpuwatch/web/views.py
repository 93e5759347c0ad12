"""The answers made from the newest snapshot: each view, format and coding at most once a tick."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Iterable
from hashlib import blake2b

from msgspec import Struct

from cpuwatch.encoding.formats import FORMATS
from cpuwatch.model import Snapshot
from cpuwatch.monitor import Monitor
from cpuwatch.view import View, look
from cpuwatch.web.age import age_header
from cpuwatch.web.answer import Answer
from cpuwatch.web.bounded import keep
from cpuwatch.web.compression import coded

__all__ = ["Aspect", "Views"]

_MOST_KEPT = 64
_MOST_PREPARED = 16
"""So many of the answers that were asked for in one tick are ready before anybody asks for them in the next."""

_log = logging.getLogger("cpuwatch.web")


class Aspect(Struct, frozen=True):
    """What is asked for: a view, in a format, in a content coding."""

    view: View
    format: str
    coding: str


class Views:
    """The answers of the current tick.

    As long as somebody asks for an aspect, its answer is made when a tick comes, in a thread, and the tick is shown
    only then: no request waits for it. What nobody asks for is not made; what is asked for the first time is made at
    once.
    """

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._snapshot: Snapshot | None = None
        self._taken_seconds = 0.0
        self._answers: dict[Aspect, Answer] = {}
        self._wanted: dict[Aspect, None] = {}
        self._shown = asyncio.Event()
        self._ended = False
        # A sequence says nothing across restarts: the counter begins anew.
        self._run = secrets.token_hex(4)

    @property
    def snapshot(self) -> Snapshot | None:
        """The snapshot that is shown now; None while there is none."""
        if self._snapshot is None and self._monitor.latest is not None:
            self._show(self._monitor.latest, {})
        return self._snapshot

    @property
    def newest_sequence(self) -> int:
        """The sequence of that; 0 while there is none."""
        snapshot = self.snapshot
        return 0 if snapshot is None else snapshot.sequence

    @property
    def age_header(self) -> tuple[bytes, bytes]:
        """How old that is now."""
        return age_header(int((time.monotonic() - self._taken_seconds) * 1000))

    def answer(self, aspect: Aspect) -> Answer | None:
        """The answer; None while there is no snapshot. Raises what :func:`~cpuwatch.view.look` raises."""
        snapshot = self.snapshot
        if snapshot is None:
            return None
        answer = self._answers.get(aspect)
        if answer is None:
            answer = self._make(snapshot, aspect)
            keep(self._answers, aspect, answer, _MOST_KEPT)
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
                    if self._ended:
                        return None
                    await self._shown.wait()
        except TimeoutError:
            return None
        return snapshot

    async def follow(self) -> None:
        """Show each tick as it comes. Ends with the monitor."""
        try:
            async for snapshot in self._monitor:
                wanted, self._wanted = self._wanted, {}
                answers = await asyncio.to_thread(self._prepare, snapshot, wanted) if wanted else {}
                self._show(snapshot, answers)
        finally:
            self.end()

    def end(self) -> None:
        """Let go of all who wait: nothing more will come."""
        self._ended = True
        self._shown.set()

    def etag(self, snapshot: Snapshot, what: object) -> str:
        """The tag of this, which is described by its ``repr``, as of this snapshot."""
        digest = blake2b(repr(what).encode("utf-8", "replace"), digest_size=6).hexdigest()
        return f'"{self._run}-{snapshot.sequence}-{digest}"'

    def _show(self, snapshot: Snapshot, answers: dict[Aspect, Answer]) -> None:
        self._taken_seconds = time.monotonic() - (self._monitor.age_seconds or 0)
        self._answers = answers
        self._snapshot = snapshot
        self._shown.set()
        self._shown = asyncio.Event()

    def _prepare(self, snapshot: Snapshot, aspects: Iterable[Aspect]) -> dict[Aspect, Answer]:
        try:
            return {aspect: self._make(snapshot, aspect) for aspect in aspects}
        except Exception:  # noqa: BLE001  what is shown goes on, and who asks for that one answer gets the error
            _log.exception("the answers of tick %d could not be made ahead", snapshot.sequence)
            return {}

    def _make(self, snapshot: Snapshot, aspect: Aspect) -> Answer:
        chosen = FORMATS[aspect.format]
        body, coding = coded(chosen.encode(look(snapshot, aspect.view), aspect.view.fields), aspect.coding)
        headers = [("vary", "accept, accept-encoding"), *coding]
        return Answer.of(body, chosen.content_type, headers=headers, etag=self.etag(snapshot, aspect))
