"""The ticks of a program that samples once a second, recognized by its CPU clock. Pure."""

from __future__ import annotations

__all__ = ["Bursts"]


class Bursts:
    """A clock that does not move for ``quiet_looks`` looks is the sleep between two ticks."""

    def __init__(self, quiet_looks: int) -> None:
        self.cpu_ns: list[int] = []
        """The CPU time of each tick so far."""
        self._quiet_looks = quiet_looks
        self._at_last_tick_ns = self._at_last_look_ns = 0
        self._quiet = 0

    def look(self, clock_ns: int) -> None:
        """Take the clock's value. Call it several times in each sleep."""
        self._quiet = self._quiet + 1 if clock_ns == self._at_last_look_ns else 0
        self._at_last_look_ns = clock_ns
        if self._quiet == self._quiet_looks and clock_ns > self._at_last_tick_ns:
            self.cpu_ns.append(clock_ns - self._at_last_tick_ns)
            self._at_last_tick_ns = clock_ns
