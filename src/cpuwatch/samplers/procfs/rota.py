"""Which processes are to be looked at although no CPU clock says so.

A process can be moved to another cgroup, and frozen, while it does not run. To look at all of them in each reading
would cost more than everything else together, so they take turns.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Collection, Container, Iterator

__all__ = ["MAX_COMMAND_LINES", "MAX_COMMAND_LINES_NS", "Rota", "Turns"]

ROUND_READINGS = 90
"""Within how many readings each process has its turn."""

MIN_EACH = 12
"""How many have theirs in each reading at least: with few processes a round is shorter."""

MAX_BUSY = 16
"""How many of those that were busy are looked at in each reading."""

MAX_COMMAND_LINES = 64
"""How many command lines are read again in each reading."""

MAX_COMMAND_LINES_NS = 10_000_000
"""And for how long: to find the secrets in a long one takes milliseconds, and anybody can write one."""


class Turns:
    """A queue of PIDs in which each stands once."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[int, None] = OrderedDict()

    def add(self, pid: int) -> None:
        """Put it at the end, unless it waits already."""
        self._waiting[pid] = None

    def add_first(self, pid: int) -> None:
        """Put it at the beginning, also if it waits already."""
        self._waiting[pid] = None
        self._waiting.move_to_end(pid, last=False)

    def take(self, most: int, living: Container[int]) -> list[int]:
        """The first ones, up to ``most``, without those that are not among the living any more."""
        taken: list[int] = []
        while self._waiting and len(taken) < most:
            pid, _ = self._waiting.popitem(last=False)
            if pid in living:
                taken.append(pid)
        return taken

    def take_for(self, duration_ns: int, most: int, living: Container[int]) -> Iterator[int]:
        """The same one by one, until the calling thread has used so much CPU. The first one comes in any case.

        Not by the clock on the wall: on a busy machine that passes while this thread waits, and few would have a turn.
        """
        end_ns = time.thread_time_ns() + duration_ns
        for _ in range(most):
            taken = self.take(1, living)
            yield from taken
            if not taken or time.thread_time_ns() >= end_ns:
                return


class Rota:
    """Is told of what happens to processes, and says whose turn it is."""

    def __init__(self) -> None:
        self._everyone = Turns()
        self._busy = Turns()
        self._renamed: set[int] = set()
        self._new: set[int] = set()
        self._second_sight: set[int] = set()

    def add_new(self, pid: int) -> None:
        """Seen for the first time: it has a turn in the next reading, and then with all others.

        systemd, PAM and container runtimes start a process in their own cgroup and move it a moment later.
        """
        self._new.add(pid)
        self._everyone.add(pid)

    def add_renamed(self, pid: int) -> None:
        """It runs another program now: it has a turn at once."""
        self._renamed.add(pid)

    def add_busy(self, pid: int) -> None:
        """It used CPU time that is worth to be counted for the right cgroup: it has a turn soon."""
        self._busy.add(pid)

    def take(self, living: Collection[int]) -> set[int]:
        """Those whose turn it is in this reading. To be called once in each."""
        due = {pid for pid in self._renamed | self._second_sight if pid in living}
        self._second_sight, self._new, self._renamed = self._new, set(), set()
        due.update(self._busy.take(MAX_BUSY, living))
        in_turn = self._everyone.take(max(MIN_EACH, math.ceil(len(living) / ROUND_READINGS)), living)
        for pid in in_turn:
            self._everyone.add(pid)
        due.update(in_turn)
        return due
