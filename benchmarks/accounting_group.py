"""A separate cgroup: the kernel's independent count of a process group's CPU time, in nanoseconds.

The functional tests use it too.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

__all__ = ["AccountingGroup", "NoGroupError", "accounting_group", "used_ns"]

_ROOT = Path("/sys/fs/cgroup")
_PATIENCE_SECONDS = 10.0


class NoGroupError(Exception):
    """No cgroup can be created here; the message says why."""


class AccountingGroup(NamedTuple):
    """``folder`` of the cgroup, the ``counter`` file in it, and its ``path`` as /proc/PID/cgroup shows it."""

    folder: Path
    counter: Path
    path: str

    @contextmanager
    def running(self, command: Sequence[str], *, user: int | None = None) -> Iterator[None]:
        """Run the command in the group for the time of the block. All its processes end with the block."""
        # The shell enters the group before it becomes the command, so that no CPU time is used outside.
        enter = f'echo $$ > "{self.folder}/cgroup.procs" && exec "$@"'
        become = [] if user is None else ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        process = subprocess.Popen(["sh", "-c", enter, "sh", *become, *command], stdout=subprocess.DEVNULL)
        try:
            self._wait_for_first()
            yield
        finally:
            self.end_all()
            process.wait()

    def _members(self) -> list[str]:
        return (self.folder / "cgroup.procs").read_text().split()

    def _wait_for_first(self) -> None:
        until = time.monotonic() + _PATIENCE_SECONDS
        while not self._members():
            assert time.monotonic() < until, "no process entered the group"

    def end_all(self) -> None:
        """End all processes in the group."""
        until = time.monotonic() + _PATIENCE_SECONDS
        while members := self._members():
            assert time.monotonic() < until, f"processes do not end: {members}"
            for pid in members:
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)


@contextmanager
def accounting_group(suffix: str = "") -> Iterator[AccountingGroup]:
    """A new cgroup, of version 1 (cpuacct) or 2, for the time of the block; else :class:`NoGroupError`."""
    name = f"cpuwatch-test-{os.getpid()}{suffix}"
    if (_ROOT / "cpuacct").is_dir():
        folder, counter = _ROOT / "cpuacct" / name, "cpuacct.usage"
    else:
        folder, counter = _ROOT / name, "cpu.stat"
    try:
        folder.mkdir()
    except OSError as error:
        raise NoGroupError(f"cannot create a cgroup: {error}") from error
    try:
        own = next(line for line in Path("/proc/self/cgroup").read_text().splitlines() if _is_of(line, counter))
        yield AccountingGroup(folder, folder / counter, f"{own.split(':', 2)[2].rstrip('/')}/{name}")
    finally:
        folder.rmdir()


def used_ns(counter: Path) -> int:
    """The group's CPU time so far: cpuacct.usage in nanoseconds, or usage_usec of cpu.stat."""
    words = counter.read_text().split()
    return int(words[0]) if len(words) == 1 else int(words[words.index("usage_usec") + 1]) * 1000


def _is_of(line: str, counter: str) -> bool:
    controllers = line.split(":", 2)[1]
    return "cpuacct" in controllers.split(",") if counter == "cpuacct.usage" else not controllers
