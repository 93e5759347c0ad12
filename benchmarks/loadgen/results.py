"""The data of one run, as it lies beside the report: all that the report is made of, and can be made again from.

Plain values: whoever reads them needs neither cpuwatch nor the server. Latencies are summed up here; each single one
would be too many for JSON.
"""

from __future__ import annotations

from pathlib import Path

from msgspec import DecodeError, Struct, ValidationError, json

__all__ = [
    "Calibration",
    "Environment",
    "FailureKind",
    "FixedRate",
    "Freshness",
    "LatencySummary",
    "Memory",
    "Results",
    "Second",
    "Threshold",
    "TickPosition",
    "UnreadableResultsError",
    "read_results",
]

FORMAT = 1
"""Raised when a field changes its meaning."""


class LatencySummary(Struct, frozen=True):
    """Times from sending a request to the last byte of its answer, in milliseconds; None where there were none.

    ``percentiles_ms`` by name (``"p50"`` .. ``"p99.99"``). ``histogram`` holds pairs of (upper bound in ms, count of
    those up to it and above the bound before), bounds in geometric steps, empty bins left out.
    """

    count: int
    mean_ms: float | None
    stddev_ms: float | None
    min_ms: float | None
    max_ms: float | None
    percentiles_ms: dict[str, float | None]
    histogram: list[tuple[float, int]]


class FailureKind(Struct, frozen=True):
    """All failures of one kind, and what the first few were (text from outside: to be escaped)."""

    kind: str
    count: int
    examples: list[str]


class Second(Struct, frozen=True):
    """One second of the measurement. CPU in per cent of one core, memory is resident; None where it is not known."""

    second: int
    requests: int
    errors: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    server_cpu_percent: float | None
    server_rss_bytes: int | None
    client_cpu_percent: float | None
    client_rss_bytes: int | None


class Calibration(Struct, frozen=True):
    """What the client reaches against a server that does nothing, just before the run."""

    seconds: float
    requests_per_second: float
    client_cpu_percent: float


class FixedRate(Struct, frozen=True):
    """The second phase: requests leave at a fixed rate, whether the answers before have come or not.

    ``from_intended`` counts from when a request was to be sent, ``from_sent`` from when it was.
    """

    seconds: float
    wanted_per_second: float
    reached_per_second: float
    from_intended: LatencySummary
    from_sent: LatencySummary
    failures: list[FailureKind]


class Freshness(Struct, frozen=True):
    """Age of the data in the checked answers, in seconds since the snapshot was taken, by the server's clock."""

    checked: int
    p50_seconds: float | None
    p99_seconds: float | None
    max_seconds: float | None


class TickPosition(Struct, frozen=True):
    """Requests by when in the sampling second they were sent: 20 slices of 50 ms, the first begins with the tick."""

    slice: int
    requests: int
    p50_ms: float | None
    p99_ms: float | None


class Memory(Struct, frozen=True):
    """Resident memory of all processes of the server: after the warm-up, at the end, and the highest."""

    after_warm_up_bytes: int
    at_end_bytes: int
    highest_bytes: int


class Threshold(Struct, frozen=True):
    """One row of the verdict, as text: ``"failed requests"``, ``"0"``, ``"0"``, True."""

    name: str
    allowed: str
    found: str
    passed: bool


class Environment(Struct, frozen=True):
    """Where it ran. ``rows`` in the order in which they are shown: CPU model, kernel, Python, server command, ..."""

    rows: dict[str, str]
    git_revision: str | None
    processes_watched: int | None
    shortest_body_bytes: int
    longest_body_bytes: int


class Results(Struct, frozen=True):
    """One run.

    ``wanted_seconds`` is what was asked for, ``seconds`` what was measured; ``partial`` if it was interrupted.
    ``invalid`` says why the figures are not the server's (``"client-bound: ..."``), None if they are.
    ``client_overhead_connections`` is connections - rate x mean time (Little's law): connections that were busy in
    the client, not waiting for the server. ``tick_lateness_ms`` and ``sweep_ms`` are percentiles by name of the
    sampler's own figures while under load. Of the ``checked_bodies`` so many as ``decoded_bodies`` were different ones
    and decoded; all others were compared with these, byte by byte.
    """

    format: int
    started: str
    url: str
    connections: int
    wanted_seconds: float
    seconds: float
    warm_up_seconds: float
    partial: bool
    invalid: str | None
    requests: int
    requests_per_second: float
    reconnects: int
    checked_bodies: int
    latency: LatencySummary
    failed_latency: LatencySummary
    failures: list[FailureKind]
    seconds_log: list[Second]
    calibration: Calibration
    client_cpu_percent: float
    client_overhead_connections: float | None
    fixed_rate: FixedRate | None
    freshness: Freshness
    tick_positions: list[TickPosition]
    tick_lateness_ms: dict[str, float | None]
    sweep_ms: dict[str, float | None]
    memory: Memory | None
    thresholds: list[Threshold]
    environment: Environment
    decoded_bodies: int = 0


class UnreadableResultsError(Exception):
    """A file that is not there, is broken or not of our format; the message says which, in one line."""


class _Format(Struct):
    format: int


def read_results(file: Path) -> Results:
    """The data of a run."""
    try:
        data = file.read_bytes()
        found = json.decode(data, type=_Format).format
        if found != FORMAT:
            raise UnreadableResultsError(f"{file}: its format is {found}, this command reads {FORMAT}")
        return json.decode(data, type=Results)
    except OSError as error:
        raise UnreadableResultsError(f"{file}: {error.strerror}") from error
    except ValidationError as error:
        raise UnreadableResultsError(f"{file}: not the data of a run: {error}") from error
    except DecodeError as error:
        raise UnreadableResultsError(f"{file}: no whole JSON: {error}") from error
