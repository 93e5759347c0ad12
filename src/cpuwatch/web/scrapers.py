"""What each Prometheus has scraped, so that the first sample of a new counter can be 0 for it.

A Prometheus takes the first value of a series as a start, not as an increase: what a job used before its first scrape
is in no rate. OpenMetrics says when a counter began (``_created``), but Prometheus 2 ignores that, and 3 without the
feature ``created-timestamp-zero-ingestion``. So a series that began since a scraper's last scrape is shown to it as 0
first, and with its value from the next scrape on. What one scraper has had changes nothing for another.
"""

from __future__ import annotations

from msgspec import Struct

from cpuwatch.accounting.totals import CpuTotals
from cpuwatch.web.bounded import keep

__all__ = ["Scraper", "Scrapes"]

_MAX_SCRAPERS = 64
_NEW_RUN_SECONDS = 120.0


class Scraper(Struct, frozen=True):
    """A client that scrapes, as far as requests tell: two that send the same from one address are one."""

    address: str | None
    user_agent: str | None
    target: bytes


class Scrapes:
    """The last snapshot whose totals each scraper has had, for at most 64 of them."""

    def __init__(self) -> None:
        self._had: dict[Scraper, int] = {}

    def known_sequence(self, scraper: Scraper, totals: CpuTotals, run_seconds: float) -> int | None:
        """The last snapshot of which this scraper has the totals; None if it is unknown.

        Soon after the start of a run an unknown scraper is one of the run before: all series are new to it then, and
        0 shows it where the counters began again.
        """
        known = self._had.get(scraper)
        if known is None and run_seconds < _NEW_RUN_SECONDS:
            return totals.first_sequence - 1
        return known

    def note(self, scraper: Scraper, totals: CpuTotals) -> None:
        """Remember that it has these totals. The scraper that came last of all longest ago is forgotten first."""
        self._had.pop(scraper, None)
        keep(self._had, scraper, totals.sequence, _MAX_SCRAPERS)
