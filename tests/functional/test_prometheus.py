"""A real Prometheus scrapes the real server, and what it stored is compared with what a process did."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import ANY

import httpx
import pytest
from live_processes import puppet
from live_server import CPUWATCH_SERVE, Server, running_server

pytestmark = [
    pytest.mark.any_python,
    pytest.mark.timeout(120),
    pytest.mark.skipif(
        shutil.which("prometheus") is None or shutil.which("promtool") is None,
        reason="needs the binaries prometheus and promtool (Debian's package prometheus)",
    ),
]

PATIENCE_SECONDS = 60
SCRAPE_SECONDS = 1
NAME = b'e"v\\i\nl{a="b"}'
"""Of the 15 bytes that the kernel keeps: all that has to be escaped, and what looks like the end of a label."""

_LISTENING = re.compile(r'msg="Listening on" address=(127\.0\.0\.1:[0-9]+)')
_Found = TypeVar("_Found")


class Prometheus:
    """A Prometheus that runs, asked over its HTTP API."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=10)

    def target(self) -> dict[str, Any] | None:
        """What it thinks of its one target, once it has scraped it."""
        targets = self._client.get("/api/v1/targets").raise_for_status().json()["data"]["activeTargets"]
        return next((target for target in targets if target["health"] != "unknown"), None)

    def value(self, query: str) -> float | None:
        """The one value that this finds now; None as long as it finds nothing."""
        answer = self._client.get("/api/v1/query", params={"query": query}).raise_for_status().json()
        results = answer["data"]["result"]
        assert len(results) <= 1, results
        return float(results[0]["value"][1]) if results else None

    def close(self) -> None:
        self._client.close()


@contextmanager
def running_prometheus(target: str, folder: Path) -> Iterator[Prometheus]:
    """It scrapes this address, keeps all it has in the folder, and listens on a port that the kernel chooses."""
    config = folder / "prometheus.json"  # JSON is YAML.
    job = {"job_name": "cpuwatch", "static_configs": [{"targets": [target]}]}
    interval = f"{SCRAPE_SECONDS}s"
    config.write_text(
        json.dumps(
            {"global": {"scrape_interval": interval, "scrape_timeout": interval}, "scrape_configs": [job]},
        )
    )
    command = [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:0",
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=folder) as process:
        log: list[str] = []
        reader = threading.Thread(target=lambda: log.extend(process.stderr or ()), daemon=True)
        reader.start()
        try:
            found = until(lambda: _LISTENING.search("".join(log)), lambda: "".join(log))
            prometheus = Prometheus(f"http://{found[1]}")
            yield prometheus
            prometheus.close()
        finally:
            process.terminate()
            process.wait()
            reader.join()


def until(look: Callable[[], _Found | None], explain: Callable[[], object]) -> _Found:
    """What it finds, as soon as it finds something."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline, explain()
        time.sleep(0.1)
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server(CPUWATCH_SERVE, CPUWATCH_INTERVAL="0.2") as running:
        yield running


def test_prometheus_scrapes_it_and_a_counter_of_a_hostile_name_grows_as_its_process_burns(
    server: Server, tmp_path: Path
) -> None:
    # json.dumps escapes as PromQL does for these characters.
    counter = f"cpuwatch_cpu_seconds_total{{name={json.dumps(NAME.decode())}}}"
    with running_prometheus(server.url.removeprefix("http://"), tmp_path) as prometheus, puppet() as child:
        target = until(prometheus.target, lambda: "no scrape")
        assert (target["health"], target["lastError"]) == ("up", "")
        child.rename(NAME)

        def stored_above(seconds: float) -> float:
            def look() -> float | None:
                value = prometheus.value(counter)
                return value if value is not None and value > seconds else None

            return until(look, lambda: f"{prometheus.value(counter)} is not above {seconds}")

        burned, kept = 0.0, 0.0
        for _ in range(2):
            before_ns = child.clock().cpu_ns
            burned += (child.spend(500).cpu_ns - before_ns) / 1e9
            # The name counts from the tick in which it was taken, so what came right before may be in it.
            kept = stored_above(0.98 * burned)
            assert kept <= child.clock().cpu_ns / 1e9
        child.end()
        child.reap()
        ticks = prometheus.value("cpuwatch_ticks_total") or 0.0
        until(lambda: (prometheus.value("cpuwatch_ticks_total") or 0.0) > ticks + 10, lambda: "no scrape more")
        assert (prometheus.value(counter) or 0.0) >= kept
        assert prometheus.value("sum(system_cpu_utilization_ratio)") == pytest.approx(1)
        assert prometheus.target() == target | {"lastScrape": ANY, "lastScrapeDuration": ANY}


@pytest.mark.parametrize("query", ["", "?per_process=true"])
def test_promtool_finds_nothing_to_complain_about(server: Server, query: str) -> None:
    metrics = httpx.get(f"{server.url}/metrics{query}", headers={"accept": "text/plain"}).raise_for_status()
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=metrics.text, capture_output=True, text=True, check=False, timeout=60
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
