"""The CPUs of server and client."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["Placement", "available_placement", "running_on"]


@dataclass(frozen=True, slots=True)
class Placement:
    """The CPUs of each; None if there is only one, or the system does not allow the choice."""

    server: frozenset[int] | None = None
    client: frozenset[int] | None = None

    def __str__(self) -> str:
        if self.server is None or self.client is None:
            return "server and client share all CPUs"
        return f"server on CPU {_listed(self.server)}, client on CPU {_listed(self.client)}"


def _listed(cpus: Collection[int]) -> str:
    ordered = sorted(cpus)
    whole = len(ordered) > 2 and ordered[-1] - ordered[0] + 1 == len(ordered)
    return f"{ordered[0]} to {ordered[-1]}" if whole else ", ".join(map(str, ordered))


def available_placement() -> Placement:
    """The last CPU for the client, which has one thread, and all others for the server."""
    if not hasattr(os, "sched_getaffinity"):
        return Placement()
    *others, last = sorted(os.sched_getaffinity(0))
    return Placement(frozenset(others), frozenset([last])) if others else Placement()


@contextmanager
def running_on(cpus: Collection[int] | None) -> Iterator[None]:
    """Bind this thread, and the processes it starts in the block, to these CPUs."""
    if cpus is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
