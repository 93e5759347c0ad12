from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from asgi_client import state_of
from msgspec.structs import replace
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from readings import SECOND, process, reading, snapshot
from starlette.types import Receive, Scope, Send

from cpuwatch import Monitor, Reading, ScriptedSampler
from cpuwatch.accounting.totals import no_totals
from cpuwatch.settings import Settings
from cpuwatch.web import create_app
from cpuwatch.web.endpoints.metrics import metrics
from cpuwatch.web.http.response import Answer
from cpuwatch.web.scrapes import Scraper, Scrapes
from cpuwatch.web.state import Live

TIMEOUT = 30.0
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
    "text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)


def watched(*script: Reading) -> Live:
    """Return the state of a closed monitor that has replayed the whole script."""
    monitor = Monitor(0.001, sampler=ScriptedSampler(script))
    live = Live(monitor)
    with monitor:
        if len(script) > 1:
            assert monitor.wait(after=len(script) - 2, timeout=TIMEOUT)
    return live


def second(number: int) -> Reading:
    """Return a reading of this second. One process uses a quarter of each; another exits after the first."""
    burning = process(10, cpu_ns=number * SECOND // 4, name="steady")
    brief = [process(11, cpu_ns=number * SECOND // 2, name="brief")] if number < 2 else []
    return reading(burning, *brief, at_ns=(100 + number) * SECOND)


@pytest.fixture(scope="module")
def live() -> Live:
    return watched(*map(second, range(5)))


def request(live: Live, query: str = "", method: str = "GET", **headers: str) -> httpx.Response:
    app = create_app(Settings())

    async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "state": state_of(live)}, receive, send)

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(with_state), base_url="http://localhost") as client:
            return await client.request(method, f"/metrics{query}", headers=headers)

    return asyncio.run(send())


def samples(response: httpx.Response) -> dict[tuple[str, str | None], float]:
    """Parse the response, and return its values by metric and label ``name``."""
    assert response.status_code == 200, response.text
    parse: Any = parse_openmetrics if response.headers["content-type"] == OPENMETRICS else parse_text
    found = [sample for metric in parse(response.text) for sample in metric.samples]
    return {(sample.name, sample.labels.get("name")): sample.value for sample in found}


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("*/*", TEXT),
        ("text/html,application/xhtml+xml,*/*;q=0.8", TEXT),
        ("text/plain", TEXT),
        ("application/openmetrics-text", OPENMETRICS),
        (PROMETHEUS_2, OPENMETRICS),
        (PROMETHEUS_3, OPENMETRICS),
    ],
)
def test_the_format_follows_the_accept_header(live: Live, accept: str, content_type: str) -> None:
    response = request(live, accept=accept)
    assert response.headers["content-type"] == content_type
    assert response.headers["vary"] == "accept, accept-encoding"
    assert samples(response)["cpuwatch_ticks_total", None] == 4


def test_both_formats_have_the_same_values(live: Live) -> None:
    both = samples(request(live, accept="application/openmetrics-text"))
    older = {series: value for series, value in both.items() if not series[0].endswith("_created")}
    assert samples(request(live, accept="text/plain")) == older


def test_an_unavailable_type_is_406(live: Live) -> None:
    response = request(live, accept="image/png")
    assert response.status_code == 406
    assert "application/openmetrics-text" in response.json()["detail"]


def test_the_totals_include_ticks_before_the_first_scrape(live: Live) -> None:
    found = samples(request(live))
    assert found["cpuwatch_cpu_seconds_total", "steady"] == 1.0
    assert found["cpuwatch_cpu_seconds_total", "brief"] == 0.5


