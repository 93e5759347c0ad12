"""Writes lines to a file descriptor without making the caller wait.

A pipe that nobody reads, a stopped terminal or a hung disk blocks ``write(2)``. With logging's own StreamHandler the
thread that logs waits for it and holds the handler's lock meanwhile, so all other threads wait too.
logging.handlers.QueueListener does not solve this: it writes through a buffered stream, whose lock blocks the exit of
the interpreter, and stopping it needs room in the queue.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable

__all__ = ["LogWriter"]

_MAX_LINES = 1000
_CLOSE_SECONDS = 0.5


class LogWriter:
    """Writes lines to ``descriptor`` in a thread. The caller owns the descriptor and closes it.

    At most ``max_lines`` lines are queued while up to as many are being written. Further lines are dropped. Once
    writing works again, a line from ``describe_dropped`` reports their number.
    """

    def __init__(self, descriptor: int, describe_dropped: Callable[[int], str], max_lines: int = _MAX_LINES) -> None:
        self._descriptor = descriptor
        self._describe_dropped = describe_dropped
        self._max_lines = max_lines
        self._lines: list[str] = []
        self._dropped = 0
        self._closed = False
        self._changed = threading.Condition()
        # A daemon: a write that never ends must not keep the process from exiting.
        self._thread = threading.Thread(target=self._run, name="cpuwatch-log", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Queue a line, given without its line end. Returns at once."""
        with self._changed:
            if len(self._lines) < self._max_lines:
                self._lines.append(line)
            else:
                self._dropped += 1
            self._changed.notify()

    def drop(self) -> None:
        """Count a line that could not be formatted."""
        with self._changed:
            self._dropped += 1
            self._changed.notify()

    def close(self, timeout: float = _CLOSE_SECONDS) -> None:
        """Write the queued lines and end the thread; wait at most ``timeout`` seconds."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines or self._dropped or self._closed)
                # The dropped lines came after these, which filled the queue.
                lines, self._lines = self._lines, []
                dropped, self._dropped = self._dropped, 0
                if not (lines or dropped):
                    return
            lost = dropped + self._write(lines)
            if lost and self._write([self._describe_dropped(lost)]):
                with self._changed:
                    self._dropped += lost
                    if self._closed:
                        return
                    # Wait for a new line: an immediate retry would fail again.
                    self._changed.wait_for(lambda: self._lines or self._closed)

    def _write(self, lines: list[str]) -> int:
        """Write the lines; returns how many of them were lost."""
        for number, line in enumerate(lines):
            try:
                self._write_all(line.encode("utf-8", "backslashreplace") + b"\n")
            except OSError:  # the reader is gone, the disk is full
                return len(lines) - number
        return 0

    def _write_all(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:  # another process made it non-blocking
                poll = select.poll()
                poll.register(self._descriptor, select.POLLOUT)
                poll.poll()
