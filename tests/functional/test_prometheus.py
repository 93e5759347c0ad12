"""A real Prometheus server scrapes the real service, and its data are compared with the measurements of a process."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import ANY

import httpx
import pytest
from live_processes import puppet
from live_server import CPUWATCH_SERVE, Server, running_server
from prometheus_client.parser import text_string_to_metric_families
from prometheus_server import (
    Prometheus,
    needs_prometheus,
    running_prometheus,
    scrape_config,
    until,
    wait_for_scrapes,
)

pytestmark = [pytest.mark.any_python, pytest.mark.timeout(120), needs_prometheus]

SLOW_SCRAPE_SECONDS = 4
JOB = "nightlyjob"
DOCUMENT = Path(__file__).parents[2] / "docs" / "http-api.md"
NAME = b'e"v\\i\nl{a="b"}'
"""Within the 15 bytes of a name: everything that must be escaped, and text that looks like the end of a label."""


def address_of(server: Server) -> str:
    return server.url.removeprefix("http://")


def documented_queries() -> list[str]:
    """Return the PromQL queries of the document."""
    return re.findall(r"^```promql\n(.*?)\n```$", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def run_job(milliseconds: int) -> tuple[float, float]:
    """Run a process called JOB for this much CPU time. Returns the CPU seconds used under that name, and in total."""
    with puppet() as child:
        child.rename(JOB.encode())
        before_ns = child.clock().cpu_ns
        after_ns = child.spend(milliseconds).cpu_ns
        child.end()
        child.reap()
    return (after_ns - before_ns) / 1e9, after_ns / 1e9


def stored_increase(prometheus: Prometheus) -> float:
    """Run the documented query at the time of the newest sample, so that nothing is extrapolated."""
    (query,) = (query for query in documented_queries() if JOB in query)
    newest = prometheus.value("timestamp(cpuwatch_ticks_total)")
    return prometheus.value(query, newest) or 0.0


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server(CPUWATCH_SERVE, CPUWATCH_INTERVAL="0.2") as running:
        yield running


def test_prometheus_stores_the_cpu_time_of_a_process_with_a_hostile_name(server: Server, tmp_path: Path) -> None:
    # json.dumps escapes these characters like PromQL.
    counter = f"cpuwatch_cpu_seconds_total{{name={json.dumps(NAME.decode())}}}"
    with running_prometheus(scrape_config(address_of(server)), tmp_path) as prometheus, puppet() as child:
        target = until(prometheus.target, lambda: "no scrape")
        assert (target["health"], target["lastError"]) == ("up", "")
        child.rename(NAME)

        def stored_above(seconds: float) -> float:
            def find() -> float | None:
                value = prometheus.value(counter)
                return value if value is not None and value > seconds else None

            return until(find, lambda: f"{prometheus.value(counter)} is not above {seconds}")

        burned, kept = 0.0, 0.0
        for _ in range(2):
            before_ns = child.clock().cpu_ns
            burned += (child.spend(500).cpu_ns - before_ns) / 1e9
            # The name counts from the tick of the renaming, so CPU used just before it may be included.
            kept = stored_above(0.98 * burned)
            assert kept <= child.clock().cpu_ns / 1e9
        child.end()
        child.reap()
        ticks = prometheus.value("cpuwatch_ticks_total") or 0.0
        until(lambda: (prometheus.value("cpuwatch_ticks_total") or 0.0) > ticks + 10, lambda: "no scrape more")
        assert (prometheus.value(counter) or 0.0) >= kept
        assert prometheus.value("sum(system_cpu_utilization_ratio)") == pytest.approx(1)
        assert prometheus.target() == target | {"lastScrape": ANY, "lastScrapeDuration": ANY}


def test_the_documented_increase_includes_a_job_between_two_scrapes(server: Server, tmp_path: Path) -> None:
    with running_prometheus(scrape_config(address_of(server), SLOW_SCRAPE_SECONDS), tmp_path) as prometheus:
        wait_for_scrapes(prometheus, 2)
        by_name, in_all = run_job(1500)
        wait_for_scrapes(prometheus, 3)
        assert 0.97 * by_name <= stored_increase(prometheus) <= 1.01 * in_all
        for query in documented_queries():
            assert prometheus.results(query), query


def test_the_series_add_up_to_the_busy_time_of_the_machine(server: Server) -> None:
    def sums() -> tuple[float, float]:
        """Return the sum over all series of the CPU time by name, and the busy time."""
        text = httpx.get(f"{server.url}/metrics", headers={"accept": "text/plain"}).raise_for_status().text
        counted, busy = 0.0, 0.0
        for metric in text_string_to_metric_families(text):
            for sample in metric.samples:
                if sample.name == "cpuwatch_cpu_seconds_total":
                    counted += sample.value
                elif sample.name == "cpuwatch_excess_cpu_seconds_total":
                    counted -= sample.value
                elif sample.name == "system_cpu_time_seconds_total":
                    busy += sample.value if sample.labels["cpu_mode"] not in {"idle", "iowait"} else 0.0
        return counted, busy

    counted_before, busy_before = sums()
    run_job(1500)
    counted, busy = sums()
    assert busy - busy_before > 1.2
    assert counted - counted_before == pytest.approx(busy - busy_before, abs=0.1 * (os.cpu_count() or 1))


def test_a_restart_neither_loses_nor_repeats_cpu_time(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = (*CPUWATCH_SERVE[:-1], address)
    # The counter is higher after the restart than before, so its values do not show the reset.
    used = []
    with running_prometheus(scrape_config(address), tmp_path) as prometheus:
        for milliseconds in (300, 900):
            with running_server(command, CPUWATCH_INTERVAL="0.2"):
                wait_for_scrapes(prometheus, 2)
                used.append(run_job(milliseconds))
                wait_for_scrapes(prometheus, 3)
                increase = stored_increase(prometheus)
    by_name, in_all = map(sum, zip(*used, strict=True))
    # The kernel counts children's time in ticks, separately for each run.
    assert 0.97 * by_name <= increase <= 1.01 * in_all + len(used) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("query", ["", "?per_process=true"])
def test_promtool_reports_no_problems(server: Server, query: str) -> None:
    metrics = httpx.get(f"{server.url}/metrics{query}", headers={"accept": "text/plain"}).raise_for_status()
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=metrics.text, capture_output=True, text=True, check=False, timeout=60
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
