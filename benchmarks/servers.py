"""Starts a server in separate processes and stops it again."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryFile
from typing import NoReturn

from benchmarks import ROOT

__all__ = ["Member", "cpu_ns", "exit_on_sigterm", "find_program", "free_port", "members", "serving"]

_START_SECONDS = 20
_STOP_SECONDS = 20


def find_program(name: str) -> str | None:
    """The command beside this interpreter, even if its environment is not activated; else the one on the PATH."""
    return shutil.which(name, path=Path(sys.executable).parent) or shutil.which(name)


def free_port() -> int:
    """A TCP port of 127.0.0.1 with no listener."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def exit_on_sigterm() -> None:
    """Make SIGTERM raise ``SystemExit`` from now on, so that the servers of all open blocks stop."""
    signal.signal(signal.SIGTERM, _exit)


def _exit(number: int, _: object) -> NoReturn:
    sys.exit(128 + number)


@contextmanager
def serving(
    command: Sequence[str],
    port: int,
    path: str,
    environment: Mapping[str, str] | None = None,
    start_seconds: float = _START_SECONDS,
) -> Iterator[int]:
    """A server for the time of the block, from when ``path`` answers 200. Yields its PID, which is also its session's.

    Raises ``RuntimeError`` with the server's output if it does not come up.
    """
    with TemporaryFile() as log:
        server = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            # Servers import the bare app from the directory in which they start.
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            # A separate group: Hypercorn is several processes, and none of them may stay behind.
            start_new_session=True,
        )
        try:
            if not _comes_up(server, port, path, start_seconds):
                log.seek(0)
                raise RuntimeError(f"{shlex.join(command)} did not come up:\n{log.read().decode(errors='replace')}")
            yield server.pid
        finally:
            server.terminate()
            try:
                server.wait(_STOP_SECONDS)
            finally:
                if server.poll() is None:
                    os.killpg(server.pid, signal.SIGKILL)
                    server.wait()


def _comes_up(server: subprocess.Popen[bytes], port: int, path: str, start_seconds: float) -> bool:
    deadline = time.monotonic() + start_seconds
    while time.monotonic() < deadline and server.poll() is None:
        connection = HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return True
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.05)
    return False


@dataclass(frozen=True, slots=True)
class Member:
    """One process of a server."""

    pid: int
    command: str

    @property
    def role(self) -> str:
        """The purpose of the process: Hypercorn spawns Python for its workers and for multiprocessing's tracker."""
        if "resource_tracker" in self.command:
            return "resource tracker"
        return "worker" if "spawn_main" in self.command else "main"


def members(leader: int) -> list[Member]:
    """The processes of the session that the server leads."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # After the name: state, parent, group, session (proc_pid_stat(5)).
            session = int(path.read_bytes().rpartition(b")")[2].split()[3])
            command = path.with_name("cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        if session == leader:
            found.append(Member(int(path.parent.name), command))
    return sorted(found, key=lambda member: member.pid)


def cpu_ns(pid: int) -> int:
    """CPU time of the whole process so far (clock_getcpuclockid(3))."""
    return time.clock_gettime_ns((~pid << 3) | 2)
