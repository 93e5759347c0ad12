"""Stops the process at a signal, even if something hangs.

A thread reads signal numbers from a file descriptor (``signal.set_wakeup_fd``). A Python signal handler needs the main
thread, and one of asyncio the event loop; either may be what hangs.
"""

from __future__ import annotations

import faulthandler
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

__all__ = ["HARD_STOP_EXIT_CODE", "stopping_at_signals", "write_if_possible"]

HARD_STOP_EXIT_CODE = 1

_STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_IGNORED = (signal.SIGUSR1, signal.SIGUSR2)
"""By default they kill the process. Log rotation tools send them to services that reopen their log."""

_LAST_RESORT_SECONDS = 0.25


class _Watch:
    """The thread that reads signal numbers."""

    def __init__(
        self,
        numbers: socket.socket,
        on_stop: Callable[[signal.Signals], object],
        on_ignored: Callable[[signal.Signals], object],
        on_hard_stop: Callable[[signal.Signals], object],
        stop_seconds: float,
    ) -> None:
        self._numbers = numbers
        self._on_stop = on_stop
        self._on_ignored = on_ignored
        self._on_hard_stop = on_hard_stop
        self._stop_seconds = stop_seconds
        # Now, because there may be no free descriptor or thread at the time of the signal.
        self._nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="cpuwatch-signals", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while data := self._numbers.recv(64):
            for number in map(signal.Signals, data):
                if number in _STOP:
                    self._stop(number)
                elif number in _IGNORED:
                    self._on_ignored(number)

    def _stop(self, number: signal.Signals) -> None:
        deadline = time.monotonic() + self._stop_seconds
        # A C thread, which needs no GIL: it ends a process that hangs while the interpreter exits, when Python threads
        # no longer run.
        with suppress(RuntimeError):
            faulthandler.dump_traceback_later(self._stop_seconds + _LAST_RESORT_SECONDS, exit=True, file=self._nowhere)
        try:
            self._on_stop(number)
        finally:
            time.sleep(max(0, deadline - time.monotonic()))
            try:
                self._on_hard_stop(number)
            finally:
                os._exit(HARD_STOP_EXIT_CODE)


@contextmanager
def stopping_at_signals(
    on_stop: Callable[[signal.Signals], object],
    on_ignored: Callable[[signal.Signals], object],
    on_hard_stop: Callable[[signal.Signals], object],
    stop_seconds: float,
) -> Iterator[None]:
    """Call ``on_stop`` once at SIGINT, SIGTERM, SIGHUP or SIGQUIT, and ``on_ignored`` at SIGUSR1 or SIGUSR2.

    ``stop_seconds`` after the first stop signal, unless the process has exited by then, ``on_hard_stop`` is called and
    the process exits with code 1. That deadline also applies after the block. Callbacks run in a separate thread.
    SIGHUP stays ignored if it is (``nohup``). Enter the block in the main thread.
    """
    numbers, kernel = socket.socketpair()
    kernel.setblocking(False)
    _Watch(numbers, on_stop, on_ignored, on_hard_stop, stop_seconds)
    with ExitStack() as stack:
        stack.callback(kernel.close)
        for number in (*_STOP, *_IGNORED):
            if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue
            stack.callback(signal.signal, number, signal.signal(number, _leave_to_watch))
        before = signal.set_wakeup_fd(kernel.fileno(), warn_on_full_buffer=False)
        stack.callback(signal.set_wakeup_fd, before)
        yield


def _leave_to_watch(*_: object) -> None:
    """Do nothing; a signal without a Python handler does not reach the file descriptor."""


def write_if_possible(descriptor: int, line: str) -> None:
    """Write one line, truncated to what a pipe accepts atomically; do nothing if that would block."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    with suppress(OSError):
        # POLLOUT means room for at least PIPE_BUF bytes (pipe(7)).
        if poll.poll(0) == [(descriptor, select.POLLOUT)]:
            os.write(descriptor, line.encode()[: select.PIPE_BUF - 1] + b"\n")
