from __future__ import annotations

import io
import json
import logging
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager

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


def test_a_line_of_text_is_key_and_value() -> None:
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


def test_a_line_of_json_is_an_object_with_the_same_keys() -> None:
    event = json.loads(LineFormatter("json").format(record("slow", status=200, client=None)))
    assert event["time"] == "2027-01-15T08:00:00.250Z"
    assert (event["level"], event["message"], event["status"], event["client"]) == ("warning", "slow", 200, None)


@given(st.text(), st.text(), st.sampled_from(["text", "json"]))
@example("\x7f\x9b\u202e", "\x7f", "text")
def test_whatever_is_in_an_event_it_is_one_line_of_printable_ascii(message: str, value: str, form: str) -> None:
    line = LineFormatter("json" if form == "json" else "text").format(record("%s", message, value=value))
    assert line.isascii()
    assert line.isprintable()
    if form == "json":
        event = json.loads(line)
        assert (event["message"], event["value"]) == (message, value)


def test_a_traceback_stands_in_the_line_of_its_event() -> None:
    try:
        int("two\nlines")
    except ValueError:
        failed = record("no answer", exc_info=True)
    for form in (LineFormatter("text"), LineFormatter("json")):
        line = form.format(failed)
        assert "\n" not in line
        assert "ValueError: invalid literal" in line


@contextmanager
def no_root_handlers(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """As in a process of its own, where pytest does not listen."""
    stream = io.StringIO()
    with monkeypatch.context() as patched:
        patched.setattr(logging.getLogger(), "handlers", [])
        patched.setattr(sys, "stderr", stream)
        yield stream


def test_within_the_block_events_go_to_the_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with no_root_handlers(monkeypatch) as stream:
        with logging_to_stderr("json", "cpuwatch"):
            logging.getLogger("cpuwatch.web").info("inside")
        logging.getLogger("cpuwatch.web").info("after")
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["inside"]


def test_who_already_listens_goes_on_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with no_root_handlers(monkeypatch) as stream, logging_to_stderr("json"), logging_to_stderr("text", "cpuwatch"):
        logging.getLogger("cpuwatch.web").warning("once")
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["message"] == "once"
