"""``/metrics``: the machine, the totals by name and the sampling, for Prometheus and compatible scrapers."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import ClassVar

from msgspec.structs import replace
from starlette.types import Scope

from cpuwatch.accounting.totals import CpuTotals
from cpuwatch.encoding.metric_families import metric_families, process_families, recording_families
from cpuwatch.encoding.openmetrics import EXPOSITIONS
from cpuwatch.encoding.unit_families import unit_families
from cpuwatch.model import Snapshot
from cpuwatch.query.parameters import METRICS, exposed_processes, parse_query_string
from cpuwatch.query.select import Query, select
from cpuwatch.query.unit_totals import UnitTotals
from cpuwatch.recording.recorder import RecorderHealth
from cpuwatch.snapshot_source import Health
from cpuwatch.text import shortened
from cpuwatch.web.http.negotiation import accepted, choose_coding
from cpuwatch.web.http.request import header_text, headers
from cpuwatch.web.http.response import Answer, coded, no_snapshot_yet
from cpuwatch.web.openapi.operation import TEXT, Operation
from cpuwatch.web.scrapes import Scraper
from cpuwatch.web.state import live

__all__ = ["EXPOSED", "metrics"]

_SCRAPE_HEADER = b"x-prometheus-scrape-timeout-seconds"
"""Sent by Prometheus, and by agents that scrape as it does, with every scrape."""

EXPOSED = Operation(
    path="/metrics",
    name="metrics",
    summary="The machine, totals by name, and the sampling itself, in the OpenMetrics and Prometheus text formats. "
    "sort, order, top and the filters require per_process=true.",
    content=dict.fromkeys(EXPOSITIONS, TEXT),
    headers=("Vary", "Content-Encoding"),
    problems=(406, 503),
    query=METRICS,
    request_headers=("Accept-Encoding", "X-Prometheus-Scrape-Timeout-Seconds"),
)


@dataclass(frozen=True, slots=True)
class _Exposition:
    """The metrics for a request (:class:`~cpuwatch.web.response_cache.Representation`).

    They are not made in advance, because scrapes are many ticks apart.
    """

    processes: Query | None
    media_type: str
    coding: str
    known_sequence: int | None
    health: Health
    recording: RecorderHealth | None
    totals_sequence: int
    totals: CpuTotals = field(compare=False)
    unit_totals: UnitTotals = field(compare=False)
    is_made_ahead: ClassVar[bool] = False

    def make(self, snapshot: Snapshot) -> Answer:
        """The metrics of this snapshot."""
        # While sampling fails there is no newer snapshot, but failures are still counted.
        counts = {"missed_ticks": self.health.missed_ticks, "failed_ticks": self.health.failed_ticks}
        counted = replace(snapshot, sampling=replace(snapshot.sampling, **counts))
        families = metric_families(counted, self.totals, self.known_sequence)
        families += unit_families(snapshot, self.unit_totals, self.known_sequence)
        if self.processes is not None:
            families += process_families(select(snapshot, self.processes).processes)
        if (recording := self.recording) is not None:
            families += recording_families(
                recording.recorded_ticks,
                recording.lost_ticks,
                recording.used_bytes,
                is_failing=recording.failure is not None,
            )
        exposition = EXPOSITIONS[self.media_type]
        body, coding = coded(exposition.encode(families), self.coding)
        return Answer.of(body, exposition.content_type, headers=[("vary", "accept, accept-encoding"), *coding])


async def metrics(scope: Scope) -> Answer:
    """The metrics of the newest snapshot, with the totals up to it."""
    processes = exposed_processes(parse_query_string(scope["query_string"], METRICS))
    media_type = accepted(header_text(scope, b"accept"), list(EXPOSITIONS))
    # Scrapers accept gzip; no other coding is needed.
    coding = choose_coding(header_text(scope, b"accept-encoding"), ["gzip"])
    state, scraper = live(scope), _scraper(scope)
    # In this order: a unit whose series is newer than what is noted below is 0 once more, which loses nothing.
    totals, unit_totals = state.totals.latest, state.unit_totals.latest
    run_seconds = time.monotonic() - state.begin_seconds
    if totals is None or unit_totals is None:
        return no_snapshot_yet()
    known = None if scraper is None else state.scrapes.known_sequence(scraper, totals, run_seconds)
    # Usually nothing is new, and all scrapers get the same response.
    if known is not None and known >= max(totals.newest_sequence, unit_totals.newest_sequence):
        known = None
    health, recording = state.source.health, None if state.recorder is None else state.recorder.health
    exposition = _Exposition(
        processes, media_type, coding, known, health, recording, totals.sequence, totals, unit_totals
    )
    answer = await state.cache.get(exposition)
    if scraper is not None and answer is not None:
        state.scrapes.note(scraper, totals)
    return answer or no_snapshot_yet()


def _scraper(scope: Scope) -> Scraper | None:
    """The Prometheus server that scrapes; None for other clients, which always get the real values."""
    if scope["method"] != "GET" or _SCRAPE_HEADER not in headers(scope):
        return None
    client = scope.get("client")
    user_agent = header_text(scope, b"user-agent")
    return Scraper(client and client[0], user_agent and shortened(user_agent), scope["query_string"])
