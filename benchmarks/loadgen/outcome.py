"""What the client's process tells the suite: lines of JSON, and a file with the times of each single request."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field, fields
from pathlib import Path

from msgspec import Struct
from msgspec.json import Decoder

from benchmarks.loadgen.results import FailureKind

__all__ = ["Message", "Outcome", "Progress", "Samples", "Started", "Tick", "parse_line"]


class Started(Struct, frozen=True, tag="started"):
    """The first line: when the measurement begins, by ``time.perf_counter_ns``, which all processes share on Linux."""

    starts_ns: int


class Progress(Struct, frozen=True, tag="progress"):
    """How far it has come, warm-up not counted (``seconds`` is below 0 during that)."""

    seconds: float
    requests: int
    failures: int


class Tick(Struct, frozen=True):
    """A snapshot that was seen: when it was taken, since the start of the measurement, and how its sampling went."""

    at_ns: int
    lateness_ms: float | None
    sweep_ms: float


class Outcome(Struct, frozen=True, tag="outcome"):
    """The last line: what all connections together did between the end of the warm-up and the last answer.

    ``failures`` holds those of the warm-up too: a failure is none the less one for coming early. ``reconnects`` are
    connections that the server closed in good order, which is no failure. Of every answer status, length and body
    were checked; ``decoded_bodies`` were new and decoded, all others were equal to one of these.
    """

    starts_ns: int
    elapsed_ns: int
    client_cpu_ns: int
    requests: int
    reconnects: int
    decoded_bodies: int
    shortest_body: int
    longest_body: int
    processes: int | None
    fewest_processes: int
    most_processes: int
    failures: list[FailureKind]
    ticks: list[Tick]


Message = Started | Progress | Outcome

_decoder: Decoder[Message] = Decoder(Message)


def parse_line(line: bytes) -> Message:
    """A line that the client printed."""
    return _decoder.decode(line)


def _integers() -> array[int]:
    return array("q")


@dataclass(slots=True)
class Samples:
    """The times of each request in ns, packed.

    Of those that succeeded: when it was sent (since the start of the measurement), by how much later than it was due
    (0 in a closed loop), from sending to the last byte of the answer, and the age of the data in it (nothing where
    bodies were not looked at). Of those that failed: when it was sent, and how long it took to fail.
    """

    sent_ns: array[int] = field(default_factory=_integers)
    late_ns: array[int] = field(default_factory=_integers)
    latency_ns: array[int] = field(default_factory=_integers)
    age_ns: array[int] = field(default_factory=_integers)
    failed_sent_ns: array[int] = field(default_factory=_integers)
    failed_latency_ns: array[int] = field(default_factory=_integers)

    def write(self, path: Path) -> None:
        """To a file of native 64-bit integers: the length of each column, then the columns."""
        columns: list[array[int]] = [getattr(self, each.name) for each in fields(self)]
        with path.open("wb") as file:
            for column in [array("q", map(len, columns)), *columns]:
                column.tofile(file)

    @classmethod
    def read(cls, path: Path) -> Samples:
        """From such a file."""
        columns = [_integers() for _ in fields(cls)]
        with path.open("rb") as file:
            lengths = _integers()
            lengths.fromfile(file, len(columns))
            for column, length in zip(columns, lengths, strict=True):
                column.fromfile(file, length)
        return cls(*columns)
