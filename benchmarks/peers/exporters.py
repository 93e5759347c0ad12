"""The cost of a request for all processes: cpuwatch beside Glances and Debian's prometheus-process-exporter.

All watch the same processes at the same time, each on its own port, all on one core, with the same client on another.

- ``cpuwatch serve`` samples once a second, with or without requests. ``/cpu_usage`` has a row for each process,
  ``/metrics`` counters by name. A response shows the last sample.
- ``glances -w -t 1`` (without the check for updates) is nearly idle without requests. ``/api/4/processlist`` reads all
  processes again if its data is older than a second, so a request costs a sweep. Its rows also have command lines,
  memory, niceness and I/O counters.
- ``prometheus-process-exporter`` with the default configuration of its documentation groups processes by name, and
  reads all of them for each request, one request after the other, so each costs a sweep. By default it also reads
  threads and ``smaps`` (as root may), so it runs a second time without these two.

Each round begins with some idle seconds. Then the services receive requests in turn, in alternating order, while the
others are stopped (SIGSTOP): first every 1.25 s, longer than any cache lasts, over one connection, for the latency;
then in a closed loop over five connections, for the rate.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import say
from benchmarks.asking import ANY_BODY, SERVER_CPU, Asked, ask, session_cpu_ns
from benchmarks.idle import resident_mb
from benchmarks.loadgen.placement import running_on
from benchmarks.processes import count_processes, forked
from benchmarks.servers import find_program, free_port, members, serving
from benchmarks.tables import Row, Spread, Table

__all__ = [
    "ASKED_EVERY_SECONDS",
    "CONNECTIONS",
    "SERVICES",
    "Durations",
    "Service",
    "compare",
    "exporter_tables",
    "missing_services",
]

ASKED_EVERY_SECONDS = 1.25
CONNECTIONS = 5
_SETTLING_SECONDS = 1.5
_ALIKE = 0.1
_PROCESS_EXPORTER = (
    "prometheus-process-exporter",
    "-config.path",
    "{config}",
    "-web.listen-address",
    "127.0.0.1:{port}",
)
_PROCESS_EXPORTER_CONFIG = """\
process_names:
  - name: "{{.Comm}}"
    cmdline:
    - '.+'
