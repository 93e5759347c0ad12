from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpuwatch.samplers.procfs import stat_parser
from cpuwatch.samplers.procfs.parse import parse_process_stat
from cpuwatch.samplers.procfs.stat_parser import StatParser


def line(pid: int = 7, name: bytes = b"cat", utime: int = 5, start_time: int = 90, rest: bytes = b"4096 2 3") -> bytes:
    return b"%d (%b) S 1 7 7 0 -1 0 0 0 0 0 %d 3 0 0 20 0 1 0 %d %b\n" % (pid, name, utime, start_time, rest)


lines = st.builds(
    line,
    name=st.sampled_from([b"cat", b"ca", b"c) S 1"]),
    utime=st.sampled_from([5, 50]),
    start_time=st.sampled_from([9, 90, 900]),
    rest=st.sampled_from([b"4096 2 3", b"0", b"900"]),
)


@given(st.lists(st.tuples(st.sampled_from([7, 8]), lines)))
def test_the_result_does_not_depend_on_earlier_lines(history: list[tuple[int, bytes]]) -> None:
    parser = StatParser()
    for pid, data in history:
        assert parser.parse(pid, data) == parse_process_stat(data)


def test_a_line_that_differs_only_in_unused_fields_is_not_parsed_again() -> None:
    parser = StatParser()
    stat = parser.parse(7, line())
    assert parser.parse(7, line(rest=b"8192 4 5")) is stat
    assert parser.parse(7, line(utime=6)) is not stat


def test_a_malformed_line_is_an_error_each_time() -> None:
    parser = StatParser()
    parser.parse(7, line())
    for _ in range(2):
        with pytest.raises(ValueError, match="fields after the name"):
            parser.parse(7, b"7 (cat) S 1 7\n")


def test_the_number_of_remembered_lines_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stat_parser, "_MAX_REMEMBERED", 2)
    parser = StatParser()
    first = parser.parse(1, line(1))
    parser.parse(2, line(2))
    assert parser.parse(1, line(1)) is first
    parser.parse(3, line(3))
    assert parser.parse(1, line(1)) is not first
