"""The files of deploy/ for Prometheus and Grafana, and a real Prometheus that scrapes the real service under a load."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from live_processes import puppet
from live_server import CPUWATCH_SERVE, running_server
from prometheus_server import Prometheus, needs_prometheus, running_prometheus, until

pytestmark = [pytest.mark.any_python, pytest.mark.timeout(180), needs_prometheus]

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "cpuwatch.rules.yml"
DASHBOARD = json.loads((DEPLOY / "grafana" / "cpuwatch.json").read_text(encoding="utf-8"))
QUERIES = [
    pytest.param(panel, target["expr"], id=f"{panel['title']}, {target['refId']}")
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
]
LOAD = "dashboardload"
LOAD_SECONDS = 6.0
WINDOW_SECONDS = 60


def promtool(*arguments: str, folder: Path) -> str:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False, timeout=60, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_accepts_the_rules() -> None:
    assert "SUCCESS" in promtool("check", "rules", RULES.name, folder=RULES.parent)


@pytest.mark.skipif(shutil.which("vmalert") is None, reason="needs vmalert (Debian's package victoria-metrics)")
def test_vmalert_accepts_the_rules() -> None:
    done = subprocess.run(
        ["vmalert", "-dryRun", f"-rule={RULES}"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_each_alert_has_a_test_and_passes_it() -> None:
    assert "SUCCESS" in promtool("test", "rules", "cpuwatch.rules.test.yml", folder=RULES.parent)
    tests = (RULES.parent / "cpuwatch.rules.test.yml").read_text(encoding="utf-8")
    alerts = set(re.findall(r"- alert: (\w+)", RULES.read_text(encoding="utf-8")))
    assert alerts == set(re.findall(r"alertname: (\w+)", tests))


def test_promtool_accepts_the_scrape_configuration(tmp_path: Path) -> None:
    for path in RULES.parent.iterdir():
        shutil.copy(path, tmp_path)
    (tmp_path / "cpuwatch.token").write_text("0123456789abcdef")
    assert "SUCCESS" in promtool("check", "config", "prometheus.yml", folder=tmp_path)


@dataclass(frozen=True)
class Scraped:
    """A Prometheus that has scraped a service under a load, and the CPU seconds of that load."""

    prometheus: Prometheus
    instance: str
    load_seconds: float
    at: float

    def results(self, query: str) -> list[dict[str, Any]]:
        """Return the results of a query of the dashboard, or of the rules."""
        values = {
            "$instance": self.instance,
            "$top": "10",
            "$__rate_interval": f"{WINDOW_SECONDS}s",
            "$__range": f"{WINDOW_SECONDS}s",
        }
        for name, value in values.items():
            query = query.replace(name, value)
        assert "$" not in query
        return self.prometheus.results(query, self.at)


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    folder = tmp_path_factory.mktemp("prometheus")
    shutil.copy(RULES, folder)
    token = folder / "cpuwatch.token"
    token.write_text("0123456789abcdef")
    token.chmod(0o600)
    with running_server((*CPUWATCH_SERVE, "--token-file", str(token)), CPUWATCH_INTERVAL="0.5") as server:
        address = server.url.removeprefix("http://")
        config = (RULES.parent / "prometheus.yml").read_text(encoding="utf-8")
        for value, ours in {"localhost:8845": address, "15s": "1s"}.items():
            assert value in config
            config = config.replace(value, ours)
        with running_prometheus(config, folder) as prometheus:
            until(prometheus.target, lambda: "no scrape")
            with puppet() as child:
                child.rename(LOAD.encode())
                begin_ns = child.clock().cpu_ns
                for _ in range(int(LOAD_SECONDS * 2)):
                    end_ns = child.spend(500).cpu_ns
                child.end()
                child.reap()
            used = (end_ns - begin_ns) / 1e9
            counter = f'cpuwatch_cpu_seconds_total{{name="{LOAD}"}}'
            until(lambda: (prometheus.value(counter) or 0.0) >= 0.98 * used, lambda: prometheus.results(counter))
            recorded = f'cpuwatch:name_cpus:rate5m{{name="{LOAD}"}}'
            until(lambda: prometheus.value(recorded), lambda: prometheus.results(recorded))
            at = prometheus.value("timestamp(cpuwatch_ticks_total)") or 0.0
            yield Scraped(prometheus, address, used, at)


def test_the_dashboard_refers_to_its_own_variables_only() -> None:
    known = {variable["name"] for variable in DASHBOARD["templating"]["list"]} | {"__rate_interval", "__range"}
    assert set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD))) <= known


def test_the_panels_do_not_overlap() -> None:
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in DASHBOARD["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) == 23


@pytest.mark.parametrize(("panel", "query"), QUERIES)
def test_each_query_of_the_dashboard_returns_plausible_values(
    panel: dict[str, Any], query: str, scraped: Scraped
) -> None:
    results = scraped.results(query)
    assert results
    values = [float(result["value"][1]) for result in results]
    assert all(math.isfinite(value) and value >= -1e-9 for value in values)
    if panel["fieldConfig"]["defaults"]["unit"] == "percentunit":
        # The counters and the clock of the scrapes differ by a tick.
        assert max(values) <= 1.1


def test_a_host_has_less_than_a_hundred_series_beside_those_of_its_cpus_and_units(scraped: Scraped) -> None:
    series = scraped.results('count({__name__=~"(cpuwatch|system|process)_.*", __name__!~"cpuwatch_unit_.*"})')
    per_cpu = scraped.results("count(cpuwatch_logical_cpu_utilization_ratio)")
    assert int(series[0]["value"][1]) - int(per_cpu[0]["value"][1]) < 100


def test_units_have_at_most_six_series_each(scraped: Scraped) -> None:
    (series,) = scraped.results('count({__name__=~"cpuwatch_unit_.*"})')
    (units,) = scraped.results('count(cpuwatch_unit_cpu_seconds_total{kind="named"})')
    assert 1 <= int(units["value"][1]) <= 25
    # Three counters also have the kinds other and retired.
    assert int(series["value"][1]) <= 6 * int(units["value"][1]) + 6


def cpus_of(results: list[dict[str, Any]]) -> dict[str, float]:
    return {result["metric"].get("name", ""): float(result["value"][1]) for result in results}


def test_the_load_is_the_busiest_process_unless_another_one_used_more(scraped: Scraped) -> None:
    (busiest,) = (panel for panel in DASHBOARD["panels"] if panel["title"] == "Busiest process")
    ((name, cpus),) = cpus_of(scraped.results(busiest["targets"][0]["expr"])).items()
    (by_name,) = (panel for panel in DASHBOARD["panels"] if panel["title"] == "CPUs by process name")
    load_cpus = cpus_of(scraped.results(by_name["targets"][0]["expr"]))[LOAD]
    assert name == LOAD or cpus > load_cpus


def test_the_cpu_time_of_the_load_is_right(scraped: Scraped) -> None:
    (table,) = (panel for panel in DASHBOARD["panels"] if panel["title"] == "CPU time in the shown range")
    # increase() extrapolates to the window, so the growth is compared.
    assert cpus_of(scraped.results(table["targets"][0]["expr"]))[LOAD] >= 0.97 * scraped.load_seconds
    grown = scraped.results(f'max_over_time(cpuwatch_cpu_seconds_total{{name="{LOAD}"}}[{WINDOW_SECONDS}s])')
    assert float(grown[0]["value"][1]) == pytest.approx(scraped.load_seconds, rel=0.03)


def test_the_stack_of_the_names_adds_up_to_the_busy_cpus(scraped: Scraped) -> None:
    (by_name,) = (panel for panel in DASHBOARD["panels"] if panel["title"] == "CPUs by process name")
    stacked = sum(
        float(result["value"][1]) for target in by_name["targets"] for result in scraped.results(target["expr"])
    )
    assert stacked >= scraped.load_seconds / WINDOW_SECONDS


@pytest.mark.parametrize("record", re.findall(r"- record: (\S+)", RULES.read_text(encoding="utf-8")))
def test_the_recording_rules_record(record: str, scraped: Scraped) -> None:
    assert scraped.results(record)
