"""Logs to the standard error, one line for each event, as ``key=value`` or as JSON."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from cpuwatch.log_writer import LogWriter
from cpuwatch.settings import LogFormat

__all__ = ["LineFormatter", "logging_to_stderr", "stderr_descriptor"]

_OWN = ("cpuwatch", "hypercorn")
_NEEDS_NO_QUOTES = re.compile(r"[A-Za-z0-9_.,:/@%+-]+", re.ASCII)


class LineFormatter(logging.Formatter):
    """Formats each record as one line: line ends and control characters are escaped as in JSON.

    A record may have fields besides its message: ``log.info("request", extra={"fields": {"status": 200}})``.
    """

    def __init__(self, form: LogFormat) -> None:
        super().__init__()
        self._form = form

    def format(self, record: logging.LogRecord) -> str:
        """The line, without a line end."""
        event = self._event(record)
        if self._form == "json":
            return _json(event)
        return " ".join(f"{key}={_text(value)}" for key, value in event.items())

    def _event(self, record: logging.LogRecord) -> dict[str, object]:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        event: dict[str, object] = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        event |= getattr(record, "fields", {})
        if record.exc_info:
            event["traceback"] = self.formatException(record.exc_info)
        return event


class _WriterHandler(logging.StreamHandler[LogWriter]):
    """Formats a record where it is logged, and leaves writing it to the writer's thread."""

    terminator = ""

    def handleError(self, _: logging.LogRecord) -> None:  # noqa: N802  the name is logging's
        """Count a record that could not be formatted. Logging would print to the standard error, which may block."""
        self.stream.drop()


@contextmanager
def logging_to_stderr(form: LogFormat, logger_name: str | None = None) -> Iterator[None]:
    """Make this logger (the root if unnamed) and all below it write to the standard error, within the block.

    A thread does the writing, so that no caller waits for the reader of the log. At the end of the block, pending
    lines get half a second to be written. Does nothing if the logger already has a handler, or if the standard error
    is closed or is not a file.
    """
    logger = logging.getLogger(logger_name)
    descriptor = None if logger.hasHandlers() else stderr_descriptor()
    if descriptor is None:
        yield
        return
    formatter = LineFormatter(form)
    writer = LogWriter(descriptor, lambda lost: formatter.format(_dropped(lost)))
    handler = _WriterHandler(writer)
    handler.setFormatter(formatter)
    silent = [own for own in map(logging.getLogger, _OWN) if own.level == logging.NOTSET]
    logger.addHandler(handler)
    for own in silent:
        own.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        for own in silent:
            own.setLevel(logging.NOTSET)
        writer.close()


def stderr_descriptor() -> int | None:
    """The descriptor of the standard error; None if it is closed, or replaced by something that is not a file."""
    # If descriptor 2 was closed at the start, Python has no sys.stderr, and 2 may be the connection of a client.
    try:
        return None if sys.stderr is None else sys.stderr.fileno()
    except (io.UnsupportedOperation, ValueError):
        return None


def _dropped(lines: int) -> logging.LogRecord:
    message = "%d log lines were dropped: they could not be written"
    return logging.LogRecord("cpuwatch.log", logging.WARNING, __file__, 0, message, (lines,), None)


def _text(value: object) -> str:
    text = str(value)
    return text if _NEEDS_NO_QUOTES.fullmatch(text) else _json(text)


def _json(value: object) -> str:
    # ASCII only, so that client input cannot control a terminal. JSON escapes every control character except DEL.
    return json.dumps(value, default=str).replace("\x7f", "\\u007f")
