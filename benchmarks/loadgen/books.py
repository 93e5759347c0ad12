"""The books of the client: what succeeded, what failed and why, which snapshots were seen."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from benchmarks.loadgen.outcome import Samples, Tick
from benchmarks.loadgen.results import FailureKind

__all__ = ["Books", "Kind"]

Kind = Literal["connect", "reset", "timeout", "early end", "status", "length", "JSON", "sequence", "stale"]
"""All kinds of failure that there are."""

_EXAMPLES = 5
_LONGEST_EXAMPLE = 300


class Books:
    """What all connections did; requests that were due before ``starts_ns`` are warm-up and not counted.

    Data that is older than ``stale_after_intervals`` of the server's sampling is stale.
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
        """An answer in which all was right."""
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
        """A request, or an attempt to connect, that failed."""
        count, examples = self._failures.get(kind, (0, []))
        if count < _EXAMPLES:
            examples.append(f"at {(now_ns - self.starts_ns) / 1e9:.3f} s: {detail}"[:_LONGEST_EXAMPLE])
        self._failures[kind] = count + 1, examples
        self.failed += 1
        if sent_ns >= self.starts_ns:
            self.samples.failed_sent_ns.append(sent_ns - self.starts_ns)
            self.samples.failed_latency_ns.append(now_ns - sent_ns)

    def see(self, taken: datetime, tick: Tick, processes: int) -> None:
        """A snapshot that was decoded. If more than once, it is kept once, by when it was taken."""
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
