"""Runs a command until a signal stops it."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from cpuwatch.log import logging_to_stderr
from cpuwatch.server.stop_log import StopLog
from cpuwatch.server.stop_signals import stopping_at_signals
from cpuwatch.settings import LogFormat

__all__ = ["until_signal"]

_STOP_SECONDS = 2.5
"""The process exits this long after the signal, even if a disk or a connection hangs."""


@contextmanager
def until_signal(log: logging.Logger, what: str, form: LogFormat) -> Iterator[threading.Event]:
    """Log to stderr within the block, and set the event when a signal asks ``what`` to stop, such as "the recorder"."""
    stop = threading.Event()
    stop_log = StopLog(log.name, what, _STOP_SECONDS, form)

    def on_stop(number: signal.Signals) -> None:
        log.info("stopping after %s", number.name)
        stop.set()

    with (
        stopping_at_signals(on_stop, stop_log.ignored, stop_log.hard_stop, _STOP_SECONDS),
        logging_to_stderr(form),
    ):
        yield stop
