"""CPUs used over time, from the total at some instants. Pure."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise

__all__ = ["CpusOverTime"]

_MAX_POINTS = 4096
_PEAK_SECONDS = 1.0


class CpusOverTime:
    """The total CPU time at each instant, thinned out as it grows; both in seconds since the start."""

    def __init__(self) -> None:
        self._points = [(0.0, 0.0)]
        self._keep_every = 1
        self._added = 0
        self._mark = (0.0, 0.0)
        self._peak: float | None = None

    def add(self, elapsed: float, total: float) -> None:
        """Add a point. An instant that is not later than the last is ignored."""
        last_elapsed, last_total = self._points[-1]
        if elapsed <= last_elapsed:
            return
        total = max(total, last_total)
        # The peak is over at least a second: in shorter spans, the steps of the kernel's ticks would show.
        since = elapsed - self._mark[0]
        if since >= _PEAK_SECONDS:
            self._peak = max(self._peak or 0.0, (total - self._mark[1]) / since)
            self._mark = (elapsed, total)
        self._added += 1
        if self._added % self._keep_every == 0:
            self._points.append((elapsed, total))
        if len(self._points) > _MAX_POINTS:
            self._points = self._points[::2]
            self._keep_every *= 2

    def end(self, elapsed: float, total: float) -> None:
        """Add the last point, which is exact."""
        self._keep_every = 1
        self.add(elapsed, total)

    @property
    def peak(self) -> float | None:
        """The most CPUs used over a second, or over the whole time if it is shorter."""
        elapsed, total = self._points[-1]
        if self._peak is None and elapsed > 0:
            return total / elapsed
        return self._peak

    def cpus(self, columns: int) -> list[float]:
        """CPUs used in each of at most ``columns`` equal parts of the time."""
        elapsed = self._points[-1][0]
        columns = min(columns, len(self._points) - 1)
        if columns < 1:
            return []
        edges = [self._total_at(elapsed * column / columns) for column in range(columns + 1)]
        return [(later - earlier) * columns / elapsed for earlier, later in pairwise(edges)]

    def _total_at(self, elapsed: float) -> float:
        after = min(bisect_right(self._points, (elapsed, float("inf"))), len(self._points) - 1)
        (begin, low), (end, high) = self._points[after - 1], self._points[after]
        return low + (high - low) * min(1.0, (elapsed - begin) / (end - begin))
