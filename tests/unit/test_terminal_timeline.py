"""The timeline of the terminal: what it looks up in a store for each process."""

from __future__ import annotations

from terminal_screens import process, snapshot

from cpuwatch.history import DEFAULT_HISTORY_BYTES, SnapshotHistory
from cpuwatch.terminal.timeline import Timeline


def test_totals_are_those_of_the_ticks_up_to_the_shown_one() -> None:
    store = SnapshotHistory(100, DEFAULT_HISTORY_BYTES)
    timeline = Timeline(store)
    assert timeline.totals(3) == []
    for sequence in range(1, 7):
        store.append(snapshot(sequence, process(90, 1, "burner", 10.0 * sequence), process(91, 1, "idle", 0.0)))
        timeline.follow()
        shares = [totals["90-1"] for totals in timeline.totals(3)]
        assert shares == [10.0 * tick for tick in range(max(1, sequence - 2), sequence + 1)]
    assert all("91-1" not in totals for totals in timeline.totals(3))
    timeline.step(-2)
    assert [totals["90-1"] for totals in timeline.totals(3)] == [20.0, 30.0, 40.0]
