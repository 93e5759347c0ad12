"""Watches a group of processes with cpuwatch for ten seconds, next to the counter of the kernel."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct
from namespaces import run_script

from benchmarks.accounting_group import AccountingGroup

NOBODY = 65_534
SECONDS = "10"
TICKS_OFF_NS = 2e9 / os.sysconf("SC_CLK_TCK")
"""``cutime`` and ``cstime`` are each rounded down to a tick (proc_pid_stat(5))."""


class Watched(Struct, frozen=True):
    """What cpuwatch showed in each second of a load, and the bounds of the total increase of the counter."""

    min_used_ns: int
    max_used_ns: int
    ticks: list[dict[str, Any]]

    def total(self, field: str) -> float:
        return sum(float(tick[field]) for tick in self.ticks)

    @property
    def shown_ns(self) -> float:
        return self.total("live_ns") + self.total("children_ns")

    def assert_all_is_shown(self) -> None:
        """Check within 1 %, or within the ticks of children's time if the load got little CPU on a busy machine."""
        assert self.min_used_ns > 1e9, "the load used too little CPU for a comparison"
        slack_ns = max(0.01 * self.min_used_ns, TICKS_OFF_NS)
        low, high = self.min_used_ns - slack_ns, self.max_used_ns + slack_ns
        assert low <= self.shown_ns <= high, f"shown {self.shown_ns:.0f} ns, expected {low:.0f} to {high:.0f}"


def watched(group: AccountingGroup, load: Sequence[str], *, watcher: int, user: int | None = None) -> Watched:
    with group.running(load, user=user):
        written = run_script([], "watch_group.py", group.path, str(group.counter), SECONDS, str(watcher))
    return msgspec.json.decode(written, type=Watched)
