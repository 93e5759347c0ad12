"""The answers of ``/metrics``, each made at most once a tick, one at a time, in a thread."""

from __future__ import annotations

import asyncio

from msgspec import Struct
from msgspec.structs import replace

from cpuwatch.encoding.metric_families import metric_families, process_families
from cpuwatch.encoding.openmetrics import EXPOSITIONS
from cpuwatch.model import Snapshot
from cpuwatch.monitor import Health, Monitor
from cpuwatch.query import Query, select
from cpuwatch.totals import RunningTotals
from cpuwatch.web.answer import Answer
from cpuwatch.web.bounded import keep
from cpuwatch.web.compression import coded
from cpuwatch.web.encoder import Encoder

__all__ = ["Exposed", "Expositions"]

_MOST_KEPT = 16


class Exposed(Struct, frozen=True):
    """What is asked for: which processes get series of their own, the media type, and the content coding."""

    processes: Query | None
    media_type: str
    coding: str


class Expositions:
    """The metrics of a monitor, which must not have been started yet: the totals take in its every tick.

    They are made when asked for, not ahead as the answers of ``/cpu_usage`` are: who scrapes comes once in many ticks.
    """

    def __init__(self, monitor: Monitor, encoder: Encoder) -> None:
        self._monitor = monitor
        self._encoder = encoder
        self._totals = RunningTotals()
        monitor.follow(self._totals.take)
        self._one_at_a_time = asyncio.Lock()
        self._made_of: tuple[int, Health] | None = None
        self._answers: dict[Exposed, Answer] = {}

    async def answer(self, exposed: Exposed) -> Answer | None:
        """The answer; None while there is no snapshot. Raises what :func:`~cpuwatch.select` raises."""
        async with self._one_at_a_time:
            snapshot, health = self._monitor.latest, self._monitor.health
            if snapshot is None:
                return None
            if self._made_of != (snapshot.sequence, health):
                self._made_of = (snapshot.sequence, health)
                self._answers.clear()
            answer = self._answers.get(exposed)
            if answer is None:
                answer = await self._encoder.run(self._make, snapshot, health, exposed)
                keep(self._answers, exposed, answer, _MOST_KEPT)
            return answer

    def _make(self, snapshot: Snapshot, health: Health, exposed: Exposed) -> Answer:
        # While sampling fails there is no newer snapshot, but the count of failures goes on.
        sampling = replace(snapshot.sampling, missed_ticks=health.missed_ticks, failed_ticks=health.failed_ticks)
        families = metric_families(replace(snapshot, sampling=sampling), self._totals.latest)
        if exposed.processes is not None:
            families += process_families(select(snapshot, exposed.processes).processes)
        exposition = EXPOSITIONS[exposed.media_type]
        body, coding = coded(exposition.encode(families), exposed.coding)
        headers = [("vary", "accept, accept-encoding"), *coding]
        return Answer.of(body, exposition.content_type, headers=headers)
