"""What a run has to keep to, and when its figures are not the server's. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from .results import FailureKind, Memory, Threshold

__all__ = ["client_bound", "thresholds"]

LARGEST_GROWTH_PERCENT = 5.0
LARGEST_LATENESS_MS = 20.0
LARGEST_CLIENT_CPU_PERCENT = 80.0
LARGEST_SHARE_OF_CEILING = 2 / 3


def thresholds(
    requests: int, failures: Iterable[FailureKind], memory: Memory | None, lateness_p99_ms: float | None
) -> list[Threshold]:
    """Each with what was found; what is not known does not pass."""
    counts: dict[str, int] = {}
    for failure in failures:
        counts[failure.kind] = counts.get(failure.kind, 0) + failure.count
    failed = sum(counts.values())
    growth = (
        None
        if memory is None
        else 100 * (memory.at_end_bytes - memory.after_warm_up_bytes) / memory.after_warm_up_bytes
    )
    return [
        Threshold("answered requests", "at least 1", f"{requests:,}", requests > 0),
        Threshold("failed requests, of any kind", "0", f"{failed:,}", failed == 0),
        _none_of("answers with stale data", counts.get("stale", 0)),
        _none_of("answers with data older than before", counts.get("sequence", 0)),
        _at_most("growth of the server's memory after the warm-up", LARGEST_GROWTH_PERCENT, growth, "%"),
        _at_most("tick lateness under load, p99", LARGEST_LATENESS_MS, lateness_p99_ms, "ms"),
    ]


def _none_of(name: str, count: int) -> Threshold:
    return Threshold(name, "0", f"{count:,}", count == 0)


def _at_most(name: str, allowed: float, found: float | None, unit: str) -> Threshold:
    text = "not known" if found is None else f"{found:.2f} {unit}"
    return Threshold(name, f"{allowed:g} {unit}", text, found is not None and found <= allowed)


def client_bound(client_cpu_percent: float, per_second: float, ceiling_per_second: float) -> str | None:
    """Why the client was what was measured, not the server; None if it was not."""
    if client_cpu_percent > LARGEST_CLIENT_CPU_PERCENT:
        return f"client-bound: the client used {client_cpu_percent:.0f} % of its core"
    if per_second > LARGEST_SHARE_OF_CEILING * ceiling_per_second:
        return (
            f"client-bound: {per_second:,.0f} requests a second, and the client reaches "
            f"{ceiling_per_second:,.0f} against a server that does nothing"
        )
    return None
