"""Follows a monitor, and pushes what used the CPU to each receiver."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import Self

from cpuwatch.attempts import Attempts
from cpuwatch.encoding.metric_points import Interval
from cpuwatch.push.payload import Payload
from cpuwatch.push.resource import host_resource
from cpuwatch.push.sender import Sender
from cpuwatch.push.target import PushHealth, Target
from cpuwatch.sampled_tick import SampledTick
from cpuwatch.tick_thread import TickThread

__all__ = ["Pusher"]

_CLOSING_SECONDS = 0.75
"""How long a receiver may take for the last interval, after the monitor has ended."""

_log = logging.getLogger("cpuwatch.push")


class Pusher:
    """Sums ticks into intervals of ``seconds`` and sends them. Pass :meth:`take` to ``Monitor.follow_ticks``.

    ``top`` is the number of names, and of cgroups, with a series each. ``attributes`` describe this service and replace
    those that are found out. The sums are made in one thread and each target has its own, so none delays a tick or
    another target. Close the monitor first: :meth:`close` sends what it sampled until then.
    """

    def __init__(
        self, targets: Sequence[Target], seconds: float = 10.0, top: int = 20, attributes: dict[str, str] | None = None
    ) -> None:
        self._payload = Payload(seconds, top)
        self._attributes = {} if attributes is None else attributes
        self._resource: dict[str, str] | None = None
        self._lost_ticks = 0
        self._attempts = Attempts("sum of ticks", "pushing")
        self._senders = [Sender(target) for target in targets]
        self._ticks = TickThread("cpuwatch-pusher", self._sum, self._finish)

    @property
    def health(self) -> list[PushHealth]:
        """How pushing to each target is going."""
        return [sender.health for sender in self._senders]

    def take(self, tick: SampledTick) -> None:
        """Add a tick. Never waits: if this process gets no CPU, the tick is lost."""
        if not self._ticks.put(tick):
            if not self._lost_ticks:
                _log.warning("ticks come faster than they can be summed; some are lost to the receivers")
            self._lost_ticks += 1

    def close(self) -> None:
        """Send what was sampled until now. Receivers that take longer than 0.75 seconds are given up."""
        deadline = time.monotonic() + _CLOSING_SECONDS
        self._ticks.close(_CLOSING_SECONDS)
        for sender in self._senders:
            sender.close()
        for sender in self._senders:
            sender.join(max(0.0, deadline - time.monotonic()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _sum(self, tick: SampledTick) -> None:
        self._attempts.make(partial(self._add, tick))

    def _finish(self) -> None:
        self._attempts.make(self._flush)

    def _add(self, tick: SampledTick) -> None:
        if self._resource is None:
            self._resource = host_resource(tick.reading.host) | self._attributes
        self._put(self._payload.add(tick))

    def _flush(self) -> None:
        self._put(self._payload.flush())

    def _put(self, interval: Interval | None) -> None:
        if interval is not None and self._resource is not None:
            for sender in self._senders:
                sender.put(interval, self._resource)
