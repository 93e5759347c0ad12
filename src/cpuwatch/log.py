"""The log: one line an event, as ``key=value`` or as JSON, to the standard error."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from cpuwatch.settings import LogFormat

__all__ = ["LineFormatter", "logging_to_stderr"]

_OWN = ("cpuwatch", "hypercorn")
_NEEDS_NO_QUOTES = re.compile(r"[A-Za-z0-9_.,:/@%+-]+", re.ASCII)


class LineFormatter(logging.Formatter):
    """One line for each record, whatever is in it: line ends and control characters are escaped as in JSON.

    A record may carry more than its message: ``log.info("request", extra={"fields": {"status": 200}})``.
    """

    def __init__(self, form: LogFormat) -> None:
        super().__init__()
        self._form = form

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
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


@contextmanager
def logging_to_stderr(form: LogFormat, logger_name: str | None = None) -> Iterator[None]:
    """Within the block, this logger (the root if it has no name) and all below it write to the standard error.

    Where somebody has already said what becomes of its records, that holds.
    """
    logger = logging.getLogger(logger_name)
    if logger.hasHandlers():
        yield
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(form))
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


def _text(value: object) -> str:
    text = str(value)
    return text if _NEEDS_NO_QUOTES.fullmatch(text) else _json(text)


def _json(value: object) -> str:
    # In ASCII, so that no terminal obeys what came with a request; DEL alone JSON leaves as it is.
    return json.dumps(value, default=str).replace("\x7f", "\\u007f")
