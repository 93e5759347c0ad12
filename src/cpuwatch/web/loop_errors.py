"""What goes wrong in the server's event loop and reaches no caller: one line an event, where asyncio would flood."""

from __future__ import annotations

import asyncio
import errno
import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["loop_errors_in_one_line"]

_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_OVER_AFTER_SECONDS = 3.0
"""asyncio tries again after each second: a pause of this length says that it works again."""

_Context = dict[str, Any]

_log = logging.getLogger("cpuwatch.web")


class _LoopErrors:
    """The exception handler of an event loop, in front of ``otherwise``, the one that it had."""

    def __init__(self, otherwise: Callable[[_Context], object]) -> None:
        self._otherwise = otherwise
        self._over: asyncio.TimerHandle | None = None
        self._told: set[str] = set()

    def __call__(self, loop: asyncio.AbstractEventLoop, context: _Context) -> None:
        error = context.get("exception")
        # asyncio says so up to a hundred times a second, with a traceback each time (_accept_connection in
        # asyncio/selector_events.py goes on with its loop after the error).
        if isinstance(error, OSError) and error.errno in _OUT_OF_RESOURCES and "socket" in context:
            self._note_refusal(loop, error)
        elif isinstance(error, Exception) and (place := _place_in_hypercorn(error)):
            self._note_broken_connection(error, place)
        # The server breaks off what is still under way at its end, which asyncio before Python 3.13 takes for an error.
        elif not isinstance(error, asyncio.CancelledError):
            self._otherwise(context)

    def end(self) -> None:
        """Nothing more is to be noted."""
        if self._over is not None:
            self._over.cancel()

    def _note_refusal(self, loop: asyncio.AbstractEventLoop, error: OSError) -> None:
        if self._over is None:
            _log.error("new connections have to wait, all else goes on: %s", error.strerror)
        else:
            self._over.cancel()
        self._over = loop.call_later(_OVER_AFTER_SECONDS, self._note_end)

    def _note_end(self) -> None:
        self._over = None
        _log.info("new connections are taken again")

    def _note_broken_connection(self, error: Exception, place: str) -> None:
        if place not in self._told:
            self._told.add(place)
            cause = _only_cause(error)
            _log.warning(
                "a connection was broken off because of what came in it; more of the kind are not told: %s: %s, at %s",
                type(cause).__name__,
                cause,
                place,
            )


@contextmanager
def loop_errors_in_one_line() -> Iterator[None]:
    """For as long as the block lasts, in the event loop that runs it.

    It is for what clients can cause at will: that the file descriptors have run out, and what Hypercorn 0.18 stumbles
    over in HTTP/2 (settings that are no base64, a CONNECT without a path, a method that is not ASCII). Such a
    connection ends, and the log has one line about it for each place in the code. That a client left before it had its
    answers, of which asyncio warns once for each, is told nowhere.
    """
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    handler = _LoopErrors(
        loop.default_exception_handler if before is None else lambda context: before(loop, context),
    )
    loop.set_exception_handler(handler)
    asyncio_log = logging.getLogger("asyncio")
    level = asyncio_log.level
    asyncio_log.setLevel(max(level, logging.ERROR))
    try:
        yield
    finally:
        asyncio_log.setLevel(level)
        handler.end()
        loop.set_exception_handler(before)


def _place_in_hypercorn(error: Exception) -> str | None:
    """Where it was raised, if that was while Hypercorn read from a connection; the app runs in tasks of its own."""
    frames = traceback.extract_tb(_only_cause(error).__traceback__)
    if not frames or not frames[0].filename.endswith("hypercorn/asyncio/tcp_server.py"):
        return None
    return f"{frames[-1].filename}:{frames[-1].lineno}"


def _only_cause(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
