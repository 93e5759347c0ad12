"""The log lines about signals, for :func:`~cpuwatch.server.stop_signals.stopping_at_signals`."""

from __future__ import annotations

import logging
import signal

from msgspec import Struct

from cpuwatch.log import LineFormatter, stderr_descriptor
from cpuwatch.server.stop_signals import write_if_possible
from cpuwatch.settings import LogFormat

__all__ = ["StopLog"]


class StopLog(Struct, frozen=True):
    """Logs under the name ``logger`` what signals do to ``what``, such as "the server"."""

    logger: str
    what: str
    stop_seconds: float
    form: LogFormat

    def ignored(self, number: signal.Signals) -> None:
        """Log that this signal was ignored."""
        logging.getLogger(self.logger).info("ignored %s", number.name)

    def hard_stop(self, number: signal.Signals) -> None:
        """Write the last line of the log, without logging, because a hanging thread may hold its locks."""
        message = "%s did not stop within %g s of %s: exiting now"
        values = (self.what, self.stop_seconds, number.name)
        event = logging.LogRecord(self.logger, logging.ERROR, __file__, 0, message, values, None)
        if (descriptor := stderr_descriptor()) is not None:
            write_if_possible(descriptor, LineFormatter(self.form).format(event))
