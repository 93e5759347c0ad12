"""The cost of watching other machines: ``python -m benchmarks.peers_page`` prints the CPU of the server.

The machines are one process that listens on an address of 127.0.0.0/8 for each, and answers as cpuwatch does, with a
new tick each second. One client requests ``/peers`` as the page does, every two seconds. The CPU is that of the server
with the client less that without, which is the sampling of this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.request import urlopen

import msgspec

from benchmarks.servers import cpu_ns, exit_on_sigterm, find_program, free_port, serving
from benchmarks.tables import markdown_table

_PAGE_SECONDS = 2.0
_SETTLING_SECONDS = 5.0


def main() -> None:
    """See the docstring of the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--machines", type=int, default=100, choices=range(1, 251), metavar="1..250")
    parser.add_argument("--simulate", type=int, metavar="PORT", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.simulate is not None:
        asyncio.run(_simulate(options.machines, options.simulate))
        return
    exit_on_sigterm()
    program = find_program("cpuwatch")
    if program is None:
        parser.error("cpuwatch: command not found")
    with ExitStack() as stack:
        machines_port, port = free_port(), free_port()
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "peers").write_text("".join(f"{host}:{machines_port}\n" for host in _hosts(options.machines)))
        stack.enter_context(_simulated(options.machines, machines_port))
        command = [program, "serve", "--bind", f"127.0.0.1:{port}", "--peers", str(folder / "peers")]
        server = stack.enter_context(serving(command, port, "/readyz"))
        time.sleep(_SETTLING_SECONDS)
        idle_percent, _ = _measured(server, port, options.seconds, is_looking=False)
        _measured(server, port, _SETTLING_SECONDS, is_looking=True)
        looking_percent, live = _measured(server, port, options.seconds, is_looking=True)
    print(f"{options.machines} machines, {live} of them live, {options.seconds:g} s\n")
    rows = [
        ["nobody looks", f"{idle_percent:.2f}"],
        ["the page is open", f"{looking_percent:.2f}"],
        ["difference", f"{looking_percent - idle_percent:.2f}"],
    ]
    print(markdown_table(["cpuwatch serve --peers", "CPU, % of one core"], rows))


def _hosts(number: int) -> list[str]:
    return [f"127.0.1.{last}" for last in range(1, number + 1)]


def _measured(pid: int, port: int, seconds: float, *, is_looking: bool) -> tuple[float, int]:
    """The CPU of the server in percent of a core, and the number of live machines at the end."""
    began, used_ns, live = time.monotonic(), cpu_ns(pid), 0
    while (elapsed := time.monotonic() - began) < seconds:
        if is_looking:
            with urlopen(f"http://127.0.0.1:{port}/peers") as response:
                live = sum(peer["state"] == "live" for peer in msgspec.json.decode(response.read())["peers"])
        time.sleep(min(_PAGE_SECONDS, seconds - elapsed))
    return 100 * (cpu_ns(pid) - used_ns) / ((time.monotonic() - began) * 1e9), live


@contextmanager
def _simulated(machines: int, port: int) -> Iterator[None]:
    arguments = ["--machines", str(machines), "--simulate", str(port)]
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.peers_page", *arguments], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield
    finally:
        process.kill()
        process.communicate()


async def _simulate(machines: int, port: int) -> None:
    loop = asyncio.get_running_loop()
    for host in _hosts(machines):
        await loop.create_server(_Machine, host, port)
    print("listening", flush=True)
    await asyncio.Event().wait()


class _Machine(asyncio.Protocol):
    """Answers each request with the tick of this second, and headers as long as those of cpuwatch."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert isinstance(self._transport, asyncio.Transport)
        if data.endswith(b"\r\n\r\n"):
            self._transport.write(_answer(int(time.time())))


def _answer(second: int) -> bytes:
    times = dict.fromkeys(("user", "system", "iowait", "irq", "steal"), 12.3456)
    body = msgspec.json.encode(
        {
            "sequence": second,
            "time": time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(second)),
            "interval_seconds": 1.00033,
            "sweep_seconds": 0.001509,
            "host": {"name": "machine", "boot_id": "a7c88867-f8a0-46f3-8cf9-e0763f6f15dc", "logical_cpus": 8},
            "machine": {
                "cpu_percent": 40.0,
                **times,
                "per_cpu_percent": [40.1234] * 8,
                "load_average": [1.0, 2.0, 3.0],
            },
            "attribution": {"processes_percent": 30.0, "exited_percent": 8.0, "unattributed_percent": 2.0},
            "processes": [{"pid": 1000 + n, "name": "work", "user": "root", "total_percent": 99.5} for n in range(3)],
            "exited": [{"name": None, "parent_name": "sh", "count": None, "cpu_percent": 1.5}] * 3,
            "sampling": {"missed_ticks": 0, "unreadable": {}, "hidden": [], "run": "771533928"},
        }
    )
    policy = b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'"
    return (
        b"HTTP/1.1 200 \r\ncontent-type: application/json\r\ncontent-length: %d\r\ncache-control: private, no-cache\r\n"
        b'vary: accept, accept-encoding\r\netag: "%d"\r\nx-content-type-options: nosniff\r\nx-frame-options: DENY\r\n'
        b"content-security-policy: %b\r\nserver: hypercorn-h11\r\n\r\n%b" % (len(body), second, policy, body)
    )


if __name__ == "__main__":
    main()
