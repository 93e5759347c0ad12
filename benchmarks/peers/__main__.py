"""cpuwatch beside its peers and ceilings, all in one run: ``python -m benchmarks.peers``.

Prints Markdown, and writes it with a page of the same tables to ``reports/peers.md`` and ``reports/peers.html``.

1. ``/cpu_usage`` on Hypercorn, uvicorn and granian, each beside a bare ASGI app with the same bytes (:mod:`serving`).
2. A response of Glances and the Prometheus process-exporter, beside cpuwatch (:mod:`exporters`).
3. The cost of a tick of cpuwatch, top, htop, atop, pidstat and psutil (:mod:`cost`, :mod:`console_tools`).

Those modules, and the text above the tables, say how each is started and how its work differs from cpuwatch's. All
run in turn, in alternating order, and each figure is a median with its range. Servers run on one core and the client on
another. CPU times exclude other programs; rates and times do not, so a quiet machine gives better ones.

Needs the dependency group ``peers`` (uvicorn with uvloop and httptools, granian, Glances) and, as Debian's packages,
``procps``, ``htop``, ``atop``, ``sysstat`` and ``prometheus-process-exporter`` (the command is
sufficient; no service has to run). Missing programs are skipped and named.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from benchmarks import ROOT, cost, say, serving
from benchmarks.asking import CLIENT_CPU
from benchmarks.loadgen.environment import git_revision, machine_rows, package_version
from benchmarks.peers import exporters
from benchmarks.peers.console_tools import COMMANDS
from benchmarks.peers.page import render
from benchmarks.processes import count_processes
from benchmarks.servers import exit_on_sigterm, find_program
from benchmarks.tables import Section, markdown, markdown_table

_REPORTS = ROOT / "reports"
_ACTIVE = 0.05


@dataclass(frozen=True, slots=True)
class Plan:
    """The size of each section's measurement."""

    sizes: Sequence[int]
    serving_starts: int
    serving_rounds: int
    serving_seconds: float
    exporter_rounds: int
    exporter_durations: exporters.Durations
    ticks: int


FULL = Plan((100, 1_000, 5_000), 6, 10, 0.5, 3, exporters.Durations(3.0, 3.0, 2.0), 10)
QUICK = Plan((100, 1_000), 1, 2, 1.0, 1, exporters.Durations(2.0, 2.6, 1.0), 3)


def serving_section(plan: Plan) -> Section:
    missing = serving.missing_servers()
    servers = [name for name in serving.SERVERS if name not in missing]
    pairs = serving.compare(servers, plan.serving_starts, plan.serving_rounds, plan.serving_seconds)
    placed = "Server on one core, client on another." if CLIENT_CPU else "Server and client share all cores."
    changed = [pair.server for pair in pairs if not pair.of_equal_length]
    return Section(
        "A request: cpuwatch beside a bare app on the same server",
        [
            "/cpu_usage, compared with a bare ASGI app that sends the same body with the same headers, "
            f"{serving.body_lengths(pairs)} bytes. {serving.CONNECTIONS} connections in a closed loop, "
            f"{plan.serving_starts} starts of {plan.serving_rounds} rounds of {plan.serving_seconds:g} s, in turn; "
            f"median (lowest to highest); ratios by start. {placed} The CPU of cpuwatch includes its sampling. If the "
            "client's core is nearly full, the client limits the rate, and only the CPU distinguishes the servers.",
            *_left_out(missing),
            *(f"NO COMPARISON on {name}: the machine's processes changed meanwhile." for name in changed),
        ],
        [serving.serving_table(pairs)],
    )


