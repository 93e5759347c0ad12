"""Instructions per request: 80 rows of ``/cpu_usage`` against the bare app of :mod:`benchmarks.serving`.

``python -m benchmarks.instructions`` runs the server (default: Hypercorn) under valgrind (``apt-get install
valgrind``), counts the instructions of all its processes and prints a Markdown table. Times cannot tell the two apps
apart if the machine's speed drifts by more than their difference. Instructions can, to a few tenths of a percent.

Each app runs with few and with many requests, all on one connection. The difference in instructions, divided by the
difference in requests, excludes the start. cpuwatch does not sample meanwhile: its interval is longer than the run.
Under valgrind each request comes in a different millisecond, so each computes its age anew; at full speed the requests
of one millisecond share it. Kernel work and processor stalls are not counted.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.servers import exit_on_sigterm, find_program, free_port, serving
from benchmarks.serving import BARE, OURS, SERVERS, keep_answer, missing_servers, server_command
from benchmarks.tables import markdown_table

_COUNTING = ("--tool=cachegrind", "--cache-sim=no", "--trace-children=yes")
_FEW, _MANY = 300, 2_300
_PATH = "/cpu_usage?top=80"
"""The number of rows is the same however many processes the machine has: a larger body costs more to send."""
_START_SECONDS = 120.0
_ALWAYS = {
    # The layout of hash tables is then the same in each run.
    "PYTHONHASHSEED": "0",
    "CPUWATCH_INTERVAL": "100",
}


def instructions(valgrind: str, server: str, app: str, environment: Mapping[str, str]) -> float:
    """Instructions for one request."""
    few, many = (_executed(valgrind, server, app, environment, requests) for requests in (_FEW, _MANY))
    return (many - few) / (_MANY - _FEW)


def _executed(valgrind: str, server: str, app: str, environment: Mapping[str, str], requests: int) -> int:
    """All instructions of a server that answers this many requests, from its start to its end."""
    port = free_port()
    with TemporaryDirectory() as folder:
        counting = [valgrind, *_COUNTING, f"--cachegrind-out-file={folder}/%p", *server_command(server, app, port)]
        with serving(counting, port, _PATH, {**environment, **_ALWAYS}, _START_SECONDS):
            _ask(port, requests)
        return sum(_total(file.read_text()) for file in Path(folder).iterdir())


def _total(counts: str) -> int:
    """The instructions of one process. A killed one leaves no count: multiprocessing's tracker, at times."""
    summary = re.search(r"^summary: (\d+)", counts, re.MULTILINE)
    return 0 if summary is None else int(summary[1])


def _ask(port: int, requests: int) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        for _ in range(requests):
            connection.request("GET", _PATH)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise RuntimeError(f"the answer was {answer.status} {answer.reason}")
    finally:
        connection.close()


def main() -> None:
    """See the docstring of the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", nargs="+", choices=list(SERVERS), default=["hypercorn"])
    options = parser.parse_args()
    exit_on_sigterm()
    valgrind = find_program("valgrind")
    missing = set(missing_servers()).intersection(options.servers)
    if valgrind is None or missing:
        sys.exit(f"not installed: {', '.join(sorted(missing) if valgrind else ['valgrind', *sorted(missing)])}")

    rows = []
    with TemporaryDirectory() as folder:
        answer = Path(folder) / "answer"
        for server in options.servers:
            port = free_port()
            with serving(server_command(server, OURS, port), port, _PATH):
                keep_answer(port, answer, _PATH)
            bare = instructions(valgrind, server, BARE, {"BARE_ANSWER": str(answer)})
            ours = instructions(valgrind, server, OURS, {})
            rows.append([server, f"{bare:,.0f}", f"{ours:,.0f}", f"{100 * bare / ours:.1f}"])
    print(markdown_table(["server", "bare app", "cpuwatch", "cpuwatch in % of bare"], rows))


if __name__ == "__main__":
    main()