def test_the_gzip_body_is_the_same(live: Live) -> None:
    plain, packed = request(live, **{"accept-encoding": "identity"}), request(live, **{"accept-encoding": "gzip, zstd"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"])
    assert packed.text == plain.text


def test_head_has_the_headers_of_get(live: Live) -> None:
    get, head = request(live), request(live, method="HEAD")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers == get.headers


def test_other_methods_are_405(live: Live) -> None:
    assert request(live, method="OPTIONS").headers["allow"] == "GET, HEAD, OPTIONS"
    assert request(live, method="POST").status_code == 405


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("?what=1", "unknown parameter 'what'"),
        ("?fields=pid", "unknown parameter 'fields'"),
        ("?group_by=name", "unknown parameter 'group_by'"),
        ("?format=json", "unknown parameter 'format'"),
        ("?per_process=maybe", "invalid per_process 'maybe': must be one of true, false"),
        ("?per_process=true&per_process=true", "per_process is repeated"),
        ("?per_process=true&top=0", "invalid top "),
        ("?per_process=true&top=1001", "invalid top "),
        ("?per_process=true&name=re:(", "invalid name pattern "),
        ("?top=5", "top selects processes: it needs per_process=true"),
        ("?per_process=false&name=a", "name selects processes: it needs per_process=true"),
    ],
)
def test_an_invalid_parameter_is_named(live: Live, query: str, detail: str) -> None:
    response = request(live, query)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert detail in response.json()["detail"]


def processes_in(response: httpx.Response) -> set[str | None]:
    return {name for metric, name in samples(response) if metric == "process_cpu_time_seconds_total"}


def test_processes_have_series_only_on_request() -> None:
    live = watched(second(0), second(1))
    assert processes_in(request(live)) == set()
    assert processes_in(request(live, "?per_process=false")) == set()
    assert processes_in(request(live, "?per_process=true")) == {"steady", "brief"}
    assert processes_in(request(live, "?per_process=true&top=1")) == {"brief"}
    assert processes_in(request(live, "?per_process=true&name=st*")) == {"steady"}


def test_at_most_a_thousand_processes_have_series() -> None:
    rows = range(1, 1101)
    live = watched(
        reading(*(process(pid, name=str(pid)) for pid in rows)),
        reading(*(process(pid, cpu_ns=1000 * pid, name=str(pid)) for pid in rows), at_ns=101 * SECOND),
    )
    assert processes_in(request(live, "?per_process=true")) == {str(pid) for pid in rows if pid > 100}


def test_before_the_first_snapshot_metrics_are_503() -> None:
    response = request(watched())
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"


def test_failures_are_counted_while_sampling_fails() -> None:
    failed = threading.Event()

    def script() -> Iterator[Reading | Exception]:
        yield second(0)
        yield second(1)
        yield OSError("no")
        # This reading was requested, so the failure before it has been counted.
        failed.set()
        yield OSError("no")

    monitor = Monitor(0.001, sampler=ScriptedSampler(script()))
    live = Live(monitor)
    with monitor:
        assert failed.wait(TIMEOUT)
    assert monitor.latest is not None
    assert monitor.latest.sampling.failed_ticks == 0
    assert samples(request(live))["cpuwatch_failed_ticks_total", None] == monitor.health.failed_ticks > 0


def test_a_response_is_made_once_for_concurrent_scrapes() -> None:
    live = watched(second(0), second(1))
    scope = {"method": "GET", "query_string": b"", "headers": [], "state": state_of(live)}

    async def ask() -> list[Answer]:
        return await asyncio.gather(*(metrics(scope) for _ in range(5)))

    first, *others = asyncio.run(ask())
    assert first.status == 200
    assert all(other is first for other in others)


def test_the_next_tick_has_a_new_response() -> None:
    asked = threading.Event()

    def script() -> Iterator[Reading]:
        yield second(0)
        yield second(1)
        assert asked.wait(TIMEOUT)
        yield second(2)

    monitor = Monitor(0.001, sampler=ScriptedSampler(script()))
    live = Live(monitor)
    with monitor:
        assert monitor.wait(after=0, timeout=TIMEOUT)
        assert samples(request(live))["cpuwatch_ticks_total", None] == 1
        asked.set()
        asyncio.run(published(live, 2))
    assert samples(request(live))["cpuwatch_ticks_total", None] == 2


