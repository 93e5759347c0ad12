"""Remembers what each Prometheus server has scraped, so that new counters start at 0 for it.

A Prometheus server takes the first value of a series as a start, not as an increase: CPU time before the first scrape
appears in no rate. OpenMetrics says when a counter began (``_created``), but Prometheus 2 ignores that, and 3
without the feature ``created-timestamp-zero-ingestion``. A series that began after a scraper's last scrape is therefore
0 for it first, and has its value from the next scrape on. Scrapers do not affect each other.
"""

from __future__ import annotations

from msgspec import Struct

from cpuwatch.accounting.totals import CpuTotals
from cpuwatch.web.response_cache import keep

__all__ = ["Scraper", "Scrapes"]

_MAX_SCRAPERS = 64
_NEW_RUN_SECONDS = 120.0


class Scraper(Struct, frozen=True):
    """A client that scrapes. Two clients that send the same headers from one address count as one."""

    address: str | None
    user_agent: str | None
    target: bytes


class Scrapes:
    """The last snapshot whose totals each scraper has, for at most 64 of them."""

    def __init__(self) -> None:
        self._scraped: dict[Scraper, int] = {}

    def known_sequence(self, scraper: Scraper, totals: CpuTotals, run_seconds: float) -> int | None:
        """The last snapshot whose totals this scraper has; None if it is unknown.

        Soon after the start of a run, an unknown scraper is assumed to be one of the last run. All series are new to
        it, and the value 0 shows that the counters were reset.
        """
        known = self._scraped.get(scraper)
        if known is None and run_seconds < _NEW_RUN_SECONDS:
            return totals.first_sequence - 1
        return known

    def note(self, scraper: Scraper, totals: CpuTotals) -> None:
        """Remember that it has these totals. The scraper with the oldest scrape is forgotten first."""
        self._scraped.pop(scraper, None)
        keep(self._scraped, scraper, totals.sequence, _MAX_SCRAPERS)
