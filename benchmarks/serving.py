"""The overhead of cpuwatch per request: ``/cpu_usage`` against a bare ASGI app with the same bytes and server.

``python -m benchmarks.serving`` starts both on each server (default: Hypercorn), runs the client of the performance
suite against them in turn, and prints a Markdown table with medians and ranges: requests per second and the server's
CPU time per request over all rounds, and the ratio of each start, which is the median of its rounds.

The difference is a few of about 190 microseconds. Two starts of the same app differ by more (memory layout, string
hashes), and the rate of one app drifts by more within seconds. So the rounds are short, and both apps start several
times.

Each has one worker on one core; the client runs on another. Access logs are off (only uvicorn has one by default).
uvicorn uses uvloop and httptools and granian uvloop if they are installed, as by ``uvicorn[standard]``; Hypercorn uses
asyncio's loop and h11. The CPU time includes background work such as cpuwatch's sampling.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import say
from benchmarks.asking import ANY_AGE, CLIENT_CPU, SERVER_CPU, Asked, ask
from benchmarks.loadgen.placement import running_on
from benchmarks.servers import exit_on_sigterm, find_program, free_port, serving
from benchmarks.tables import Row, Spread, Table, markdown_table

__all__ = [
    "BARE",
    "CONNECTIONS",
    "OURS",
    "PATH",
    "SERVERS",
    "Pair",
    "Start",
    "body_lengths",
    "compare",
    "keep_answer",
    "missing_servers",
    "server_command",
    "serving_table",
]

SERVERS: Mapping[str, Sequence[str]] = {
    "hypercorn": ("hypercorn", "{app}", "--bind", "127.0.0.1:{port}"),
    "uvicorn": ("uvicorn", "{app}", "--port", "{port}", "--no-access-log"),
    "granian": ("granian", "{app}", "--port", "{port}", "--interface", "asgi"),
}
CONNECTIONS = 5
OURS, BARE = "cpuwatch.web:app", "benchmarks.bare:app"
PATH = "/cpu_usage"
_WARM_UP_SECONDS = 1.0
_TICK_SECONDS = 1.5
"""Long enough for a new snapshot."""
_HEADERS_OF_THE_SERVER = {"date", "server", "connection"}


@dataclass(frozen=True, slots=True)
class Start:
    """The rounds of both apps during one run of a server, and the length of the body that both send."""

    body_length: int
    cpuwatch: Sequence[Asked]
    bare: Sequence[Asked]

    @property
    def of_equal_length(self) -> bool:
        """Whether the body of cpuwatch changed by less than 5 %. Otherwise the two cannot be compared."""
        return all(abs(asked.longest_body / self.body_length - 1) < 0.05 for asked in self.cpuwatch)

    @property
    def rate_percent(self) -> float:
        """The rate of cpuwatch in percent of the bare app's."""
        return 100 * statistics.median(ours.rate / bare.rate for ours, bare in self._rounds)

    @property
    def cpu_percent(self) -> float:
        """The CPU time per response of the bare app in percent of cpuwatch's."""
        return 100 * statistics.median(bare.cpu_us / ours.cpu_us for ours, bare in self._rounds)

    @property
    def _rounds(self) -> Iterable[tuple[Asked, Asked]]:
        return zip(self.cpuwatch, self.bare, strict=True)


@dataclass(frozen=True, slots=True)
class Pair:
    """Both apps on one server."""

    server: str
    starts: Sequence[Start]

    @property
    def of_equal_length(self) -> bool:
        """Whether it is so in each start."""
        return all(start.of_equal_length for start in self.starts)


def missing_servers() -> list[str]:
    """The servers that are not installed."""
    return [name for name, command in SERVERS.items() if find_program(command[0]) is None]


def compare(servers: Sequence[str], starts: int, rounds: int, seconds: float) -> list[Pair]:
    """Both apps on each of these servers, measured in turn."""
    compared = []
    for number in range(starts):
        compared.append(_one_start(servers, rounds, seconds))
        told = ", ".join(
            f"{server} {start.rate_percent:.1f} %" for server, start in zip(servers, compared[-1], strict=True)
        )
        say(f"start {number + 1} of {starts}: {told}")
    return [Pair(server, own) for server, own in zip(servers, zip(*compared, strict=True), strict=True)]


