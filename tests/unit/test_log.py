from __future__ import annotations

import io
import json
import logging
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cpuwatch.log import LineFormatter, logging_to_stderr


def record(message: str, *args: object, exc_info: bool = False, **fields: object) -> logging.LogRecord:
    info = sys.exc_info() if exc_info else None
    made = logging.LogRecord("cpuwatch.web", logging.WARNING, __file__, 1, message, args, info)
    made.created = 1_800_000_000.25
    made.fields = fields
    return made


def test_a_text_line_consists_of_keys_and_values() -> None:
    line = LineFormatter("text").format(record("slow: %d s", 3, target="/cpu_usage?top=3", status=200))
    assert shlex.split(line) == [
        "time=2027-01-15T08:00:00.250Z",
        "level=warning",
        "logger=cpuwatch.web",
        f"process={logging.LogRecord('', 0, '', 0, '', (), None).process}",
        "message=slow: 3 s",
        "target=/cpu_usage?top=3",
        "status=200",
    ]


def test_a_json_line_has_the_same_keys() -> None:
    event = json.loads(LineFormatter("json").format(record("slow", status=200, client=None)))
    assert event["time"] == "2027-01-15T08:00:00.250Z"
    assert (event["level"], event["message"], event["status"], event["client"]) == ("warning", "slow", 200, None)


@given(st.text(), st.text(), st.sampled_from(["text", "json"]))
@example("\x7f\x9b\u202e", "\x7f", "text")
def test_any_event_is_one_line_of_printable_ascii(message: str, value: str, form: str) -> None:
    line = LineFormatter("json" if form == "json" else "text").format(record("%s", message, value=value))
    assert line.isascii()
    assert line.isprintable()
    if form == "json":
        event = json.loads(line)
        assert (event["message"], event["value"]) == (message, value)


def test_a_traceback_is_in_the_line_of_its_event() -> None:
    try:
        int("two\nlines")
    except ValueError:
        failed = record("no answer", exc_info=True)
    for form in (LineFormatter("text"), LineFormatter("json")):
        line = form.format(failed)
        assert "\n" not in line
        assert "ValueError: invalid literal" in line


@contextmanager
def no_root_handlers(monkeypatch: pytest.MonkeyPatch, stderr: object) -> Iterator[None]:
    """Remove pytest's log handlers, as in a process without pytest."""
    with monkeypatch.context() as patched:
        patched.setattr(logging.getLogger(), "handlers", [])
        patched.setattr(sys, "stderr", stderr)
        yield


def messages(file: Path) -> list[str]:
    return [json.loads(line)["message"] for line in file.read_text().splitlines()]


def test_events_go_to_the_standard_error_within_the_block(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "stderr"
    with file.open("w") as stderr, no_root_handlers(monkeypatch, stderr):
        with logging_to_stderr("json", "cpuwatch"):
            logging.getLogger("cpuwatch.web").info("inside")
        logging.getLogger("cpuwatch.web").info("after")
    assert messages(file) == ["inside"]


def test_existing_handlers_are_kept_and_none_is_added(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "stderr"
    with (
        file.open("w") as stderr,
        no_root_handlers(monkeypatch, stderr),
        logging_to_stderr("json"),
        logging_to_stderr("text", "cpuwatch"),
    ):
        logging.getLogger("cpuwatch.web").warning("once")
    assert messages(file) == ["once"]


class Unprintable:
    def __str__(self) -> str:
        raise ValueError("no text")


def test_a_record_that_cannot_be_formatted_is_counted_and_written_to_no_stream(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "stderr"
    with file.open("w") as stderr, no_root_handlers(monkeypatch, stderr), logging_to_stderr("json"):
        logging.getLogger("cpuwatch.web").info("%s", Unprintable())
    assert messages(file) == ["1 log lines were dropped: they could not be written"]


@pytest.mark.parametrize("stderr", [None, io.StringIO()])
def test_no_handler_is_added_if_the_standard_error_is_not_a_file(
    monkeypatch: pytest.MonkeyPatch, stderr: object
) -> None:
    # If descriptor 2 was closed when the process started, it may be the connection of a client.
    with no_root_handlers(monkeypatch, stderr), logging_to_stderr("json"):
        assert not logging.getLogger("cpuwatch").hasHandlers()


def test_logging_threads_do_not_wait_for_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    logger = logging.getLogger("cpuwatch.web")
    with os.fdopen(reader, "rb") as read, os.fdopen(writer, "w") as stderr:
        with no_root_handlers(monkeypatch, stderr), logging_to_stderr("text"):
            # More than the pipe holds: without a writing thread, this would block forever.
            for _ in range(3000):
                logger.info("x" * 200)
        # The thread is still in write(2). It ends once the pipe is read.
        os.set_blocking(reader, False)
        found = b""
        while b"dropped" not in found:
            found += read.read() or b""
    assert b" log lines were dropped" in found
