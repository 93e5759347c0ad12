"""Logs errors of the event loop that reach no caller, one line each. asyncio would flood the log."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["loop_errors_in_one_line"]

_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_OVER_AFTER_SECONDS = 3.0
"""asyncio tries again after each second: after a pause of this length it works again."""

_Context = dict[str, Any]

_log = logging.getLogger("cpuwatch.web")


class _LoopErrors:
    """An exception handler for an event loop. ``otherwise`` is the previous handler."""

    def __init__(self, otherwise: Callable[[_Context], object]) -> None:
        self._otherwise = otherwise
        self._over: asyncio.TimerHandle | None = None

    def __call__(self, loop: asyncio.AbstractEventLoop, context: _Context) -> None:
        error = context.get("exception")
        # asyncio logs it up to a hundred times a second, with a traceback each time (_accept_connection in
        # asyncio/selector_events.py continues its loop after the error).
        if isinstance(error, OSError) and error.errno in _OUT_OF_RESOURCES and "socket" in context:
            self._note_refusal(loop, error)
        # When the server stops, it cancels pending calls, which asyncio before Python 3.13 reports as errors.
        elif not isinstance(error, asyncio.CancelledError):
            self._otherwise(context)

    def end(self) -> None:
        """Log nothing more."""
        if self._over is not None:
            self._over.cancel()

    def _note_refusal(self, loop: asyncio.AbstractEventLoop, error: OSError) -> None:
        if self._over is None:
            _log.error("new connections must wait, everything else continues: %s", error.strerror)
        else:
            self._over.cancel()
        self._over = loop.call_later(_OVER_AFTER_SECONDS, self._note_end)

    def _note_end(self) -> None:
        self._over = None
        _log.info("new connections are taken again")


@contextmanager
def loop_errors_in_one_line() -> Iterator[None]:
    """Handle errors of the running event loop, within the block.

    Clients can cause these errors at will. Running out of file descriptors is logged once at the beginning and once at
    the end. Clients that disconnect early, for each of which asyncio logs a warning, are not logged.
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
