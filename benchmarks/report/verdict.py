"""The verdict on a run, which stands above all figures."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.loadgen.results import Results
from benchmarks.report import figures

__all__ = ["Verdict", "verdict"]

_FULL_SECONDS = 300
"""The length of the scenario. A shorter run is marked as one."""


class Verdict(NamedTuple):
    """A word, its style class, and the sentence that explains it."""

    word: str
    style: str
    reason: str


def verdict(results: Results) -> list[Verdict]:
    """All verdicts that apply, the most serious first. An invalid or interrupted run never passes."""
    found = []
    if results.invalid is not None:
        found.append(Verdict("INVALID", "fail", f"The figures cannot be used: {results.invalid}."))
    failed = [threshold.name for threshold in results.thresholds if not threshold.passed]
    if failed:
        found.append(Verdict("FAIL", "fail", f"Threshold exceeded: {', '.join(failed)}."))
    if results.partial:
        spans = figures.duration(results.seconds), figures.duration(results.wanted_seconds)
        found.append(Verdict("PARTIAL", "warn", f"Interrupted after {spans[0]} of {spans[1]}."))
    if not results.thresholds and not found:
        found.append(Verdict("NOT JUDGED", "warn", "The run has no thresholds."))
    elif not found:
        found.append(Verdict("PASS", "pass", f"All thresholds are met ({len(results.thresholds)})."))
    if results.wanted_seconds < _FULL_SECONDS:
        spans = figures.duration(results.wanted_seconds), figures.duration(_FULL_SECONDS)
        reason = f"{spans[0]} instead of {spans[1]}: a first impression, too short to compare."
        found.append(Verdict("SHORT RUN", "warn", reason))
    return found
