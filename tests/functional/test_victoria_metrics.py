"""A real VictoriaMetrics scrapes the real service."""

from __future__ import annotations

from pathlib import Path

import pytest
from live_processes import puppet
from live_server import CPUWATCH_SERVE, running_server
from prometheus_server import needs_victoria_metrics, running_victoria_metrics, scrape_config, until, wait_for_scrapes

pytestmark = [pytest.mark.any_python, pytest.mark.timeout(120), needs_victoria_metrics]

JOB = "briefjob"
SCRAPE_SECONDS = 3


def test_the_increase_includes_a_job_between_two_scrapes(tmp_path: Path) -> None:
    with running_server(CPUWATCH_SERVE, CPUWATCH_INTERVAL="0.2") as server:
        config = scrape_config(server.url.removeprefix("http://"), SCRAPE_SECONDS)
        with running_victoria_metrics(config, tmp_path) as victoria_metrics:
            until(victoria_metrics.target, lambda: "no scrape")
            wait_for_scrapes(victoria_metrics, 2)
            with puppet() as child:
                child.rename(JOB.encode())
                before_ns = child.clock().cpu_ns
                after_ns = child.spend(1500).cpu_ns
                child.end()
                child.reap()
            wait_for_scrapes(victoria_metrics, 3)
            query = f'sum(increase(cpuwatch_cpu_seconds_total{{name="{JOB}"}}[5m]))'
            stored = until(lambda: victoria_metrics.value(query), lambda: victoria_metrics.results(query))
            assert 0.97 * (after_ns - before_ns) / 1e9 <= stored <= 1.01 * after_ns / 1e9
            target = victoria_metrics.target()
            assert target is not None
            assert (target["health"], target["lastError"]) == ("up", "")
