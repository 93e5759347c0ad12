from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from cpuwatch.log_writer import LogWriter

TIMEOUT = 30.0
PIPE_BYTES = 65_536


def dropped(lines: int) -> str:
    return f"dropped {lines}"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


def read_lines(reader: int, last: bytes) -> list[bytes]:
    found = b""
    while not found.endswith(last):
        found += os.read(reader, PIPE_BYTES)
    return found.splitlines()


def fill(writer: int) -> int:
    """Fill the pipe, and return the number of bytes in it."""
    os.set_blocking(writer, False)
    count = 0
    try:
        while True:
            count += os.write(writer, b"." * 4096)
    except BlockingIOError:
        return count
    finally:
        os.set_blocking(writer, True)


def test_lines_are_written_in_order(pipe: tuple[int, int]) -> None:
    log = LogWriter(pipe[1], dropped)
    for number in range(100):
        log.write(f"line {number}")
    log.close()
    assert read_lines(pipe[0], b"line 99\n") == [b"line %d" % number for number in range(100)]


@pytest.mark.parametrize("blocking", [True, False])
def test_lines_are_dropped_and_counted_when_the_queue_is_full(pipe: tuple[int, int], blocking: bool) -> None:
    reader, writer = pipe
    filled = fill(writer)
    os.set_blocking(writer, blocking)
    log = LogWriter(writer, dropped, max_lines=3)
    log.write("first")
    while log._lines:  # until the thread waits in write()
        os.sched_yield()
    for number in range(10):
        log.write(f"line {number}")
    while filled:
        filled -= len(os.read(reader, filled))
    assert read_lines(reader, b"dropped 7\n") == [b"first", b"line 0", b"line 1", b"line 2", b"dropped 7"]
    log.write("later")
    log.close()
    assert read_lines(reader, b"later\n") == [b"later"]


def test_closing_does_not_wait_for_a_reader(pipe: tuple[int, int]) -> None:
    fill(pipe[1])
    log = LogWriter(pipe[1], dropped)
    log.write("line")
    closing = threading.Thread(target=log.close, args=(0.001,))
    closing.start()
    closing.join(TIMEOUT)
    assert not closing.is_alive()
    while b"line" not in os.read(pipe[0], PIPE_BYTES):
        pass


def test_lines_that_could_not_be_written_are_counted_too() -> None:
    # Every write fails with ENOSPC, as on a full disk.
    full = os.open("/dev/full", os.O_WRONLY)
    log = LogWriter(full, dropped)
    for _ in range(5):
        log.write("line")
    while log._lines or log._dropped < 5:
        os.sched_yield()
    reader, writer = os.pipe()
    os.dup2(writer, full)  # room again
    log.write("after")
    log.close()
    assert read_lines(reader, b"dropped 5\n") == [b"after", b"dropped 5"]
    for descriptor in (full, reader, writer):
        os.close(descriptor)


def test_the_thread_survives_a_disconnected_reader() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    log = LogWriter(writer, dropped)
    log.write("line")
    log.close(TIMEOUT)
    assert not log._thread.is_alive()
    os.close(writer)
