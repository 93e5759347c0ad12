"""Checks what stands in the answers on one connection."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Protocol

from msgspec import DecodeError, Struct
from msgspec.json import Decoder

from .books import Books, Kind
from .outcome import Tick

__all__ = ["AnyBody", "BadAnswerError", "BodyCheck", "Check"]


class _Row(Struct, frozen=True):
    pid: int
    key: str
    name: str
    cpu_percent: float | None


class _Sampling(Struct, frozen=True):
    lateness_seconds: float | None = None


class _Snapshot(Struct, frozen=True):
    sequence: int
    time: datetime
    interval_seconds: float
    sweep_seconds: float
    processes: list[_Row]
    sampling: _Sampling = _Sampling()


_decoder = Decoder(_Snapshot)


class BadAnswerError(Exception):
    """An answer that came whole and is wrong."""

    def __init__(self, kind: Kind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


class Check(Protocol):
    """Looks at every body on one connection."""

    def check(self, buffer: bytearray, start: int, end: int, now_ns: int) -> int | None:
        """The age in ns of the data in the body, which stands between these offsets; None if it does not tell.

        Raises ``BadAnswerError``.
        """


class AnyBody:
    """Takes every body that came whole: for servers that are not cpuwatch."""

    def check(self, _buffer: bytearray, _start: int, _end: int, _now_ns: int) -> None:
        """Nothing to be found."""


class BodyCheck:
    """Looks at every body: it decodes, its sequence is not below the one before, its data is not old.

    The server sends the same bytes until its next tick. A body that equals the last good one is as good as that, so
    each different one is decoded once and all others are compared: 1 µs instead of 100.
    """

    def __init__(self, books: Books) -> None:
        self._books = books
        self._good = b""
        self._sequence = -1
        self._taken_ns = 0
        self._stale_after_ns = 0.0

    def check(self, buffer: bytearray, start: int, end: int, now_ns: int) -> int:
        """The age in ns of the data in the body, which stands between these offsets. Raises BadAnswerError."""
        good = self._good
        if not (good and len(good) == end - start and buffer.startswith(good, start)):
            self._decode(bytes(memoryview(buffer)[start:end]))
        age_ns = now_ns - self._taken_ns
        if age_ns > self._stale_after_ns:
            raise BadAnswerError("stale", f"data of {age_ns / 1e9:.3f} s ago (sequence {self._sequence})")
        return age_ns

    def _decode(self, body: bytes) -> None:
        try:
            snapshot = _decoder.decode(body)
        except (DecodeError, UnicodeDecodeError) as error:
            raise BadAnswerError("JSON", f"{error}; it begins {body[:100]!r}") from error
        if snapshot.sequence < self._sequence:
            raise BadAnswerError("sequence", f"{snapshot.sequence} after {self._sequence}")
        self._good = body
        self._sequence = snapshot.sequence
        # From the time of day to the clock of the latencies; anew for each snapshot, because the two drift apart.
        age_ns = time.time_ns() - round(snapshot.time.timestamp() * 1e9)
        self._taken_ns = time.perf_counter_ns() - age_ns
        self._stale_after_ns = self._books.stale_after_intervals * max(1.0, snapshot.interval_seconds) * 1e9
        lateness = snapshot.sampling.lateness_seconds
        self._books.see(
            snapshot.time,
            Tick(
                at_ns=self._taken_ns - self._books.starts_ns,
                lateness_ms=None if lateness is None else lateness * 1e3,
                sweep_ms=snapshot.sweep_seconds * 1e3,
            ),
            len(snapshot.processes),
        )
