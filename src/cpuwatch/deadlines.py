"""When the readings of a monitor are due. Pure."""

from __future__ import annotations

__all__ = ["Deadlines", "next_deadline"]

_FIRST_INTERVAL_SECONDS = 0.2
"""The first snapshot is made after this time, not after a whole interval."""


def next_deadline(start_ns: int, interval_ns: int, now_ns: int) -> int:
    """The first deadline after ``now_ns`` on the grid ``start_ns + k * interval_ns``.

    Deadlines are absolute, so lateness does not add up to drift. A missed deadline is skipped, not made up for
    (py-spy's timer does the same).
    """
    return start_ns + ((now_ns - start_ns) // interval_ns + 1) * interval_ns


class Deadlines:
    """The deadlines from a start on: at the start, soon after the first reading, and then on the grid.

    ``due_ns`` is the current one, and ``missed`` the number of those that passed during the last reading.
    """

    def __init__(self, start_ns: int, interval_ns: int) -> None:
        self.due_ns: int = start_ns
        self.missed: int = 0
        self._start_ns = start_ns
        self._interval_ns = interval_ns

    def advance(self, read_ns: int, now_ns: int) -> None:
        """Go on to the next deadline after ``now_ns``, the end of a tick, whose reading ended at ``read_ns``."""
        if self.due_ns == self._start_ns:
            # Not from the start: the first reading of thousands of processes may take longer than this. Nor from now:
            # what is made of that reading takes a while, too.
            self.due_ns = max(now_ns, read_ns + min(self._interval_ns, round(_FIRST_INTERVAL_SECONDS * 1e9)))
            return
        following_ns = next_deadline(self._start_ns, self._interval_ns, self.due_ns)
        self.due_ns = next_deadline(self._start_ns, self._interval_ns, now_ns)
        self.missed = max(0, self.due_ns - following_ns) // self._interval_ns
