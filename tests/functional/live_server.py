"""Runs the real server in a separate process, on a port that the kernel chooses."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

# The scripts of this interpreter, whether or not its environment is activated.
SCRIPTS = Path(sys.executable).parent

HYPERCORN = (str(SCRIPTS / "hypercorn"), "cpuwatch.web:app", "-b", "127.0.0.1:0")
CPUWATCH_SERVE = (str(SCRIPTS / "cpuwatch"), "serve", "--bind", "127.0.0.1:0")

_START_SECONDS = 30
_STOP_SECONDS = 30
_RUNNING_ON = re.compile(r"Running on (https?://(?:127\.0\.0\.1:[0-9]+|unix:[^ ]+))")


def environment(**settings: str) -> dict[str, str]:
    """Return the environment for a command: that of the tests, with only these settings of cpuwatch and Python.

    Terminals set ``COLUMNS``, tox sets ``PYTHONIOENCODING``, and containers often set ``PYTHONUNBUFFERED``. All of
    them would affect the tests.
    """
    ours = ("CPUWATCH_", "PYTHON", "COLUMNS")
    others = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return others | settings


class Server:
    """A running server. A signal stops it; its output remains readable."""

    def __init__(self, command: tuple[str, ...], **settings: str) -> None:
        # A new session, because `hypercorn` starts a worker process, which must be killed with it.
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(**settings),
            start_new_session=True,
        )
        self._lines: list[str] = []
        self._url: str | None = None
        self._started = threading.Event()
        # Read the log continuously: a server that blocks on a full pipe does not serve.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def url(self) -> str:
        """The address of the server. Waits until it listens."""
        assert self._started.wait(_START_SECONDS), f"the server did not start:\n{self.output}"
        assert self._url is not None, f"the server exited at its start:\n{self.output}"
        return self._url

    def refused(self) -> bool:
        """Return whether the server failed to start. Waits until it listens or has exited."""
        assert self._started.wait(_START_SECONDS), f"the server did not start:\n{self.output}"
        return self._url is None

    @property
    def output(self) -> str:
        """The output so far, of both streams."""
        return "".join(self._lines)

    def wait_until_ready(self, client: httpx.Client) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while client.get("/readyz").status_code != 200:
            assert time.monotonic() < deadline, f"the server does not become ready:\n{self.output}"
            time.sleep(0.02)

    def stop(self, number: signal.Signals = signal.SIGTERM, within: float = _STOP_SECONDS) -> int:
        """Send the signal, and return the exit code."""
        self._process.send_signal(number)
        try:
            return self._process.wait(within)
        finally:
            self.clean_up()

    def clean_up(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line)
            if self._url is None and (found := _RUNNING_ON.search(line)):
                self._url = found[1]
                self._started.set()
        self._started.set()


@contextmanager
def running_server(command: tuple[str, ...], **settings: str) -> Iterator[Server]:
    """Start the server with this command, and wait until it is ready. Stops it at the end of the block."""
    server = Server(command, **settings)
    try:
        with httpx.Client(base_url=server.url) as client:
            server.wait_until_ready(client)
        yield server
        server.stop()
    finally:
        server.clean_up()


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run ``cpuwatch`` with these arguments."""
    command = [str(SCRIPTS / "cpuwatch"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment(**settings))
