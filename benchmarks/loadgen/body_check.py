"""Checks the bodies of the responses on one connection."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Protocol

from msgspec import DecodeError, Struct
from msgspec.json import Decoder

from benchmarks.loadgen.books import Books, Kind
from benchmarks.loadgen.outcome import Tick

__all__ = ["AnyBody", "BadAnswerError", "Bodies", "BodyCheck", "Check"]


class _Row(Struct, frozen=True, gc=False):
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
    """A complete response with a wrong content."""

    def __init__(self, kind: Kind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


class Check(Protocol):
    """Checks every body on one connection."""

    def check(self, buffer: bytearray, start: int, end: int, now_ns: int) -> int | None:
        """The age in ns of the data in the body between these offsets; None if unknown.

        Raises ``BadAnswerError``.
        """


class AnyBody:
    """Accepts every complete body: for servers other than cpuwatch."""

    def check(self, _buffer: bytearray, _start: int, _end: int, _now_ns: int) -> None:
        """Accept it."""


class _Known(Struct, frozen=True):
    """A valid body and its freshness, in ns of ``time.perf_counter_ns``."""

    body: bytes
    sequence: int
    taken_ns: int
    stale_after_ns: float

    def is_at(self, buffer: bytearray, start: int, end: int) -> bool:
        """Whether the bytes between these offsets are the same."""
        return len(self.body) == end - start and buffer.startswith(self.body, start)


class Bodies:
    """Decodes the bodies of all connections.

    The server sends the same bytes until its next tick, so each different body is decoded once for all connections. A
    client that decodes 5,000 rows for 3 ms does not notice other responses meanwhile, and would blame them for it.
    """

    def __init__(self, books: Books) -> None:
        self._books = books
        self._newest: _Known | None = None

    def known(self, buffer: bytearray, start: int, end: int) -> _Known:
        """The body between these offsets. Raises ``BadAnswerError``."""
        newest = self._newest
        if newest is None or not newest.is_at(buffer, start, end):
            self._newest = newest = self._decode(bytes(memoryview(buffer)[start:end]))
        return newest

    def _decode(self, body: bytes) -> _Known:
        try:
            snapshot = _decoder.decode(body)
        except (DecodeError, UnicodeDecodeError) as error:
            raise BadAnswerError("JSON", f"{error}; the body begins with {body[:100]!r}") from error
        # From wall time to the clock of the latencies, for each snapshot, because the two drift apart.
        age_ns = time.time_ns() - round(snapshot.time.timestamp() * 1e9)
        taken_ns = time.perf_counter_ns() - age_ns
        lateness = snapshot.sampling.lateness_seconds
        self._books.see(
            snapshot.time,
            Tick(
                at_ns=taken_ns - self._books.starts_ns,
                lateness_ms=None if lateness is None else lateness * 1e3,
                sweep_ms=snapshot.sweep_seconds * 1e3,
            ),
            len(snapshot.processes),
        )
        stale_after_ns = self._books.stale_after_intervals * max(1.0, snapshot.interval_seconds) * 1e9
        return _Known(body, snapshot.sequence, taken_ns, stale_after_ns)


class BodyCheck:
    """Checks every body: it decodes, its sequence does not decrease, its data is not stale.

    A body that equals the last valid one needs no decoding.
    """

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self._last: _Known | None = None

    def check(self, buffer: bytearray, start: int, end: int, now_ns: int) -> int:
        """The age in ns of the data in the body between these offsets. Raises ``BadAnswerError``."""
        last = self._last
        if last is None or not last.is_at(buffer, start, end):
            known = self._bodies.known(buffer, start, end)
            if last is not None and known.sequence < last.sequence:
                raise BadAnswerError("sequence", f"{known.sequence} after {last.sequence}")
            self._last = last = known
        age_ns = now_ns - last.taken_ns
        if age_ns > last.stale_after_ns:
            raise BadAnswerError("stale", f"data of {age_ns / 1e9:.3f} s ago (sequence {last.sequence})")
        return age_ns