"""


@dataclass(frozen=True, slots=True)
class Service:
    """The command, a path that responds soon, and the paths to measure by the name of their row."""

    command: Sequence[str]
    alive: str
    paths: Mapping[str, str]


SERVICES = {
    "cpuwatch": Service(
        ("cpuwatch", "serve", "--bind", "127.0.0.1:{port}"),
        "/readyz",
        {"cpuwatch /cpu_usage": "/cpu_usage", "cpuwatch /metrics": "/metrics"},
    ),
    "Glances": Service(
        ("glances", "-w", "-B", "127.0.0.1", "-p", "{port}", "-t", "1", "--disable-check-update"),
        "/api/4/status",
        {"Glances /api/4/processlist": "/api/4/processlist"},
    ),
    "process-exporter": Service(_PROCESS_EXPORTER, "/", {"process-exporter /metrics": "/metrics"}),
    "process-exporter without threads and smaps": Service(
        (*_PROCESS_EXPORTER, "-threads=false", "-gather-smaps=false"),
        "/",
        {"process-exporter without threads and smaps": "/metrics"},
    ),
}


@dataclass(frozen=True, slots=True)
class Durations:
    """The seconds of each part of a round: idle, with occasional requests, in a closed loop."""

    idle: float
    now_and_then: float
    closed_loop: float


@dataclass(frozen=True, slots=True)
class Findings:
    """The results for one path, by round. Idle cost and memory are those of the whole service."""

    now_and_then: list[Asked] = field(default_factory=list)
    closed_loop: list[Asked] = field(default_factory=list)
    idle_percent: list[float] = field(default_factory=list)
    resident_mb: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Comparison:
    """All results, and the number of processes on the machine at the start and at the end."""

    processes_before: int
    processes_after: int
    findings: Mapping[str, Findings]


def missing_services() -> list[str]:
    """The services that are not installed."""
    return [name for name, service in SERVICES.items() if find_program(service.command[0]) is None]


def compare(
    sizes: Sequence[int], names: Sequence[str], rounds: int, durations: Durations, active: float
) -> list[Comparison]:
    """These services with each number of additional processes, a share ``active`` (0..1) of them active."""
    found = []
    for size in sizes:
        with forked(size, active), ExitStack() as stack:
            config = Path(stack.enter_context(TemporaryDirectory())) / "all.yaml"
            config.write_text(_PROCESS_EXPORTER_CONFIG, encoding="utf-8")
            running = [_started(stack, SERVICES[name], config) for name in names]
            time.sleep(_SETTLING_SECONDS)
            before = count_processes()
            findings = {row: Findings() for service in running for row in service.paths}
            for number in range(rounds):
                say(f"{size} processes, round {number + 1} of {rounds}")
                _round(running[:: -1 if number % 2 else 1], findings, durations)
            found.append(Comparison(before, count_processes(), findings))
    return found


@dataclass(frozen=True, slots=True)
class _Running:
    port: int
    leader: int
    paths: Mapping[str, str]

    def stop(self) -> None:
        os.killpg(self.leader, signal.SIGSTOP)

    def go_on(self) -> None:
        os.killpg(self.leader, signal.SIGCONT)


def _started(stack: ExitStack, service: Service, config: Path) -> _Running:
    port = free_port()
    name, *arguments = (word.format(port=port, config=config) for word in service.command)
    program = find_program(name)
    if program is None:
        raise RuntimeError(f"command not found: {name!r}")
    with running_on(SERVER_CPU):
        leader = stack.enter_context(serving([program, *arguments], port, service.alive))
    running = _Running(port, leader, service.paths)
    # A stopped process does not react to SIGTERM.
    stack.callback(running.go_on)
    return running


def _round(running: Sequence[_Running], findings: Mapping[str, Findings], durations: Durations) -> None:
    _keep_idle_books(running, findings, durations.idle)
    for service in running:
        service.stop()
    for service in running:
        service.go_on()
        time.sleep(_SETTLING_SECONDS)
        for row, path in service.paths.items():
            where = (service.port, path, service.leader)
            seldom, often = durations.now_and_then, durations.closed_loop
            rate = 1 / ASKED_EVERY_SECONDS
            now_and_then = ask(*where, seconds=seldom, connections=1, checks=ANY_BODY, rate=rate)
            closed_loop = ask(*where, seconds=often, connections=CONNECTIONS, checks=ANY_BODY)
            findings[row].now_and_then.append(now_and_then)
            findings[row].closed_loop.append(closed_loop)
            say(f"  {row}: {Spread.of(now_and_then.latencies_ms).text('{:.2f}')} ms, {closed_loop.rate:,.1f}/s")
        service.stop()
    for service in running:
        service.go_on()
    time.sleep(_SETTLING_SECONDS)


def _keep_idle_books(running: Sequence[_Running], findings: Mapping[str, Findings], seconds: float) -> None:
    before = [session_cpu_ns(service.leader) for service in running]
    began_ns = time.monotonic_ns()
    time.sleep(seconds)
    elapsed_ns = time.monotonic_ns() - began_ns
    for service, cpu_ns in zip(running, before, strict=True):
        percent = 100 * (session_cpu_ns(service.leader) - cpu_ns) / elapsed_ns
        memory = sum(resident_mb(member.pid) for member in members(service.leader))
        for row in service.paths:
            findings[row].idle_percent.append(percent)
            findings[row].resident_mb.append(memory)


def exporter_tables(comparisons: Sequence[Comparison]) -> list[Table]:
    """Two tables for each number of processes: responses, and the cost of the service."""
    return [table for comparison in comparisons for table in (_responses(comparison), _costs(comparison))]


def _responses(comparison: Comparison) -> Table:
    rows = []
    for name, found in comparison.findings.items():
        latency = Spread.of(latency for asked in found.now_and_then for latency in asked.latencies_ms)
        rate = Spread.of(asked.rate for asked in found.closed_loop)
        cells = [
            name,
            latency.text("{:,.1f}"),
            rate.text("{:,.0f}" if rate.median >= 100 else "{:,.1f}"),
            Spread.of(asked.cpu_us / 1000 for asked in found.closed_loop).text("{:,.2f}"),
            f"{max(asked.longest_body for asked in found.closed_loop):,}",
        ]
        rows.append(Row(cells, latency.median))
    headings = ["response", "time, ms", "responses a second", "CPU per response, ms", "bytes"]
    return Table(_title(comparison), headings, rows, "time")


def _costs(comparison: Comparison) -> Table:
    rows = []
    for name, found in comparison.findings.items():
        asked_percent = Spread.of(asked.server_percent for asked in found.now_and_then)
        cells = [
            name,
            Spread.of(found.idle_percent).text("{:.2f}"),
            asked_percent.text("{:.2f}"),
            f"{Spread.of(found.resident_mb).median:.1f}",
        ]
        rows.append(Row(cells, asked_percent.median))
    requested = f"a request every {ASKED_EVERY_SECONDS} s"
    headings = ["service", "idle CPU, % of a core", f"CPU with {requested}, % of a core", "RSS, MB"]
    return Table("", headings, rows, f"CPU with {requested}")


def _title(comparison: Comparison) -> str:
    before, after = comparison.processes_before, comparison.processes_after
    if abs(after / before - 1) < _ALIKE:
        return f"{after:,} processes"
    return f"NO COMPARISON: {before:,} processes at the start, {after:,} at the end"
