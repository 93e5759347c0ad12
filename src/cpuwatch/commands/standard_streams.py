"""The standard output and error of a command, which may be closed, full, without a reader, or not UTF-8."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, BinaryIO, TextIO

from cpuwatch.errors import OutputError
from cpuwatch.text import printable

__all__ = ["complain", "discard_errors", "discard_output", "flush_output", "output_encoding", "write_output"]


def output_encoding() -> str:
    """The encoding of text on the standard output (``PYTHONIOENCODING``, or that of the locale)."""
    return "utf-8" if sys.stdout is None else sys.stdout.encoding


def write_output(data: bytes) -> None:
    """Write bytes to the standard output.

    Raises ``BrokenPipeError`` if its reader is gone, and :class:`~cpuwatch.errors.OutputError` if it is closed or
    cannot be written to for another reason.
    """
    if sys.stdout is None:
        raise OutputError("cannot write the output: the standard output is closed")
    rest = memoryview(data)
    with _output_errors():
        while rest:
            rest = rest[_write_some(sys.stdout.buffer, rest) :]
        _flush(sys.stdout)


def flush_output() -> None:
    """Flush the standard output, if there is one. Raises the same errors as :func:`write_output`."""
    if sys.stdout is not None:
        with _output_errors():
            _flush(sys.stdout)


def discard_output() -> None:
    """Drop buffered output, which the interpreter would otherwise try to write again when it exits."""
    if sys.stdout is not None:
        _discard(sys.stdout.fileno())


def complain(message: str, program: str = "cpuwatch") -> None:
    """Write one line to the standard error, if possible."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(f"{program}: {printable(message)}\n")
        sys.stderr.flush()
    except OSError:
        discard_errors()


def discard_errors() -> None:
    """Drop what the standard error has buffered, like :func:`discard_output`."""
    if sys.stderr is not None:
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
    """Write and return the number of bytes written; wait if another process (node, ssh) made the pipe non-blocking.

    With ``PYTHONUNBUFFERED`` the stream is raw: it may write less than it is given, or nothing (``None``).
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
    # poll, because select supports no descriptor above 1023.
    poll = select.poll()
    poll.register(stream.fileno(), select.POLLOUT)
    poll.poll()
