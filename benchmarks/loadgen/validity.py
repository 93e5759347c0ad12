"""Decides whether the figures of a run are the server's. Pure."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["MAX_CLIENT_CPU_PERCENT", "MAX_SHARE_OF_CEILING", "Extent", "changed_machine", "client_bound"]

MAX_CLIENT_CPU_PERCENT = 80.0
MAX_SHARE_OF_CEILING = 2 / 3

_MAX_CHANGE_PERCENT = 20.0
_MAX_CHANGE_PROCESSES = 10


class Extent(NamedTuple):
    """The lowest and highest value during a run."""

    low: int
    high: int

    @property
    def change_percent(self) -> float:
        """From the lowest to the highest."""
        return 100 * (self.high - self.low) / self.low if self.low else 0.0


def client_bound(client_cpu_percent: float, per_second: float, ceiling_per_second: float) -> str | None:
    """Why the client was the bottleneck, or None if it was not."""
    if client_cpu_percent > MAX_CLIENT_CPU_PERCENT:
        return f"client-bound: the client used {client_cpu_percent:.0f} % of its core"
    if per_second > MAX_SHARE_OF_CEILING * ceiling_per_second:
        return (
            f"client-bound: {per_second:,.0f} requests a second, and the client reaches "
            f"{ceiling_per_second:,.0f} against a server that does nothing"
        )
    return None


def changed_machine(processes: Extent | None, body_bytes: Extent) -> str | None:
    """Why the run cannot be compared with others: the work per request changed; None if it did not.

    The server holds a history of all processes, so its memory and CPU follow their number. A few processes come and go
    on every machine.
    """
    if processes and processes.change_percent > _MAX_CHANGE_PERCENT:
        if processes.high - processes.low > _MAX_CHANGE_PROCESSES:
            return f"the machine changed: between {processes.low:,} and {processes.high:,} processes were watched"
        return None
    if body_bytes.change_percent > _MAX_CHANGE_PERCENT:
        return f"the machine changed: bodies had between {body_bytes.low:,} and {body_bytes.high:,} bytes"
    return None
