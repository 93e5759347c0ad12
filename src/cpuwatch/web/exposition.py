"""The metrics of ``/metrics``, and what each Prometheus server has scraped.

A Prometheus server takes the first value of a series as a start, not as an increase: what a job used before its first
scrape appears in no rate. OpenMetrics says when a counter began (``_created``), but Prometheus 2 ignores that, and 3
without the feature ``created-timestamp-zero-ingestion``. A series that began after a scraper's last scrape is therefore
0 for it first, and has its value from the next scrape on. What one scraper has seen changes nothing for another.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import ClassVar

from msgspec import Struct
from msgspec.structs import replace

from cpuwatch.accounting.totals import CpuTotals, RunningTotals
from cpuwatch.encoding.metric_families import metric_families, process_families
from cpuwatch.encoding.openmetrics import EXPOSITIONS
from cpuwatch.model import Snapshot
from cpuwatch.monitor import Health, Monitor
from cpuwatch.query.select import Query, select
from cpuwatch.web.http.response import Answer, coded
from cpuwatch.web.response_cache import ResponseCache, keep

__all__ = ["Exposed", "Expositions", "Scraper", "Scrapes"]

_MAX_SCRAPERS = 64
_NEW_RUN_SECONDS = 120.0


class Exposed(Struct, frozen=True):
    """What a request selects: which processes get series, the media type and the content coding."""

    processes: Query | None
    media_type: str
    coding: str


class Scraper(Struct, frozen=True):
    """A client that scrapes. Two that send the same from one address are one."""

    address: str | None
    user_agent: str | None
    target: bytes


class Scrapes:
    """The last snapshot whose totals each scraper has, for at most 64 of them."""

    def __init__(self) -> None:
        self._scraped: dict[Scraper, int] = {}

    def known_sequence(self, scraper: Scraper, totals: CpuTotals, run_seconds: float) -> int | None:
        """The last snapshot whose totals this scraper has; None if it is unknown.

        Soon after the start of a run, an unknown scraper is one of the run before. All series are new to it, and 0
        shows it where the counters began again.
        """
        known = self._scraped.get(scraper)
        if known is None and run_seconds < _NEW_RUN_SECONDS:
            return totals.first_sequence - 1
        return known

    def note(self, scraper: Scraper, totals: CpuTotals) -> None:
        """Remember that it has these totals. The scraper that has not come for the longest time is forgotten first."""
        self._scraped.pop(scraper, None)
        keep(self._scraped, scraper, totals.sequence, _MAX_SCRAPERS)


@dataclass(frozen=True, slots=True)
class _Exposition:
    """The metrics for a request (:class:`~cpuwatch.web.response_cache.Representation`).

    They are not made ahead: a scraper comes once in many ticks.
    """

    exposed: Exposed
    known_sequence: int | None
    sequence: int
    health: Health
    totals: CpuTotals = field(compare=False)
    is_made_ahead: ClassVar[bool] = False

    def make(self, snapshot: Snapshot) -> Answer:
        """The metrics of this snapshot."""
        # While sampling fails there is no newer snapshot, but the count of failures goes on.
        counts = {"missed_ticks": self.health.missed_ticks, "failed_ticks": self.health.failed_ticks}
        counted = replace(snapshot, sampling=replace(snapshot.sampling, **counts))
        families = metric_families(counted, self.totals, self.known_sequence)
        if self.exposed.processes is not None:
            families += process_families(select(snapshot, self.exposed.processes).processes)
        exposition = EXPOSITIONS[self.exposed.media_type]
        body, coding = coded(exposition.encode(families), self.exposed.coding)
        headers = [("vary", "accept, accept-encoding"), *coding]
        return Answer.of(body, exposition.content_type, headers=headers)


class Expositions:
    """The metrics of a monitor, which must not have been started yet: the totals include its every tick."""

    def __init__(self, monitor: Monitor, cache: ResponseCache) -> None:
        self._monitor = monitor
        self._cache = cache
        self._totals = RunningTotals()
        monitor.follow(self._totals.take)
        self._scrapes = Scrapes()
        self._started_seconds = time.monotonic()

    async def answer(self, exposed: Exposed, scraper: Scraper | None = None) -> Answer | None:
        """The response; None while there is no snapshot. Raises what :func:`~cpuwatch.select` raises.

        ``scraper`` is given for requests of a Prometheus server, which gets 0 as the first value of a new series.
        """
        totals, health = self._totals.latest, self._monitor.health
        if totals is None:
            return None
        run_seconds = time.monotonic() - self._started_seconds
        known = None if scraper is None else self._scrapes.known_sequence(scraper, totals, run_seconds)
        # Mostly nothing is new, and all scrapers get the same response.
        if known is not None and known >= totals.newest_sequence:
            known = None
        answer = await self._cache.get(_Exposition(exposed, known, totals.sequence, health, totals))
        if scraper is not None and answer is not None:
            self._scrapes.note(scraper, totals)
        return answer