async def published(live: Live, sequence: int) -> None:
    async with live.running():
        assert await live.cache.wait(after=sequence - 1, timeout=TIMEOUT)


def scraped(live: Live, user_agent: str = "Prometheus/2.42.0", query: str = "") -> dict[str | None, float]:
    """Return the CPU seconds by name that a Prometheus server gets."""
    headers = {"x-prometheus-scrape-timeout-seconds": "10", "user-agent": user_agent}
    return cpu_seconds(request(live, query, **headers))


def cpu_seconds(response: httpx.Response) -> dict[str | None, float]:
    found = samples(response)
    return {name: value for (metric, name), value in found.items() if name and metric == "cpuwatch_cpu_seconds_total"}


def test_a_new_name_is_0_at_the_next_scrape_of_each_prometheus() -> None:
    go_on = threading.Event()

    def script() -> Iterator[Reading]:
        yield second(0)
        yield second(1)
        assert go_on.wait(TIMEOUT)
        job = process(12, cpu_ns=SECOND, start_ns=(101 * SECOND), name="job")
        yield replace(second(2), processes={**second(2).processes, 12: job})

    monitor = Monitor(0.001, sampler=ScriptedSampler(script()))
    live = Live(monitor)
    with monitor:
        assert monitor.wait(after=0, timeout=TIMEOUT)
        # At the start of a run all series are new: the counters of the last run are gone.
        assert scraped(live) == {"steady": 0.0, "brief": 0.0}
        assert scraped(live) == {"steady": 0.25, "brief": 0.5}
        go_on.set()
        assert monitor.wait(after=1, timeout=TIMEOUT)
    known = {"steady": 0.5, "brief": 0.5}
    assert cpu_seconds(request(live)) == known | {"job": 1.0}
    assert scraped(live) == known | {"job": 0.0}
    # Each server, and each of its jobs, has its own first scrape.
    assert scraped(live, "Prometheus/3.5.0") == dict.fromkeys([*known, "job"], 0.0)
    assert scraped(live, query="?per_process=true") == dict.fromkeys([*known, "job"], 0.0)
    request(live, method="HEAD", **{"x-prometheus-scrape-timeout-seconds": "10", "user-agent": "vmagent"})
    assert scraped(live, "vmagent") == dict.fromkeys([*known, "job"], 0.0)
    for _ in range(2):
        assert scraped(live) == known | {"job": 1.0}
        assert scraped(live, "Prometheus/3.5.0") == known | {"job": 1.0}
        assert cpu_seconds(request(live)) == known | {"job": 1.0}


def test_an_unknown_scraper_has_all_values_except_soon_after_the_start() -> None:
    totals = no_totals(snapshot(sequence=5))
    scrapes, scraper = Scrapes(), Scraper("127.0.0.1", "Prometheus", b"")
    assert scrapes.known_sequence(scraper, totals, run_seconds=1) == 4
    assert scrapes.known_sequence(scraper, totals, run_seconds=3600) is None
    scrapes.note(scraper, replace(totals, sequence=9))
    assert scrapes.known_sequence(scraper, totals, run_seconds=1) == 9
    assert scrapes.known_sequence(scraper, totals, run_seconds=3600) == 9


def test_the_scraper_with_the_oldest_scrape_is_forgotten_first() -> None:
    totals = no_totals(snapshot(sequence=5))
    scrapes = Scrapes()
    scrapers = [Scraper(str(number), None, b"") for number in range(66)]
    for scraper in [*scrapers[:64], scrapers[0], *scrapers[64:]]:
        scrapes.note(scraper, totals)
    forgotten = [scraper for scraper in scrapers if scrapes.known_sequence(scraper, totals, 3600) is None]
    assert forgotten == scrapers[1:3]
