"""Puts a server under load with the client of the performance suite, and measures the server's CPU time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import ROOT
from benchmarks.loadgen.outcome import Outcome, Samples, parse_line
from benchmarks.loadgen.placement import running_on
from benchmarks.servers import cpu_ns, members

__all__ = ["ANY_AGE", "ANY_BODY", "CLIENT_CPU", "SERVER_CPU", "Asked", "ask", "session_cpu_ns"]

ANY_AGE = ("--stale-after", "inf")
"""For responses in the format of cpuwatch that never change."""
ANY_BODY = ("--any-body", "--accept", "*/*")
"""For responses of other services."""

_TIMEOUT_SECONDS = 60

_cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
SERVER_CPU, CLIENT_CPU = ({_cpus[0]}, {_cpus[-1]}) if len(_cpus) > 1 else (None, None)
"""One CPU each. None if there is only one, or the system does not allow the choice."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The client's results, and the CPU time of all server processes meanwhile."""

    requests: int
    seconds: float
    latencies_ms: Sequence[float]
    longest_body: int
    server_cpu_ns: int
    client_cpu_ns: int

    @property
    def rate(self) -> float:
        """Responses per second."""
        return self.requests / self.seconds

    @property
    def cpu_us(self) -> float:
        """The server's CPU time per response, background work included."""
        return self.server_cpu_ns / self.requests / 1e3

    @property
    def server_percent(self) -> float:
        """The server's CPU, in percent of one core."""
        return self.server_cpu_ns / self.seconds / 1e7

    @property
    def client_percent(self) -> float:
        """The client's CPU, in percent of one core."""
        return self.client_cpu_ns / self.seconds / 1e7


def ask(
    port: int,
    path: str,
    leader: int,
    *,
    seconds: float,
    connections: int,
    checks: Sequence[str],
    rate: float | None = None,
) -> Asked:
    """Send requests in a closed loop, or at ``rate``. Raises ``RuntimeError`` if one fails or none is answered."""
    with TemporaryDirectory() as folder:
        samples = Path(folder) / "samples"
        command = [sys.executable, "-m", "benchmarks.loadgen.client", "--port", str(port), "--path", path]
        command += ["--connections", str(connections), "--warm-up", "0", "--seconds", str(seconds)]
        command += ["--timeout", str(_TIMEOUT_SECONDS), "--samples", str(samples), *checks]
        command += [] if rate is None else ["--rate", str(rate)]
        with running_on(CLIENT_CPU):
            client = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
        with client:
            assert client.stdout is not None
            try:
                # The first line marks the start of the measurement.
                client.stdout.readline()
                before = session_cpu_ns(leader)
                *_, last = client.stdout.readlines() or [b""]
                used = session_cpu_ns(leader) - before
            except BaseException:
                # The outcome is no longer needed.
                client.kill()
                raise
        if client.returncode:
            raise RuntimeError("the client failed; its error stands above")
        outcome = parse_line(last)
        assert isinstance(outcome, Outcome)
        if outcome.failures or not outcome.requests:
            raise RuntimeError(f"requests for {path} failed: {outcome.failures or 'all'}")
        return Asked(
            requests=outcome.requests,
            seconds=outcome.elapsed_ns / 1e9,
            latencies_ms=[latency_ns / 1e6 for latency_ns in Samples.read(samples).latency_ns],
            longest_body=outcome.longest_body,
            server_cpu_ns=used,
            client_cpu_ns=outcome.client_cpu_ns,
        )


def session_cpu_ns(leader: int) -> int:
    """CPU time so far of all living processes of this session."""
    return sum(cpu_ns(member.pid) for member in members(leader))
