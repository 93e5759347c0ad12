"""The output of the client's process: lines of JSON, and a file with the times of each request."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field, fields
from pathlib import Path

from msgspec import Struct
from msgspec.json import Decoder

from benchmarks.loadgen.results import FailureKind

__all__ = ["Message", "Outcome", "Progress", "Samples", "Started", "Tick", "parse_line"]


class Started(Struct, frozen=True, tag="started"):
    """The first line: the start of the measurement by ``time.perf_counter_ns``, which Linux processes share."""

    starts_ns: int


class Progress(Struct, frozen=True, tag="progress"):
    """The progress without the warm-up, during which ``seconds`` is negative."""

    seconds: float
    requests: int
    failures: int


class Tick(Struct, frozen=True):
    """A snapshot that the client saw: its time since the start of the measurement, and the sampler's own figures."""

    at_ns: int
    lateness_ms: float | None
    sweep_ms: float


class Outcome(Struct, frozen=True, tag="outcome"):
    """The last line: the results of all connections between the end of the warm-up and the last response.

    ``failures`` includes those of the warm-up. ``reconnects`` counts connections that the server closed in good order,
    which is not a failure. The client checked status, length and body of every response; it decoded
    ``decoded_bodies`` new bodies, and all others were equal to one of them.
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
    """Parse a line of the client."""
    return _decoder.decode(line)


def _integers() -> array[int]:
    return array("q")


@dataclass(slots=True)
class Samples:
    """The times of each request in ns, packed.

    Successes: when it was sent (since the start of the measurement), how late after it was due (0 in a closed loop),
    from sending to the last byte of the response, and the age of its data (absent if bodies are not checked).
    Failures: when it was sent, and how long it took to fail.
    """

    sent_ns: array[int] = field(default_factory=_integers)
    late_ns: array[int] = field(default_factory=_integers)
    latency_ns: array[int] = field(default_factory=_integers)
    age_ns: array[int] = field(default_factory=_integers)
    failed_sent_ns: array[int] = field(default_factory=_integers)
    failed_latency_ns: array[int] = field(default_factory=_integers)

    def write(self, path: Path) -> None:
        """Write a file of native 64-bit integers: the length of each column, then the columns."""
        columns: list[array[int]] = [getattr(self, each.name) for each in fields(self)]
        with path.open("wb") as file:
            for column in [array("q", map(len, columns)), *columns]:
                column.tofile(file)

    @classmethod
    def read(cls, path: Path) -> Samples:
        """Read such a file."""
        columns = [_integers() for _ in fields(cls)]
        with path.open("rb") as file:
            lengths = _integers()
            lengths.fromfile(file, len(columns))
            for column, length in zip(columns, lengths, strict=True):
                column.fromfile(file, length)
        return cls(*columns)
