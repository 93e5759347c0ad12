"""Real processes for the tests to measure: they use CPU, rename themselves and exit on command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

CHILDREN = Path(__file__).parent / "children"


class Clock(NamedTuple):
    """A measurement that a process takes of itself: an instant, and its CPU time until then."""

    monotonic_ns: int
    cpu_ns: int


class Child:
    """A running process that answers each line of its input."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid

    def command(self, line: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self.answer()

    def answer(self) -> str:
        assert self._process.stdout is not None
        answer = self._process.stdout.readline().strip()
        assert answer, f"process {self.pid} ended instead of answering"
        return answer

    def end(self) -> None:
        """Kill the process. It remains a zombie until it is reaped."""
        self._process.kill()

    def reap(self) -> None:
        self._process.wait()


class Puppet(Child):
    """A process that executes commands; see children/puppet.py."""

    def clock(self) -> Clock:
        return _clock(self.command("clock"))

    def burn(self, load: float, threads: int = 1) -> None:
        """Use this many CPUs in each of this many threads from now on."""
        self.command(f"burn {load} {threads}")

    def spend(self, milliseconds: int) -> Clock:
        """Use this much CPU time now; return the clock after it."""
        return _clock(self.command(f"spend {milliseconds}"))

    def rename(self, name: bytes) -> None:
        self.command(f"rename {name.hex()}")

    def title(self, text: bytes) -> None:
        """Overwrite its arguments with this title, which must be shorter."""
        self.command(f"title {text.hex()}")

    def become(self, user_id: int) -> None:
        self.command(f"become {user_id}")

    def execute(self, program: Path) -> None:
        assert self.command(f"execute {program}") == "ready"


@contextmanager
def puppet() -> Iterator[Puppet]:
    with started("puppet.py") as process:
        child = Puppet(process)
        assert child.answer() == "ready"
        yield child


@contextmanager
def started(program: str) -> Iterator[subprocess.Popen[str]]:
    """Run this file of children/. The process is always killed and reaped at the end."""
    # Without site-packages, because a child must start fast and does not need them.
    command = [sys.executable, "-I", "-S", str(CHILDREN / program)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def open_paths() -> list[str]:
    """Return the paths of the open files of this process."""
    paths = []
    for link in Path("/proc/self/fd").iterdir():
        # The descriptor of the listing itself is closed by now.
        with suppress(FileNotFoundError):
            paths.append(str(link.readlink()))
    return paths


def _clock(answer: str) -> Clock:
    monotonic_ns, cpu_ns = answer.split()
    return Clock(int(monotonic_ns), int(cpu_ns))


@contextmanager
def shell_loop() -> Iterator[int]:
    """Run a shell that starts short-lived processes, one after the other. Yields its PID."""
    with subprocess.Popen(["sh", "-c", "while :; do /bin/true; done"]) as shell:
        try:
            yield shell.pid
        finally:
            shell.kill()
