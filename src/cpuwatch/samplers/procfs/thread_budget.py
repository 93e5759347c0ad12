"""Decides which processes have all of their threads read, so that one with thousands does not hold up a tick. Pure."""

from __future__ import annotations

from bisect import bisect_right

__all__ = ["MAX_THREADS_PER_READING", "ThreadBudget"]

MAX_THREADS_PER_READING = 1000
"""Reading a thread takes about a microsecond if its file is open, otherwise four."""

_TURN_READINGS = 16
"""A rate needs two readings in a row, so alternating between processes would never give one."""


class ThreadBudget:
    """Grants the reading of threads, at most ``limit`` of them in a reading.

    While all requests fit, all are granted. Otherwise processes take turns of 16 readings, in the order of their PIDs.
    A process with more threads than the limit is never granted.
    """

    def __init__(self, limit: int = MAX_THREADS_PER_READING) -> None:
        self._limit = limit
        self._used = 0
        self._requests: dict[int, int] = {}
        self._turn: frozenset[int] | None = None
        self._readings_left = 0
        self._last_pid = 0

    def grants(self, pid: int, threads: int) -> bool:
        """Whether the threads of this process may be read now."""
        self._requests[pid] = threads
        if (self._turn is not None and pid not in self._turn) or self._used + threads > self._limit:
            return False
        self._used += threads
        return True

    def end_reading(self) -> None:
        """Choose the processes of the next reading. Call it after each."""
        requests, self._requests, self._used = self._requests, {}, 0
        if sum(requests.values()) <= self._limit:
            self._turn = None
            return
        self._readings_left -= 1
        if self._turn is None or self._readings_left <= 0:
            self._turn = self._next_turn(requests)
            self._readings_left = _TURN_READINGS

    def _next_turn(self, requests: dict[int, int]) -> frozenset[int]:
        """The processes after those of the last turn, as many as fit."""
        pids = sorted(pid for pid, threads in requests.items() if threads <= self._limit)
        first = bisect_right(pids, self._last_pid)
        chosen: list[int] = []
        threads = 0
        for pid in pids[first:] + pids[:first]:
            threads += requests[pid]
            if threads > self._limit:
                break
            chosen.append(pid)
        if chosen:
            self._last_pid = chosen[-1]
        return frozenset(chosen)
