"""What each Prometheus server has scraped, so that a new counter begins at 0 for it.

A Prometheus server takes the first value of a series as a start, not as an increase: what a job used before its first
scrape appears in no rate. OpenMetrics says when a counter began (``_created``), but Prometheus 2 ignores that, and 3
without the feature ``created-timestamp-zero-ingestion``. A series that began after a scraper's last scrape is therefore
0 for it first, and has its value from the next scrape on. What one scraper has seen changes nothing for another.
"""

from __future__ import annotations

from msgspec import Struct

from cpuwatch.accounting.totals import CpuTotals
from cpuwatch.web.response_cache import keep

__all__ = ["Scraper", "Scrapes"]

_MAX_SCRAPERS = 64
_NEW_RUN_SECONDS = 120.0


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