def _one_start(servers: Sequence[str], rounds: int, seconds: float) -> list[Start]:
    lengths: dict[str, int] = {}
    asked: dict[tuple[str, str], list[Asked]] = {}
    where: dict[tuple[str, str], tuple[int, int]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        for server in servers:
            where[server, OURS] = _start(stack, server, OURS)
        with ExitStack() as stand_ins:
            # A response lists all servers, those of the bare apps too, but a bare app needs its response before it
            # starts. So all of them run once before.
            for server in servers:
                keep_answer(where[server, OURS][0], folder / server)
                _start_bare(stand_ins, server, folder / server)
            time.sleep(_TICK_SECONDS)
            for server in servers:
                lengths[server] = keep_answer(where[server, OURS][0], folder / server)
        for server in servers:
            where[server, BARE] = _start_bare(stack, server, folder / server)
        for key, (port, leader) in where.items():
            _round(port, leader, _WARM_UP_SECONDS)
            asked[key] = []
        for number in range(rounds):
            # In alternating order, so that a slowdown over time hits both alike.
            for key in sorted(where, reverse=number % 2 == 1):
                asked[key].append(_round(*where[key], seconds))
    return [Start(lengths[server], asked[server, OURS], asked[server, BARE]) for server in servers]


def _start_bare(stack: ExitStack, server: str, answer: Path) -> tuple[int, int]:
    return _start(stack, server, BARE, {"BARE_ANSWER": str(answer)})


def _start(stack: ExitStack, server: str, app: str, environment: Mapping[str, str] | None = None) -> tuple[int, int]:
    port = free_port()
    command = server_command(server, app, port)
    with running_on(SERVER_CPU):
        return port, stack.enter_context(serving(command, port, PATH, environment))


def server_command(server: str, app: str, port: int) -> Sequence[str]:
    """The command that starts the app. Raises ``RuntimeError`` if the server is not installed."""
    name, *arguments = (word.format(app=app, port=port) for word in SERVERS[server])
    program = find_program(name)
    if program is None:
        raise RuntimeError(f"command not found: {name!r}")
    return [program, *arguments]


def _round(port: int, leader: int, seconds: float) -> Asked:
    return ask(port, PATH, leader, seconds=seconds, connections=CONNECTIONS, checks=ANY_AGE)


def keep_answer(port: int, file: Path, path: str = PATH) -> int:
    """Write one response of cpuwatch to a file for the bare app. Returns the length of its body."""
    connection = HTTPConnection("127.0.0.1", port)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    headers = [pair for pair in answer.getheaders() if pair[0].lower() not in _HEADERS_OF_THE_SERVER]
    file.write_bytes(json.dumps(headers).encode() + b"\n" + body)
    return len(body)


def body_lengths(pairs: Sequence[Pair]) -> str:
    """The median and range over all starts. They differ with the processes of the moment."""
    return Spread.of(start.body_length for pair in pairs for start in pair.starts).text("{:,.0f}")


def serving_table(pairs: Sequence[Pair]) -> Table:
    """A row for each app on each server, and one for their ratio."""
    headings = ["", "requests a second", "server's CPU per request, µs", "client's CPU, % of its core"]
    rows = []
    for pair in pairs:
        bare = [asked for start in pair.starts for asked in start.bare]
        ours = [asked for start in pair.starts for asked in start.cpuwatch]
        for app, asked in (("bare app", bare), ("cpuwatch", ours)):
            rate, cpu, client = (
                Spread.of(getattr(one, field) for one in asked) for field in ("rate", "cpu_us", "client_percent")
            )
            cells = [f"{pair.server}: {app}", rate.text("{:,.0f}"), cpu.text("{:.1f}"), f"{client.median:.0f}"]
            rows.append(Row(cells, rate.median))
        rates = Spread.of(start.rate_percent for start in pair.starts)
        costs = Spread.of(start.cpu_percent for start in pair.starts)
        rows.append(Row([f"{pair.server}: cpuwatch in % of bare", rates.text("{:.1f}"), costs.text("{:.1f}"), ""]))
    return Table("", headings, rows, "requests a second")


def main() -> None:
    """See the docstring of the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", nargs="+", choices=list(SERVERS), default=["hypercorn"])
    parser.add_argument("--starts", type=int, default=9)
    parser.add_argument("--rounds", type=int, default=12, help="of each start")
    parser.add_argument("--seconds", type=float, default=0.5, help="of one round")
    options = parser.parse_args()
    exit_on_sigterm()

    missing = missing_servers()
    for name in missing:
        if name in options.servers:
            say(f"{name} is not installed: left out")
    servers = [name for name in options.servers if name not in missing]
    pairs = compare(servers, options.starts, options.rounds, options.seconds)
    placed = "server on one core, client on another" if CLIENT_CPU else "not pinned"
    how_often = f"{options.starts} starts of {options.rounds} rounds of {options.seconds:g} s"
    print(f"{CONNECTIONS} connections, {body_lengths(pairs)} bytes, {how_often}, {placed}\n")
    for pair in pairs:
        if not pair.of_equal_length:
            print(f"{pair.server}: NO COMPARISON, the machine's processes changed by more than 5 % meanwhile\n")
    table = serving_table(pairs)
    print(markdown_table(table.headings, (row.cells for row in table.rows)))


if __name__ == "__main__":
    main()