def exporters_section(plan: Plan) -> Section:
    missing = exporters.missing_services()
    durations = plan.exporter_durations
    names = [name for name in exporters.SERVICES if name not in missing]
    comparisons = exporters.compare(plan.sizes, names, plan.exporter_rounds, durations, _ACTIVE)
    return Section(
        "A response: cpuwatch beside Glances and the Prometheus process-exporter",
        [
            f"All watch the same processes, {_ACTIVE:.0%} of them active; rounds: {plan.exporter_rounds}, in turn; "
            f"median (lowest to highest). Time: a request every {exporters.ASKED_EVERY_SECONDS} s over one connection "
            f"for {durations.now_and_then:g} s, over all responses. Rate and CPU per response: "
            f"{exporters.CONNECTIONS} connections in a closed loop for {durations.closed_loop:g} s, over the rounds. "
            f"CPU is that of all processes of the service, relative to one core; idle: {durations.idle:g} s without "
            "requests; RSS after that.",
            "cpuwatch (cpuwatch serve) samples every second, with or without requests; a response shows the last "
            "sample. With Glances (glances -w -t 1), a request costs a sweep if the data are older than a second; its "
            "rows also have command lines, memory and I/O. With the process-exporter (the default configuration of its "
            "documentation), each request costs a sweep, one after the other; it shows sums by name, by default with "
            "threads and smaps.",
            *_left_out(missing),
        ],
        exporters.exporter_tables(comparisons),
    )


def sampling_section(plan: Plan) -> Section:
    names, missing = cost.samplers()
    runs = cost.compare(plan.sizes, names, plan.ticks, _ACTIVE)
    return Section(
        "A tick: cpuwatch beside top, htop, atop, pidstat and psutil",
        [
            f"All sample the same processes once a second, {_ACTIVE:.0%} of them active, in the same seconds; user "
            f"and system time of the sampler's process, over {plan.ticks} ticks after a warm-up; median (lowest to "
            "highest).",
            "They do different amounts of work. cpuwatch and psutil (process_iter with name and cpu_percent) compute "
            "rows; top -b also writes all of them, to /dev/null; htop -d 10 also reads threads and draws one screen; "
            "atop -w 1 also reads memory and I/O and writes compressed raw records; pidstat 1 writes the processes "
            "that ran.",
            *_left_out(missing),
        ],
        [cost.cost_table(run) for run in runs],
    )


SECTIONS = {"serving": serving_section, "exporters": exporters_section, "sampling": sampling_section}


def _left_out(missing: Sequence[str]) -> list[str]:
    return [f"Not installed, therefore skipped: {', '.join(missing)}."] if missing else []


def environment() -> Mapping[str, str]:
    """The machine, and the versions of the peers."""
    rows = dict(machine_rows())
    rows["git revision"] = git_revision(ROOT) or "none"
    packages = [f"{name} {found}" for name in ("psutil", "glances") if (found := package_version(name))]
    commands = {**dict.fromkeys(COMMANDS, "-V"), "prometheus-process-exporter": "-version"}
    programs = [_program_version(name, option) for name, option in commands.items() if find_program(name)]
    rows["peers"] = ", ".join([*packages, *programs])
    rows["processes of others"] = f"{count_processes():,}"
    return rows


def _program_version(name: str, option: str) -> str:
    said = subprocess.run([find_program(name) or name, option], check=False, capture_output=True, text=True)
    found = re.search(r"\d+\.\d[\w.+-]*", said.stdout + said.stderr)
    return f"{name} {found[0]}" if found else f"{name} of unknown version"


def main() -> None:
    """See the docstring of the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="shorter, with fewer processes, for a first impression")
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), default=list(SECTIONS))
    options = parser.parse_args()
    exit_on_sigterm()

    plan = QUICK if options.quick else FULL
    rows = environment()
    began, started = time.monotonic(), datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
    sections = []
    for name in options.only:
        say(f"{name} ({time.monotonic() - began:.0f} s so far)")
        sections.append(SECTIONS[name](plan))
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    rows = {**rows, "load average after the run": load, "started": started}
    rows["duration"] = f"{time.monotonic() - began:.0f} s"
    title = "cpuwatch beside its peers" + (" (a quick run: these figures are rough)" if options.quick else "")
    command = " ".join(["python -m benchmarks.peers", *sys.argv[1:]])

    text = "\n\n".join(
        [
            f"# {title}",
            f"`{command}`, {started}.",
            *map(markdown, sections),
            "## Environment",
            markdown_table(["", ""], rows.items()),
        ]
    )
    _REPORTS.mkdir(exist_ok=True)
    (_REPORTS / "peers.md").write_text(text + "\n", encoding="utf-8")
    page = render(title, f"{command} · started {started}", sections, rows)
    (_REPORTS / "peers.html").write_text(page, encoding="utf-8")
    print(text)
    say(f"\nwritten: {_REPORTS / 'peers.md'}, {_REPORTS / 'peers.html'}")


if __name__ == "__main__":
    main()
