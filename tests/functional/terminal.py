"""A command in a pseudo-terminal, with an emulated screen."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pyte

__all__ = ["Terminal", "terminal"]

_PATIENCE_SECONDS = 30.0


class Terminal:
    """A running command, its screen as text, and everything that it wrote."""

    def __init__(self, command: tuple[str, ...], columns: int, rows: int, environment: dict[str, str]) -> None:
        self._ours, self._its = pty.openpty()
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self._lock = threading.Lock()
        self.written = b""
        self.resize(columns, rows)
        self.settings_before = termios.tcgetattr(self._its)
        self.process = subprocess.Popen(
            command,
            stdin=self._its,
            stdout=self._its,
            stderr=self._its,
            env={**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **environment},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  no threads use it here
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        with self._lock:
            return "\n".join(self.screen.display)

    @property
    def settings(self) -> list[object]:
        return termios.tcgetattr(self._its)

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        with self._lock:
            self.screen.resize(rows, columns)

    def wait_for(self, condition: str | Callable[[str], bool]) -> str:
        """The screen, as soon as it contains this text or fulfils this condition."""
        holds = condition if callable(condition) else lambda text: condition in text
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not holds(text := self.text):
            assert time.monotonic() < deadline, f"{condition} not on the screen:\n{text}"
            time.sleep(0.02)
        return text

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """The exit code, once the command has ended and all of its output was read."""
        code = self.process.wait(_PATIENCE_SECONDS)
        os.close(self._its)
        self._its = -1
        self._reader.join(_PATIENCE_SECONDS)
        return code

    def hang_up(self) -> None:
        """Close the terminal, as when its window is closed."""
        os.close(self._its)
        self._its = -1
        os.close(self._ours)
        self._ours = -1

    def clean_up(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for descriptor in (self._ours, self._its):
            if descriptor >= 0:
                with suppress(OSError):
                    os.close(descriptor)

    def _read(self) -> None:
        with suppress(OSError):
            while data := os.read(self._ours, 65536):
                with self._lock:
                    self.written += data
                    self._stream.feed(data)


@contextmanager
def terminal(*arguments: str, columns: int = 80, rows: int = 24, **environment: str) -> Iterator[Terminal]:
    """``cpuwatch top`` in a terminal."""
    opened = Terminal((sys.executable, "-m", "cpuwatch", "top", *arguments), columns, rows, environment)
    try:
        yield opened
    finally:
        opened.clean_up()
