"""Runs a real Prometheus or VictoriaMetrics in a separate process, and asks it with PromQL."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
import pytest

TIMEOUT_SECONDS = 60
SCRAPE_SECONDS = 1

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None,
    reason="needs the binaries prometheus and promtool (Debian's package prometheus)",
)
needs_victoria_metrics = pytest.mark.skipif(
    shutil.which("victoria-metrics") is None,
    reason="needs the binary victoria-metrics (Debian's package victoria-metrics)",
)

_Found = TypeVar("_Found")


class Prometheus:
    """A client of the HTTP API of Prometheus."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(base_url=url, timeout=10)

    def is_ready(self) -> bool:
        return self._client.get("/-/ready").is_success

    def target(self) -> dict[str, Any] | None:
        """Return the state of its only target, or None before the first scrape."""
        targets = self._client.get("/api/v1/targets").raise_for_status().json()["data"]["activeTargets"]
        return next((target for target in targets if target["health"] != "unknown"), None)

    def last_scrape(self) -> str | None:
        """Return the time of the last scrape, or None before the first."""
        target = self.target()
        return None if target is None else str(target["lastScrape"])

    def value(self, query: str, at: float | None = None) -> float | None:
        """Return the only value of a query, now or at this time. None if there is no result."""
        results = self.results(query, at)
        assert len(results) <= 1, results
        return float(results[0]["value"][1]) if results else None

    def results(self, query: str, at: float | None = None) -> list[dict[str, Any]]:
        """Return all results of a query."""
        parameters = {"query": query} if at is None else {"query": query, "time": str(at)}
        answer = self._client.get("/api/v1/query", params=parameters).raise_for_status().json()
        results: list[dict[str, Any]] = answer["data"]["result"]
        return results

    def close(self) -> None:
        self._client.close()


def scrape_config(target: str, scrape_seconds: int = SCRAPE_SECONDS) -> str:
    """Return a configuration that scrapes this address."""
    interval = f"{scrape_seconds}s"
    job = {"job_name": "cpuwatch", "static_configs": [{"targets": [target]}]}
    # JSON is YAML.
    return json.dumps({"global": {"scrape_interval": interval, "scrape_timeout": interval}, "scrape_configs": [job]})


@contextmanager
def running_prometheus(config: str, folder: Path) -> Iterator[Prometheus]:
    """Run Prometheus with this configuration. It stores data in the folder, and listens on a free port."""
    path = folder / "prometheus.yml"
    path.write_text(config)
    command = [
        "prometheus",
        f"--config.file={path}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:0",
    ]
    with running_store(command, folder) as prometheus:
        yield prometheus


@contextmanager
def running_victoria_metrics(config: str, folder: Path) -> Iterator[Prometheus]:
    """Run VictoriaMetrics with this configuration of Prometheus. It answers the same queries."""
    path = folder / "prometheus.yml"
    path.write_text(config)
    command = [
        "victoria-metrics",
        f"-promscrape.config={path}",
        f"-storageDataPath={folder / 'data'}",
        "-httpListenAddr=127.0.0.1:0",
        # Queries see the newest samples.
        "-search.latencyOffset=0s",
        "-search.disableCache",
    ]
    with running_store(command, folder) as victoria_metrics:
        yield victoria_metrics


@contextmanager
def running_store(command: list[str], folder: Path) -> Iterator[Prometheus]:
    """Run a program that answers PromQL on a free port."""
    log = folder / "log"
    with log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output, cwd=folder) as process:
        try:
            port = until(lambda: _listening_port(process), log.read_text)
            client = Prometheus(f"http://127.0.0.1:{port}")
            yield client
            client.close()
        finally:
            process.terminate()
            process.wait()


def _listening_port(process: subprocess.Popen[bytes]) -> int | None:
    # VictoriaMetrics does not tell which port the kernel chose.
    sockets = psutil.Process(process.pid).net_connections("tcp")
    return next((found.laddr.port for found in sockets if found.status == psutil.CONN_LISTEN), None)


def until(find: Callable[[], _Found | None], explain: Callable[[], object]) -> _Found:
    """Call ``find`` until it returns a true value, and return that."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not (found := find()):
        assert time.monotonic() < deadline, explain()
        time.sleep(0.1)
    return found


def wait_for_scrapes(prometheus: Prometheus, scrapes: int) -> None:
    """Wait for this many more scrapes."""
    seen = {prometheus.last_scrape(), None}
    wanted = len(seen) + scrapes

    def enough() -> bool:
        seen.add(prometheus.last_scrape())
        return len(seen) >= wanted

    until(enough, lambda: f"no scrape after {seen}")
