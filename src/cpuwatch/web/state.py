"""What the lifespan makes and the endpoints use, carried in the ASGI scope (no globals)."""

from __future__ import annotations

import asyncio
from typing import TypedDict

from starlette.types import Scope

from cpuwatch.monitor import Monitor
from cpuwatch.web.broadcast import Broadcast
from cpuwatch.web.expositions import Expositions
from cpuwatch.web.rules import Rules
from cpuwatch.web.server_stop import call_when_server_stops
from cpuwatch.web.views import Views

__all__ = ["Live", "State", "live"]


class Live:
    """The running monitor with the finished answers made from it."""

    def __init__(self, monitor: Monitor, most_streams: int = 200) -> None:
        self.monitor = monitor
        self.views = Views(monitor)
        # Encoding much of the past takes one thread at most from the sampling.
        self.reading_history = asyncio.Lock()
        self.broadcast = Broadcast(monitor, self.views, self.reading_history, most_streams)
        self.expositions = Expositions(monitor)
        self._heeds_server_stop = False

    def heed_server_stop(self) -> None:
        """See to it that what is under way for long ends when the server is told to stop; while one is answered."""
        if not self._heeds_server_stop:
            self._heeds_server_stop = True
            call_when_server_stops(self.end)

    def end(self) -> None:
        """End the streams and the waiting."""
        self.views.end()
        self.broadcast.end()


class State(TypedDict):
    """The lifespan state of the app (asgi.readthedocs.io/en/latest/specs/lifespan.html)."""

    cpuwatch: Live
    cpuwatch_rules: Rules


def live(scope: Scope) -> Live:
    """The live part of the app that this request came to.

    Raises ``RuntimeError`` if the server does not run ASGI lifespans, for then nothing samples.
    """
    try:
        found: Live = scope["state"]["cpuwatch"]
    except KeyError:
        raise RuntimeError(
            "no monitor is running: the server has to support the ASGI lifespan protocol with state"
        ) from None
    return found
