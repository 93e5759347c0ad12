"""The standard output and error of a command: they may be closed, full, without a reader, or not UTF-8."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, BinaryIO, TextIO

from cpuwatch.errors import OutputError
from cpuwatch.text import printable

__all__ = ["complain", "discard_output", "flush_output", "output_encoding", "write_output"]


def output_encoding() -> str:
    """The encoding that readers of the standard output expect of text (``PYTHONIOENCODING``, or the locale's)."""
    return "utf-8" if sys.stdout is None else sys.stdout.encoding


def write_output(data: bytes) -> None:
    """Write bytes to the standard output.

    Raises ``BrokenPipeError`` if nobody reads it any more, and :class:`~cpuwatch.errors.OutputError` if it is closed or
    cannot be written to otherwise.
    """
    if sys.stdout is None:
        raise OutputError("cannot write the output: the standard output is closed")
    rest = memoryview(data)
    with _output_errors():
        while rest:
            rest = rest[_write_some(sys.stdout.buffer, rest) :]
        _flush(sys.stdout)


def flush_output() -> None:
    """Write out what is buffered, if there is a standard output. Raises the same errors as :func:`write_output`."""
    if sys.stdout is not None:
        with _output_errors():
            _flush(sys.stdout)


def discard_output() -> None:
    """Drop what is still buffered: the interpreter would write it out at its end, and fail once more."""
    if sys.stdout is not None:
        _discard(sys.stdout.fileno())


def complain(message: str, program: str = "cpuwatch") -> None:
    """Write one line to the standard error, if there is anybody to read it."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(f"{program}: {printable(message)}\n")
        sys.stderr.flush()
    except OSError:
        _discard(sys.stderr.fileno())


@contextmanager
def _output_errors() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write the output: {error.strerror}") from error


def _discard(fd: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, fd)
    os.close(nowhere)


def _write_some(stream: BinaryIO, data: memoryview) -> int:
    """How many bytes were written. Waits first if another process made the pipe non-blocking, as node and ssh do.

    With ``PYTHONUNBUFFERED`` the stream is a raw one, which may write less than it was given, or nothing (``None``).
    """
    try:
        written: int | None = stream.write(data)
    except BlockingIOError as error:
        written = error.characters_written
    if not written:
        _wait_until_writable(stream)
    return written or 0


def _flush(stream: TextIO) -> None:
    while True:
        try:
            stream.flush()
        except BlockingIOError:
            _wait_until_writable(stream)
        else:
            return


def _wait_until_writable(stream: IO[Any]) -> None:
    # poll, and not select, which knows no descriptor above 1023.
    poll = select.poll()
    poll.register(stream.fileno(), select.POLLOUT)
    poll.poll()
