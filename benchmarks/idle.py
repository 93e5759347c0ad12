"""What the server costs while nobody asks: ``python -m benchmarks.idle`` prints CPU and memory of its processes.

Hypercorn's command is three processes: one that watches, multiprocessing's resource tracker, and the worker in which
the app runs. ``cpuwatch serve`` is one. CPU comes from each one's CPU clock, memory from VmRSS in
``/proc/PID/status``, in which pages that processes share count in each of them.
"""

from __future__ import annotations

import argparse
import re
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.processes import count_processes, forked
from benchmarks.servers import Member, cpu_ns, exit_on_sigterm, find_program, free_port, members, serving
from benchmarks.tables import markdown_table

_SETTLING_SECONDS = 3


def resident_mb(pid: int) -> float:
    """VmRSS, in units of 10**6 bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024 / 1e6


def main() -> None:
    """See the docstring of the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--processes", type=int, default=100, help="make the machine have so many, if it has fewer")
    options = parser.parse_args()
    exit_on_sigterm()

    with ExitStack() as stack:
        stack.enter_context(forked(max(0, options.processes - count_processes()), 0.05))
        watched: list[tuple[str, Member]] = []
        for name, arguments in (
            ("hypercorn", ["cpuwatch.web:app", "-b"]),
            ("cpuwatch serve", ["serve", "--bind"]),
        ):
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

    print(f"{processes} processes, nobody asking, {options.seconds:g} s\n")
    cells = ([name, role, f"{percent:.3f}", f"{megabytes:.1f}"] for name, role, percent, megabytes in rows)
    print(markdown_table(["server", "process", "CPU, % of one core", "RSS, MB"], cells))


if __name__ == "__main__":
    main()
