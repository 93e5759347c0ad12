"""``/metrics``: the machine, the totals by name and the sampling, for Prometheus and what speaks like it."""

from __future__ import annotations

from starlette.types import Scope

from cpuwatch.encoding.openmetrics import EXPOSITIONS
from cpuwatch.errors import NotAcceptableError
from cpuwatch.query.parameters import METRICS, exposed_processes
from cpuwatch.text import shortened
from cpuwatch.web.exposition import Exposed, Scraper
from cpuwatch.web.http.negotiation import choose_coding, choose_media_type
from cpuwatch.web.http.request import header, header_text, parse_query_string
from cpuwatch.web.http.response import Answer, no_snapshot_yet
from cpuwatch.web.openapi.operation import TEXT, Operation
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


async def metrics(scope: Scope) -> Answer:
    """The metrics of the newest snapshot, with the totals up to it."""
    return await live(scope).expositions.answer(_asked(scope), _scraper(scope)) or no_snapshot_yet()


def _scraper(scope: Scope) -> Scraper | None:
    """The Prometheus that scrapes, if it is one; others get all values as they are, each time."""
    if scope["method"] != "GET" or header(scope, _SCRAPE_HEADER) is None:
        return None
    client = scope.get("client")
    user_agent = header_text(scope, b"user-agent")
    return Scraper(client and client[0], user_agent and shortened(user_agent), scope["query_string"])


def _asked(scope: Scope) -> Exposed:
    values = parse_query_string(scope["query_string"], METRICS)
    media_type = choose_media_type(header_text(scope, b"accept"), list(EXPOSITIONS))
    if media_type is None:
        raise NotAcceptableError(f"there are {', '.join(EXPOSITIONS)}")
    # What scrapes takes gzip; more codings would be code that nothing asks for.
    coding = choose_coding(header_text(scope, b"accept-encoding"), ["gzip"])
    return Exposed(exposed_processes(values), media_type, coding)
