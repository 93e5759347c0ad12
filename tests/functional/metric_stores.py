"""Real stores of metrics on free ports of this machine, which receive what cpuwatch pushes."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_server import Prometheus, running_store, until

__all__ = ["Store", "prometheus_store", "victoria_metrics_receives_otlp", "victoria_metrics_store"]


class Store:
    """A store, and the flags with which cpuwatch pushes to it. It answers PromQL.

    ``instance`` is its label for ``service.instance.id``; ``INSTANCE`` stands for it in queries.
    """

    def __init__(self, prometheus: Prometheus, flag: str, path: str, instance: str = "instance") -> None:
        self.flags = flag, prometheus.url + path
        self._prometheus = prometheus
        self._instance = instance

    def value(self, query: str) -> float:
        """Return the value of a query at the time of the newest sample, so that nothing is extrapolated; 0 without."""
        newest = self._value("max(timestamp(cpuwatch_ticks_total))", None)
        return 0.0 if newest is None else self._value(query, newest) or 0.0

    def wait_for(self, query: str, least: float) -> None:
        """Wait until the value of the query is at least this."""
        until(lambda: self.value(query) >= least, lambda: f"{query} is {self.value(query)}, expected {least}")

    def count(self, query: str) -> int:
        return round(self._value(f"count({query})", None) or 0)

    def _value(self, query: str, at: float | None) -> float | None:
        return self._prometheus.value(query.replace("INSTANCE", self._instance), at)


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
    command = [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:0",
        "--web.enable-remote-write-receiver",
    ]
    with running_store(command, folder) as prometheus:
        until(prometheus.is_ready, lambda: "Prometheus does not become ready")
        yield Store(prometheus, "--remote-write-url", "/api/v1/write")


@contextmanager
def victoria_metrics_store(folder: Path) -> Iterator[Store]:
    """Run VictoriaMetrics; cpuwatch pushes OTLP to it."""
    command = [
        "victoria-metrics",
        f"-storageDataPath={folder / 'data'}",
        "-httpListenAddr=127.0.0.1:0",
        "-opentelemetry.usePrometheusNaming",
        # Queries see the newest samples.
        "-search.latencyOffset=0s",
    ]
    with running_store(command, folder) as victoria_metrics:
        yield Store(victoria_metrics, "--otlp-endpoint", "/opentelemetry", instance="service_instance_id")
