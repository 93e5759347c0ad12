"""The data of one run, in a file beside the report: everything that the report needs.

Plain values, readable without cpuwatch or the server. Latencies are summaries: the single ones are too many for JSON.
"""

from __future__ import annotations

from pathlib import Path

from msgspec import DecodeError, Struct, ValidationError, json

__all__ = [
    "Calibration",
    "Environment",
    "FailureKind",
    "FixedRate",
    "LatencySummary",
    "Memory",
    "Results",
    "Second",
    "Threshold",
    "UnreadableResultsError",
    "read_results",
]

FORMAT = 1
"""Raised when a field changes its meaning."""


class LatencySummary(Struct, frozen=True):
    """Times from sending a request to the last byte of its response, in milliseconds; None if there were none.

    ``percentiles_ms`` by name (``"p50"`` .. ``"p99.99"``).
    """

    count: int
    mean_ms: float | None
    stddev_ms: float | None
    min_ms: float | None
    max_ms: float | None
    percentiles_ms: dict[str, float | None]


class FailureKind(Struct, frozen=True):
    """All failures of one kind, with the first few as examples (text from outside)."""

    kind: str
    count: int
    examples: list[str]


class Second(Struct, frozen=True):
    """One second of the measurement. CPU in percent of one core, memory is resident; None if unknown."""

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
    """The client's rate against a server that does nothing, just before the run."""

    seconds: float
    requests_per_second: float
    client_cpu_percent: float


class FixedRate(Struct, frozen=True):
    """The second phase: requests leave at a fixed rate, regardless of earlier responses.

    ``from_intended`` counts from when a request was due, ``from_sent`` from when it was sent.
    """

    seconds: float
    wanted_per_second: float
    reached_per_second: float
    from_intended: LatencySummary
    from_sent: LatencySummary
    failures: list[FailureKind]


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

    ``wanted_seconds`` was requested, ``seconds`` measured; ``partial`` if the run was interrupted.
    ``invalid`` says why the figures are not the server's (``"client-bound: ..."``), None if they are.
    Percentiles by name: ``age_ms`` of the data in the responses, by the server's clock; ``tick_lateness_ms`` and
    ``sweep_ms`` of the sampler's own figures under load. The client
    decoded ``decoded_bodies`` different bodies and compared all others with these, byte by byte.
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
    latency: LatencySummary
    failed_latency: LatencySummary
    failures: list[FailureKind]
    seconds_log: list[Second]
    calibration: Calibration
    client_cpu_percent: float
    fixed_rate: FixedRate | None
    age_ms: dict[str, float | None]
    tick_lateness_ms: dict[str, float | None]
    sweep_ms: dict[str, float | None]
    memory: Memory | None
    thresholds: list[Threshold]
    environment: Environment
    decoded_bodies: int = 0


class UnreadableResultsError(Exception):
    """The file is missing, broken or of another format; the message says which, in one line."""


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
