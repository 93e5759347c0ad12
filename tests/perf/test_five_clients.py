"""Given 5 concurrent clients for 5 minutes: how many requests, how fast, and does any of them fail?"""

from __future__ import annotations

import json
import os
import platform
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from http.client import HTTPConnection
from importlib.metadata import version
from pathlib import Path

import pytest

from . import client
from .client import Outcome, Progress
from .conftest import finished
from .latency import each_second, summarise
from .report import Run, render

CLIENTS = 5
WARM_UP_SECONDS = 3.0
_START_SECONDS = 20
_STOP_SECONDS = 20


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def _serving(command: list[str], port: int, log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        # A group of its own: Hypercorn is three processes, and none of them may outlive the test.
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        _wait_until_ready(server, port, log)
        yield
    finally:
        server.terminate()
        try:
            server.wait(_STOP_SECONDS)
        finally:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()


def _wait_until_ready(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        connection = HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        if server.poll() is not None:
            break
        time.sleep(0.05)
    pytest.fail(f"the server was not ready within {_START_SECONDS} s; its log:\n{log.read_text(errors='replace')}")


def _drive(port: int, seconds: float, samples: Path, show: Callable[[Progress], None]) -> Outcome:
    """Run the client in its own process until it has its outcome."""
    command = [sys.executable, "-m", "perf.client", "--port", str(port), "--samples", str(samples)]
    command += ["--connections", str(CLIENTS), "--warm-up", str(WARM_UP_SECONDS), "--seconds", str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parent.parent) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                news = client.parse_line(line)
                if isinstance(news, Outcome):
                    return news
                show(news)
        finally:
            # It is done when it has printed its outcome; if it has not, something was interrupted.
            process.kill()
    pytest.fail("the client ended without an outcome; its error stands above")


def _progress_line(config: pytest.Config, seconds: float) -> Callable[[Progress], None]:
    """Shows how far it is, over one and the same line of a terminal; nothing in a log."""
    reporter: pytest.TerminalReporter | None = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not reporter.isatty:
        return lambda _: None
    rewrite = reporter.rewrite

    def show(progress: Progress) -> None:
        if progress.seconds <= 0:
            text = f"warming up, {-progress.seconds:.0f} s"
        else:
            rate = progress.requests / progress.seconds
            left = max(0.0, seconds - progress.seconds)
            text = f"{left:.0f} s left, {rate:,.0f} requests a second, {progress.failures} failed"
        rewrite(f"{CLIENTS} clients: {text}", erase=True)

    return show


def _environment(command: list[str]) -> dict[str, str]:
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    packages = ("cpuwatch", "hypercorn", "h11", "starlette", "msgspec")
    return {
        "machine": platform.node(),
        "CPU": f"{cpu.partition(':')[2].strip() or platform.machine()}, {os.cpu_count()} logical CPUs",
        "system": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": ", ".join(f"{name} {version(name)}" for name in packages),
        "server": shlex.join(command),
    }


def test_five_clients_get_an_answer_to_every_request(
    duration: float, reports: Path, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    port = _free_port()
    command = ["hypercorn", "cpuwatch.web:app", "-b", f"127.0.0.1:{port}"]
    started = datetime.now(UTC)
    with _serving(command, port, tmp_path / "server.log"):
        outcome = _drive(port, duration, tmp_path / "samples", _progress_line(pytestconfig, duration))

    sent_ns, latencies_ns = client.read_samples(tmp_path / "samples")
    run = Run(
        started=started.isoformat(timespec="seconds"),
        seconds=duration,
        connections=CLIENTS,
        summary=summarise(latencies_ns, outcome.elapsed_ns),
        outcome=outcome,
        requests_each_second=each_second(sent_ns, latencies_ns, int(duration)),
        environment=_environment(command),
    )
    page = reports / "perf.html"
    page.write_text(render(run), encoding="utf-8")
    (reports / "perf.json").write_text(json.dumps(asdict(run), indent=1), encoding="utf-8")
    pytestconfig.stash[finished] = run, page

    assert outcome.failures == {}
    assert outcome.requests > 0
    # One a second on each connection, at the least.
    assert outcome.checked_bodies >= CLIENTS * int(duration)
