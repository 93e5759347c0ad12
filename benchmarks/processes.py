"""Starts processes to watch, few or thousands, and ends them without a trace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from benchmarks import burner, nursery

__all__ = ["burning", "count_processes", "forked"]

_ENDING_SECONDS = 60


@contextmanager
def burning(count: int, cpu: int, threads: int = 1) -> Iterator[list[int]]:
    """The PIDs of processes whose threads all want to run on this CPU all the time."""
    command = [sys.executable, "-I", "-S", burner.__file__, str(cpu), str(threads)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        yield [process.pid for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()


@contextmanager
def forked(count: int, active_share: float = 0.0, *, pause: float = 0.2, spin: float = 0.0002) -> Iterator[None]:
    """``count`` running processes for the time of the block.

    Most block in a read; ``active_share`` of them spin for ``spin`` seconds of CPU time after each ``pause``, so that
    their clocks move every second. The default spin is short: 250 active processes that spin for 1 ms use more than
    a whole core, which the measured program then lacks.

    All of them read from one pipe and end when its only writer, this process, closes it or dies. Raises
    ``RuntimeError`` if the system refuses that number of processes.
    """
    if count == 0:
        yield
        return
    script = [sys.executable, "-I", "-S", nursery.__file__]
    with subprocess.Popen(
        [*script, str(count), str(active_share), str(pause), str(spin)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Ctrl-C reaches only this process; the others end when it closes the pipe.
        start_new_session=True,
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        try:
            _wait_until_ready(parent.stdout, count)
            yield
        finally:
            parent.stdin.close()
            try:
                parent.wait(_ENDING_SECONDS)
            except BaseException:
                # Stuck, or a second Ctrl-C.
                os.killpg(parent.pid, signal.SIGKILL)
                raise


def _wait_until_ready(signs: IO[bytes], count: int) -> None:
    ready = 0
    while ready < count:
        data = os.read(signs.fileno(), 65_536)
        if not data or nursery.FAILED in data:
            reason = data.partition(nursery.FAILED)[2].decode(errors="replace").partition("\n")[0]
            raise RuntimeError(f"only {ready} of {count} processes started: {reason or 'their parent ended'}")
        ready += data.count(nursery.READY)


def count_processes() -> int:
    """The number of processes on this machine."""
    return sum(entry.name.isdigit() for entry in Path("/proc").iterdir())
