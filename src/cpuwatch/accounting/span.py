"""The interval between two readings, and its limits. Pure."""

from __future__ import annotations

from msgspec import Struct

from cpuwatch.errors import ReadingOrderError
from cpuwatch.model import Reading

__all__ = ["Span"]


class Span(Struct, frozen=True, gc=False):
    """The interval between two readings, and its limits."""

    interval_ns: int
    logical_cpus: int
    capacity_ns: int
    """The CPU time of the visible CPUs."""
    max_ns: int
    """The CPU time of all present CPUs."""
    tolerance_ns: int
    """How far counters can exceed that: sweeps take time and ticks are rounded."""
    started_after_ns: int
    """A process that started at or after this instant (since boot) started inside the interval."""

    @classmethod
    def between(cls, earlier: Reading, later: Reading) -> Span:
        """The interval between these readings. Raises :class:`~cpuwatch.errors.ReadingOrderError`."""
        if earlier.host.boot_id != later.host.boot_id:
            raise ReadingOrderError(
                f"the readings are of different boots ({earlier.host.boot_id!r} and {later.host.boot_id!r}): "
                "counters restart at each boot, so usage() needs two readings of the same boot"
            )
        interval_ns = later.monotonic_ns - earlier.monotonic_ns
        if interval_ns < 0:
            raise ReadingOrderError(
                f"the second reading was taken {-interval_ns / 1e9:.6f} s before the first: call usage(earlier, later)"
            )
        cpus = later.host.logical_cpus
        # utime and stime are each rounded down to a tick, so a sampler that counts ticks can be off by two.
        rounding_ns = round(2e9 * later.host.clock_resolution_seconds)
        return cls(
            interval_ns=interval_ns,
            logical_cpus=cpus,
            capacity_ns=cpus * interval_ns,
            max_ns=max(cpus, later.present_cpus or 0) * interval_ns,
            tolerance_ns=cpus * (earlier.sweep_ns + later.sweep_ns) + rounding_ns,
            # A sweep lists the processes shortly before its instant, and start times are rounded down to a tick.
            started_after_ns=earlier.uptime_ns - earlier.sweep_ns - later.start_resolution_ns,
        )

    def percent(self, amount_ns: float | None) -> float | None:
        """The amount in percent of one CPU over the interval; None if the amount is unknown or the interval is 0."""
        return None if amount_ns is None or not self.interval_ns else 100 * amount_ns / self.interval_ns

    def is_plausible_credit(self, credit_ns: int) -> bool:
        """False for more than the CPUs can provide: that is older time, of processes that were never read."""
        return credit_ns <= self.max_ns + self.tolerance_ns
