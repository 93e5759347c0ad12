"""The CPU time of a command from several clocks, each of which is a lower bound of it. Pure."""

from __future__ import annotations

from msgspec import Struct

from cpuwatch.model import CpuTimes

__all__ = ["TaskTime", "Total", "total_of"]

_NOISE_SECONDS = 0.01
_NOISE_SHARE = 0.01
"""The difference between clocks that is not taken for processes that nobody waited for."""


class Total(Struct, frozen=True, gc=False):
    """``unwaited_seconds`` is the part of ``seconds`` that no process waited for."""

    seconds: float
    unwaited_seconds: float


class TaskTime:
    """The kernel's task clock without the time in which interrupts or other virtual machines had the CPU.

    The other clocks stop in that time, the task clock runs on. How much of it fell on the command is unknown, so each
    span is reduced by the machine's share in it. ``seconds`` remain; ``removed_seconds`` were taken away.
    """

    def __init__(self) -> None:
        self._last: tuple[int, int, int] | None = None
        self.seconds = 0.0
        self.removed_seconds = 0.0

    def add(self, clock_ns: int, times: CpuTimes) -> None:
        """Add the span since the last call: the task clock and the machine's times at its end."""
        taken_ns = (times.irq_ns or 0) + (times.steal_ns or 0)
        busy_ns = times.user_ns + times.system_ns + taken_ns
        last_clock_ns, last_taken_ns, last_busy_ns = self._last or (0, taken_ns, busy_ns)
        self._last = clock_ns, taken_ns, busy_ns
        # Steal can step back, for instance when a virtual machine moves to another host.
        span_taken_ns, span_busy_ns = max(0, taken_ns - last_taken_ns), busy_ns - last_busy_ns
        share = min(1.0, span_taken_ns / span_busy_ns) if span_busy_ns > 0 else 0.0
        span_seconds = (clock_ns - last_clock_ns) / 1e9
        self.seconds += span_seconds * (1 - share)
        self.removed_seconds += span_seconds * share


def total_of(counted_seconds: float, seen_seconds: float, task_time: TaskTime | None) -> Total:
    """The total of three amounts.

    ``counted_seconds`` is children's time and the clocks of the living, ``seen_seconds`` what readings saw of each
    process. Children's time of the living counts in ticks, so what readings saw can be more by a few ticks. A larger
    difference was used by processes that nobody waited for. The estimate that ``task_time`` contains can be wrong by as
    much as it removed.
    """
    known_seconds = max(counted_seconds, seen_seconds)
    most_seconds, noise_seconds = known_seconds, max(_NOISE_SECONDS, _NOISE_SHARE * counted_seconds)
    if task_time is not None:
        most_seconds = max(known_seconds, task_time.seconds)
        noise_seconds = max(noise_seconds, task_time.removed_seconds)
    if most_seconds - counted_seconds > noise_seconds:
        return Total(most_seconds, most_seconds - counted_seconds)
    return Total(known_seconds, 0.0)
