"""What cpuwatch adds to a request: ``/cpu_usage`` against a bare ASGI app with the same bytes, on the same Hypercorn.

``python benchmarks/serving.py`` runs the client of the performance suite against one and the other in turn and
prints requests per second of both, as medians and ranges, and the ratio. Beside it stands the CPU time that the
server takes for a request: where others use the machine too, their share disturbs the rate more than that.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory

from servers import cpu_ns, free_port, members, serving

_TESTS = Path(__file__).parent.parent / "tests"
_CONNECTIONS = 5
_PATH = "/cpu_usage"
_WARM_UP_SECONDS = 1.0
_HEADERS_OF_THE_SERVER = {"date", "server", "connection"}


def keep_answer(port: int, file: Path) -> int:
    """Write one answer of cpuwatch down as the bare app wants it; returns the length of its body."""
    connection = HTTPConnection("127.0.0.1", port)
    try:
        connection.request("GET", _PATH)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    headers = [pair for pair in answer.getheaders() if pair[0].lower() not in _HEADERS_OF_THE_SERVER]
    file.write_bytes(json.dumps(headers).encode() + b"\n" + body)
    return len(body)


@dataclass(frozen=True, slots=True)
class Round:
    """Requests in a second, and the microseconds of CPU that all processes of the server took for each."""

    rate: float
    cpu_us: float


def measure(port: int, leader: int, seconds: float) -> Round:
    """One round. Raises ``RuntimeError`` if any request fails: a rate with failures in it is none."""
    command = [sys.executable, "-m", "perf.client", "--port", str(port), "--path", _PATH]
    command += ["--connections", str(_CONNECTIONS), "--warm-up", "0", "--seconds", str(seconds)]
    # The bare app's answer never changes.
    command += ["--stale-after", "inf"]
    pids = [member.pid for member in members(leader)]
    cpu_before = sum(map(cpu_ns, pids))
    output = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=_TESTS).stdout
    cpu = sum(map(cpu_ns, pids)) - cpu_before
    outcome = json.loads(output.splitlines()[-1])
    if outcome["failures"]:
        raise RuntimeError(f"requests failed: {outcome['failures']}")
    requests = outcome["requests"]
    return Round(requests * 1e9 / outcome["elapsed_ns"], cpu / requests / 1000)


def pin(cpu: int) -> None:
    """Bind this process, and those that it starts from now on, to the CPU of this index, if the system lets us."""
    if hasattr(os, "sched_setaffinity") and len(_CPUS) > 1:
        os.sched_setaffinity(0, {_CPUS[cpu]})


_CPUS = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def main() -> None:
    """See the docstring of the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=4.0, help="of one round")
    options = parser.parse_args()

    rounds: dict[str, list[Round]] = {"bare app": [], "cpuwatch": []}
    with ExitStack() as stack:
        answer = Path(stack.enter_context(TemporaryDirectory())) / "answer"
        ports = {name: free_port() for name in rounds}
        leaders: dict[str, int] = {}
        pin(0)
        leaders["cpuwatch"] = _start(stack, "cpuwatch.web:app", ports["cpuwatch"])
        length = keep_answer(ports["cpuwatch"], answer)
        leaders["bare app"] = _start(stack, "bare:app", ports["bare app"], {"BARE_ANSWER": str(answer)})
        pin(1)
        for name in rounds:
            measure(ports[name], leaders[name], _WARM_UP_SECONDS)
        for number in range(options.rounds):
            # Each begins every other round, so that what gets slower with time is no one's disadvantage.
            for name in sorted(rounds, reverse=number % 2 == 1):
                done = measure(ports[name], leaders[name], options.seconds)
                rounds[name].append(done)
                print(f"round {number + 1}: {name} {done.rate:,.0f}/s, {done.cpu_us:.1f} µs", file=sys.stderr)

    placed = "server on one core, client on another" if len(_CPUS) > 1 else "not pinned"
    print(f"{_CONNECTIONS} connections, {length:,} bytes, {options.rounds} rounds of {options.seconds:g} s, {placed}\n")
    print("| app on Hypercorn | requests a second, median | range | server's CPU for one, µs, median | range |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, done_rounds in rounds.items():
        rates, costs = [done.rate for done in done_rounds], [done.cpu_us for done in done_rounds]
        print(f"| {name} | {_spread(rates, '{:,.0f}')} | {_spread(costs, '{:.1f}')} |")
    pairs = list(zip(rounds["cpuwatch"], rounds["bare app"], strict=True))
    rates = [100 * ours.rate / bare.rate for ours, bare in pairs]
    costs = [100 * bare.cpu_us / ours.cpu_us for ours, bare in pairs]
    print(f"| cpuwatch in % of bare, by round | {_spread(rates, '{:.1f}')} | {_spread(costs, '{:.1f}')} |")


def _start(stack: ExitStack, app: str, port: int, environment: dict[str, str] | None = None) -> int:
    return stack.enter_context(serving(["hypercorn", app, "-b", f"127.0.0.1:{port}"], port, _PATH, environment))


def _spread(values: Sequence[float], form: str) -> str:
    low, high = form.format(min(values)), form.format(max(values))
    return f"{form.format(statistics.median(values))} | {low} to {high}"


if __name__ == "__main__":
    main()
