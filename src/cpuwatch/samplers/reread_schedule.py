"""Schedules rereads of what can change about a process that does not run: its cgroup, its state, its command line.

A process can be moved to another cgroup, or frozen, while it sleeps, and its CPU clock does not show it. Checking every
process in every reading would cost more than the rest of the reading, so processes take turns.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Collection, Container, Iterator

__all__ = ["COMMAND_LINES_BUDGET_NS", "MAX_COMMAND_LINES_PER_READING", "PidQueue", "RereadSchedule"]

READINGS_PER_ROUND = 180
"""Every process is reread at least once in this many readings."""

MIN_PER_READING = 6
"""At least this many processes are reread in each reading, so a round is shorter if there are few."""

MAX_BUSY_PER_READING = 8
"""At most this many recently busy processes are reread in each reading."""

MAX_COMMAND_LINES_PER_READING = 256
"""At most this many command lines are reread in each reading."""

COMMAND_LINES_BUDGET_NS = 10_000_000
"""CPU time for command lines in each reading. Masking a long one takes milliseconds, and any user can write one."""


class PidQueue:
    """A queue of PIDs without duplicates."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[int, None] = OrderedDict()

    def append(self, pid: int) -> None:
        """Add a PID at the back, unless it is queued already."""
        self._waiting[pid] = None

    def prepend(self, pid: int) -> None:
        """Add a PID at the front, or move it there."""
        self._waiting[pid] = None
        self._waiting.move_to_end(pid, last=False)

    def pop(self, limit: int, living: Container[int]) -> list[int]:
        """Remove and return up to ``limit`` living PIDs from the front; dead ones are dropped on the way."""
        popped: list[int] = []
        while self._waiting and len(popped) < limit:
            pid, _ = self._waiting.popitem(last=False)
            if pid in living:
                popped.append(pid)
        return popped

    def pop_for(self, duration_ns: int, limit: int, living: Container[int]) -> Iterator[int]:
        """Yield PIDs like :meth:`pop`, until the calling thread has used ``duration_ns`` of CPU; at least one.

        The limit is in CPU time, since wall time also passes while this thread waits for a CPU: on a busy machine few
        processes would get a turn.
        """
        end_ns = time.thread_time_ns() + duration_ns
        for _ in range(limit):
            popped = self.pop(1, living)
            yield from popped
            if not popped or time.thread_time_ns() >= end_ns:
                return


class RereadSchedule:
    """Collects events of processes and decides which processes to reread."""

    def __init__(self) -> None:
        self._all = PidQueue()
        self._busy = PidQueue()
        self._renamed: set[int] = set()
        self._new: set[int] = set()
        self._new_in_last_reading: set[int] = set()

    def add_new(self, pid: int, *, has_settled: bool = False) -> None:
        """Reread a new process in the next reading, and then once in each round.

        systemd, PAM and container runtimes start a process in their own cgroup and move it a moment later.
        A process that started long before it was first seen has settled, so it needs only its turn.
        """
        if not has_settled:
            self._new.add(pid)
        self._all.append(pid)

    def add_renamed(self, pid: int) -> None:
        """Reread a process in this reading, because it runs another program."""
        self._renamed.add(pid)

    def add_busy(self, pid: int) -> None:
        """Reread a process soon, because it used enough CPU to matter to its cgroup."""
        self._busy.append(pid)

    def due(self, living: Collection[int]) -> set[int]:
        """The PIDs to reread in this reading. Call it once in each reading: it advances the round."""
        due = {pid for pid in self._renamed | self._new_in_last_reading if pid in living}
        self._new_in_last_reading, self._new, self._renamed = self._new, set(), set()
        due.update(self._busy.pop(MAX_BUSY_PER_READING, living))
        in_turn = self._all.pop(max(MIN_PER_READING, math.ceil(len(living) / READINGS_PER_ROUND)), living)
        for pid in in_turn:
            self._all.append(pid)
        due.update(in_turn)
        return due
