"""The real server in a process of its own, on a port that the kernel chooses."""

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
    """The environment for a command: that of the tests, with these settings and no others of cpuwatch or Python.

    A terminal may set ``COLUMNS``, tox sets ``PYTHONIOENCODING``, and a container often ``PYTHONUNBUFFERED``: all of
    them change what is tested.
    """
    ours = ("CPUWATCH_", "PYTHON", "COLUMNS")
    others = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return others | settings


class Server:
    """A server that runs. It is stopped by a signal, and what it wrote can be read then."""

    def __init__(self, command: tuple[str, ...], **settings: str) -> None:
        # A session of its own: `hypercorn` starts a worker process, which nobody may leave behind.
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
        self._told = threading.Event()
        # Read all the time: a server that waits for somebody to read its log serves nobody.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def url(self) -> str:
        """Where it listens; waits until it has said so."""
        assert self._told.wait(_START_SECONDS), f"the server did not start:\n{self.output}"
        assert self._url is not None, f"the server ended at its start:\n{self.output}"
        return self._url

    def refused(self) -> bool:
        """Whether it ended at its start; waits until it listens or has ended."""
        assert self._told.wait(_START_SECONDS), f"the server did not start:\n{self.output}"
        return self._url is None

    @property
    def output(self) -> str:
        """What it wrote so far, to either stream."""
        return "".join(self._lines)

    def wait_until_ready(self, client: httpx.Client) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while client.get("/readyz").status_code != 200:
            assert time.monotonic() < deadline, f"the server does not get ready:\n{self.output}"
            time.sleep(0.02)

    def stop(self, number: signal.Signals = signal.SIGTERM, within: float = _STOP_SECONDS) -> int:
        """Its exit code after this signal."""
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
                self._told.set()
        self._told.set()


@contextmanager
def running_server(command: tuple[str, ...], **settings: str) -> Iterator[Server]:
    """The server behind this command, ready to answer; stopped at the end."""
    server = Server(command, **settings)
    try:
        with httpx.Client(base_url=server.url) as client:
            server.wait_until_ready(client)
        yield server
        server.stop()
    finally:
        server.clean_up()


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """The command ``cpuwatch`` with these arguments, run to its end."""
    command = [str(SCRIPTS / "cpuwatch"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment(**settings))
