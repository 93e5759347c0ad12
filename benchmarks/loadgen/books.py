"""The client's records: successes, failures with their reasons, and the snapshots seen."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from benchmarks.loadgen.outcome import Samples, Tick
from benchmarks.loadgen.results import FailureKind

__all__ = ["Books", "Kind"]

Kind = Literal["connect", "reset", "timeout", "early end", "status", "length", "JSON", "sequence", "stale"]
"""All kinds of failure."""

_MAX_EXAMPLES = 5
_MAX_EXAMPLE_LENGTH = 300


class Books:
    """The results of all connections. Requests due before ``starts_ns`` are warm-up and do not count.

    Data older than ``stale_after_intervals`` of the server's sampling is stale.
    """

    def __init__(self, starts_ns: int, stale_after_intervals: float) -> None:
        self.starts_ns = starts_ns
        self.stale_after_intervals = stale_after_intervals
        self.samples = Samples()
        self.last_answer_ns = starts_ns
        self.reconnects = 0
        self.decoded_bodies = 0
        self.shortest_body = 0
        self.longest_body = 0
        self.processes: int | None = None
        self.fewest_processes = 0
        self.most_processes = 0
        self.failed = 0
        self._failures: dict[Kind, tuple[int, list[str]]] = {}
        self._ticks: dict[datetime, Tick] = {}

    def succeed(self, due_ns: int, sent_ns: int, done_ns: int, age_ns: int | None, length: int) -> None:
        """Record a correct response."""
        if due_ns < self.starts_ns:
            return
        samples = self.samples
        samples.sent_ns.append(sent_ns - self.starts_ns)
        samples.late_ns.append(sent_ns - due_ns)
        samples.latency_ns.append(done_ns - sent_ns)
        if age_ns is not None:
            samples.age_ns.append(age_ns)
        self.last_answer_ns = done_ns
        self.longest_body = max(length, self.longest_body)
        self.shortest_body = min(length, self.shortest_body or length)

    def fail(self, kind: Kind, detail: str, sent_ns: int, now_ns: int) -> None:
        """Record a failed request or connection attempt."""
        count, examples = self._failures.get(kind, (0, []))
        if count < _MAX_EXAMPLES:
            examples.append(f"at {(now_ns - self.starts_ns) / 1e9:.3f} s: {detail}"[:_MAX_EXAMPLE_LENGTH])
        self._failures[kind] = count + 1, examples
        self.failed += 1
        if sent_ns >= self.starts_ns:
            self.samples.failed_sent_ns.append(sent_ns - self.starts_ns)
            self.samples.failed_latency_ns.append(now_ns - sent_ns)

    def see(self, taken: datetime, tick: Tick, processes: int) -> None:
        """Record a decoded snapshot, once by its time however often it is decoded."""
        self._ticks[taken] = tick
        self.processes = processes
        if tick.at_ns >= 0:
            self.fewest_processes = min(processes, self.fewest_processes or processes)
            self.most_processes = max(processes, self.most_processes)
        self.decoded_bodies += 1

    @property
    def failures(self) -> list[FailureKind]:
        """By kind, the most frequent first."""
        found = [FailureKind(kind, count, examples) for kind, (count, examples) in self._failures.items()]
        return sorted(found, key=lambda failure: failure.count, reverse=True)

    @property
    def ticks(self) -> list[Tick]:
        """In the order of time."""
        return sorted(self._ticks.values(), key=lambda tick: tick.at_ns)
