"""Real stores of metrics on free ports of this machine, which receive what cpuwatch pushes."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import httpx

__all__ = ["Store", "prometheus_store", "victoria_metrics_receives_otlp", "victoria_metrics_store"]

_PATIENCE_SECONDS = 60
_Found = TypeVar("_Found")


class Store:
    """A store, and the flags with which cpuwatch pushes to it. It answers PromQL.

    ``instance`` is its label for ``service.instance.id``; ``INSTANCE`` stands for it in queries.
    """

    def __init__(self, url: str, *flags: str, instance: str = "instance") -> None:
        self.flags = flags
        self._instance = instance
        self._client = httpx.Client(base_url=url, timeout=10)

    def value(self, query: str) -> float:
        """Return the value of a query at the time of the newest sample, so that nothing is extrapolated; 0 without."""
        newest = self._value("max(timestamp(cpuwatch_ticks_total))", None)
        return 0.0 if newest is None else self._value(query, newest) or 0.0

    def wait_for(self, query: str, least: float) -> None:
        """Wait until the value of the query is at least this."""
        until(lambda: self.value(query) >= least, lambda: f"{query} is {self.value(query)}, expected {least}")

    def count(self, query: str) -> int:
        return round(self._value(f"count({query})", None) or 0)

    def is_ready(self) -> bool:
        try:
            return self._client.get("/-/ready").is_success
        except httpx.TransportError:
            return False

    def close(self) -> None:
        self._client.close()

    def _value(self, query: str, at: float | None) -> float | None:
        query = query.replace("INSTANCE", self._instance)
        parameters = {"query": query} if at is None else {"query": query, "time": repr(at)}
        answer = self._client.get("/api/v1/query", params=parameters).raise_for_status().json()
        results = answer["data"]["result"]
        assert len(results) <= 1, results
        return float(results[0]["value"][1]) if results else None


def until(find: Callable[[], _Found], explain: Callable[[], object]) -> _Found:
    """Call ``find`` until it returns a true value, and return that."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not (found := find()):
        assert time.monotonic() < deadline, explain()
        time.sleep(0.1)
    return found


def victoria_metrics_receives_otlp() -> bool:
    """Whether VictoriaMetrics is installed, in a version that receives OTLP and names its metrics like Prometheus."""
    if shutil.which("victoria-metrics") is None:
        return False
    told = subprocess.run(["victoria-metrics", "-help"], capture_output=True, text=True, check=False, timeout=60)
    return "opentelemetry.usePrometheusNaming" in told.stdout + told.stderr


@contextmanager
def prometheus_store(folder: Path) -> Iterator[Store]:
    """Run Prometheus; cpuwatch pushes remote write to it."""
    config = folder / "prometheus.yml"
    config.write_text("{}")
    address = _free_address()
    command = [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--web.enable-remote-write-receiver",
    ]
    with _running(command, Store(f"http://{address}", "--remote-write-url", f"http://{address}/api/v1/write")) as store:
        yield store


@contextmanager
def victoria_metrics_store(folder: Path) -> Iterator[Store]:
    """Run VictoriaMetrics; cpuwatch pushes OTLP to it."""
    address = _free_address()
    command = [
        "victoria-metrics",
        f"-storageDataPath={folder / 'data'}",
        f"-httpListenAddr={address}",
        "-opentelemetry.usePrometheusNaming",
        # Queries see the newest samples.
        "-search.latencyOffset=0s",
    ]
    flags = "--otlp-endpoint", f"http://{address}/opentelemetry"
    with _running(command, Store(f"http://{address}", *flags, instance="service_instance_id")) as store:
        yield store


@contextmanager
def _running(command: list[str], store: Store) -> Iterator[Store]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until(store.is_ready, lambda: f"{command[0]} does not start, exit code {process.poll()}")
            yield store
        finally:
            store.close()
            process.terminate()
            process.wait()


def _free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"127.0.0.1:{free.getsockname()[1]}"
