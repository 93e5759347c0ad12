"""The cost of the server without requests: ``python -m benchmarks.idle`` prints CPU and memory of its processes.

Hypercorn's command is three processes: the main process, multiprocessing's resource tracker, and the worker that runs
the app. ``cpuwatch serve`` is one. CPU comes from the CPU clock of each process, memory is resident, with
shared pages counted in each process.
"""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack

import psutil

from benchmarks.processes import count_processes, forked
from benchmarks.servers import Member, cpu_ns, exit_on_sigterm, find_program, free_port, members, serving
from benchmarks.tables import markdown_table

_SETTLING_SECONDS = 3


def resident_mb(pid: int) -> float:
    """Resident memory, in units of 10**6 bytes."""
    return psutil.Process(pid).memory_info().rss / 1e6


def main() -> None:
    """See the docstring of the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--processes", type=int, default=100, help="start processes until the machine has this number")
    options = parser.parse_args()
    exit_on_sigterm()

    with ExitStack() as stack:
        stack.enter_context(forked(max(0, options.processes - count_processes()), 0.05))
        watched: list[tuple[str, Member]] = []
        commands = {"hypercorn": ["cpuwatch.web:app", "-b"], "cpuwatch serve": ["serve", "--bind"]}
        for name, arguments in commands.items():
            program = find_program(name.partition(" ")[0])
            if program is None:
                parser.error(f"{name}: command not found")
            port = free_port()
            leader = stack.enter_context(serving([program, *arguments, f"127.0.0.1:{port}"], port, "/readyz"))
            watched += [(name, member) for member in members(leader)]
        time.sleep(_SETTLING_SECONDS)
        processes = count_processes()
        before = {member.pid: cpu_ns(member.pid) for _, member in watched}
        started = time.monotonic()
        time.sleep(options.seconds)
        elapsed_ns = (time.monotonic() - started) * 1e9
        rows = [
            (name, member.role, 100 * (cpu_ns(member.pid) - before[member.pid]) / elapsed_ns, resident_mb(member.pid))
            for name, member in watched
        ]

    print(f"{processes} processes, no requests, {options.seconds:g} s\n")
    cells = ([name, role, f"{percent:.3f}", f"{megabytes:.1f}"] for name, role, percent, megabytes in rows)
    print(markdown_table(["server", "process", "CPU, % of one core", "RSS, MB"], cells))


if __name__ == "__main__":
    main()
