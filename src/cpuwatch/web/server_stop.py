"""Noticing that the server stops while requests are still under way.

ASGI says so only when the last of them has ended (``lifespan.shutdown``), and Hypercorn waits for that on
Python 3.12.1 and later without a bound (hypercorn#308): a stream that ends at that message never ends. Nor does a
signal tell: the worker process that the ``hypercorn`` command starts is told by an event of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import CoroutineType

__all__ = ["abort_connections", "call_when_server_stops"]


def call_when_server_stops(callback: Callable[[], object]) -> None:
    """Call this once Hypercorn has been told to stop, before it waits for what is under way.

    To be called while a request is answered: only then is the server sure to run. Under another server it does nothing.
    """
    try:
        from hypercorn.utils import raise_shutdown  # noqa: PLC0415  another server may run the app
    except ImportError:
        return
    for task in asyncio.all_tasks():
        # Hypercorn runs for as long as it has tasks of this function, of which each waits for a reason to stop.
        if getattr(task.get_coro(), "cr_code", None) is raise_shutdown.__code__:
            task.add_done_callback(lambda _: callback())


def abort_connections() -> int:
    """Close all connections of Hypercorn at once, with what they still have to send. Returns how many there were.

    Hypercorn 0.18 waits without a limit until a client has read its answers, also when it is told to stop; it gives
    nobody its connections. So they are taken from the coroutine that serves each (``worker_serve``).
    """
    number = 0
    for task in asyncio.all_tasks():
        coroutine = task.get_coro()
        if not isinstance(coroutine, CoroutineType) or coroutine.cr_frame is None:
            continue
        if coroutine.__qualname__ == "worker_serve.<locals>._server_callback":
            coroutine.cr_frame.f_locals["writer"].transport.abort()
            number += 1
    return number
