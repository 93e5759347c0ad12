"""The answers of ``/metrics``, each made at most once a tick, one at a time, in a thread."""

from __future__ import annotations

import asyncio
import time

from msgspec import Struct
from msgspec.structs import replace

from cpuwatch.accounting.totals import CpuTotals, RunningTotals
from cpuwatch.encoding.metric_families import metric_families, process_families
from cpuwatch.encoding.openmetrics import EXPOSITIONS
from cpuwatch.model import Snapshot
from cpuwatch.monitor import Health, Monitor
from cpuwatch.query.select import Query, select
from cpuwatch.web.bounded import keep
from cpuwatch.web.encoder import Encoder
from cpuwatch.web.http.response import Answer, coded
from cpuwatch.web.scrapers import Scraper, Scrapes

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
        self._scrapes = Scrapes()
        self._begun_seconds = time.monotonic()
        self._made_of: tuple[int, int, Health] | None = None
        self._answers: dict[tuple[Exposed, int | None], Answer] = {}

    async def answer(self, exposed: Exposed, scraper: Scraper | None = None) -> Answer | None:
        """The answer; None while there is no snapshot. Raises what :func:`~cpuwatch.select` raises.

        ``scraper`` is given for requests of a Prometheus, which gets 0 as the first value of a new series.
        """
        async with self._one_at_a_time:
            snapshot, totals, health = self._monitor.latest, self._totals.latest, self._monitor.health
            if snapshot is None or totals is None:
                return None
            if self._made_of != (snapshot.sequence, totals.sequence, health):
                self._made_of = (snapshot.sequence, totals.sequence, health)
                self._answers.clear()
            run_seconds = time.monotonic() - self._begun_seconds
            known = None if scraper is None else self._scrapes.known_sequence(scraper, totals, run_seconds)
            # Mostly nothing is new, and all get the same answer.
            if known is not None and known >= totals.newest_sequence:
                known = None
            answer = self._answers.get((exposed, known))
            if answer is None:
                answer = await self._encoder.run(self._make, snapshot, totals, health, exposed, known)
                keep(self._answers, (exposed, known), answer, _MOST_KEPT)
            if scraper is not None:
                self._scrapes.note(scraper, totals)
            return answer

    def _make(
        self, snapshot: Snapshot, totals: CpuTotals, health: Health, exposed: Exposed, known_sequence: int | None
    ) -> Answer:
        # While sampling fails there is no newer snapshot, but the count of failures goes on.
        sampling = replace(snapshot.sampling, missed_ticks=health.missed_ticks, failed_ticks=health.failed_ticks)
        families = metric_families(replace(snapshot, sampling=sampling), totals, known_sequence)
        if exposed.processes is not None:
            families += process_families(select(snapshot, exposed.processes).processes)
        exposition = EXPOSITIONS[exposed.media_type]
        body, coding = coded(exposition.encode(families), exposed.coding)
        headers = [("vary", "accept, accept-encoding"), *coding]
        return Answer.of(body, exposition.content_type, headers=headers)
