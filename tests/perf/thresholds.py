"""The limits of the scenario. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from benchmarks.loadgen.results import FailureKind, Memory, Threshold

__all__ = ["thresholds"]

MAX_MEMORY_GROWTH_PERCENT = 5.0
MAX_LATENESS_MS = 20.0


def thresholds(
    requests: int,
    failures: Iterable[FailureKind],
    memory: Memory | None,
    lateness_p99_ms: float | None,
    machine_changed: bool = False,
) -> list[Threshold]:
    """Each limit and the value found. An unknown value fails.

    The server's memory follows the number of processes. It is not judged in a run during which that number changed.
    """
    counts = Counter[str]()
    for failure in failures:
        counts[failure.kind] += failure.count
    rows = [
        Threshold("answered requests", "at least 1", f"{requests:,}", requests > 0),
        _none_of("failed requests, of any kind", counts.total()),
        _none_of("answers with stale data", counts["stale"]),
        _none_of("answers with data older than before", counts["sequence"]),
    ]
    if not machine_changed:
        growth = (
            None
            if memory is None
            else 100 * (memory.at_end_bytes - memory.after_warm_up_bytes) / memory.after_warm_up_bytes
        )
        rows.append(_at_most("growth of the server's memory after the warm-up", MAX_MEMORY_GROWTH_PERCENT, growth, "%"))
    return [*rows, _at_most("tick lateness under load, p99", MAX_LATENESS_MS, lateness_p99_ms, "ms")]


def _none_of(name: str, count: int) -> Threshold:
    return Threshold(name, "0", f"{count:,}", count == 0)


def _at_most(name: str, allowed: float, found: float | None, unit: str) -> Threshold:
    text = "unknown" if found is None else f"{found:.2f} {unit}"
    return Threshold(name, f"{allowed:g} {unit}", text, found is not None and found <= allowed)
