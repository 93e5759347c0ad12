"""The parser of top's output, with text written by top of procps-ng and with generated text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.top_text import percent_by_user

SCREEN = """\
top - 03:49:09 up 51 min,  0 user,  load average: 0.61, 9.91, 29.76
Tasks:  72 total,   2 running,  70 sleeping,   0 stopped,   0 zombie
%Cpu(s): 25.0 us,  0.0 sy,  0.0 ni, 75.0 id,  0.0 wa,  0.0 hi,  0.0 si,  0.0 st
MiB Mem :  24105.6 total,  23786.4 free,    348.5 used,    194.2 buff/cache
MiB Swap:      0.0 total,      0.0 free,      0.0 used.  23757.0 avail Mem

  PID USER      PR  NI    VIRT    RES    SHR S  %CPU  %MEM     TIME+ COMMAND
 4711 60845     20   0    2584   1536   1536 R  49.5   0.0   0:00.51 sh
 4712 60845     20   0   10000   9000   1536 R 101.0   0.0   0:00.02 my cmd 3.0
    1 root      20   0   43716  13884   6320 S   1.0   0.1   0:30.57 process_a+
 4713 systemd+  rt   0   43716  13884   6320 S   0.0   0.1   0:30.57 PID USER
"""


def test_each_screen_has_the_sums_of_its_users() -> None:
    once = {"60845": 150.5, "root": 1.0, "systemd+": 0.0}
    assert percent_by_user(SCREEN.splitlines()) == [once]
    assert percent_by_user((SCREEN + "\n" + SCREEN).splitlines()) == [once, once]


def test_columns_are_found_by_their_headings() -> None:
    lines = ["top - x", "", "%CPU USER  PID COMMAND", " 2.5 alice  12 a b c"]
    assert percent_by_user(lines) == [{"alice": 2.5}]


@pytest.mark.parametrize("row", ["12 alice 2,5 x", "12 alice", "12 alice much x"])
def test_an_invalid_row_is_quoted_in_the_error(row: str) -> None:
    with pytest.raises(ValueError, match=row):
        percent_by_user(["top - x", "", "PID USER %CPU COMMAND", row])


def test_unexpected_columns_are_named_in_the_error() -> None:
    with pytest.raises(ValueError, match="PID RES COMMAND"):
        percent_by_user(["top - x", "", "PID RES COMMAND", "1 2 sh"])


rows = st.tuples(
    st.sampled_from(["alice", "60845", "systemd+"]),
    st.integers(0, 9999).map(lambda tenths: tenths / 10),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20),
)


@given(st.lists(st.lists(rows, max_size=20), max_size=4))
def test_process_names_do_not_affect_the_sums(screens: list[list[tuple[str, float, str]]]) -> None:
    lines: list[str] = []
    for screen in screens:
        lines += ["top - 03:49:09 up 51 min", "Tasks: 1 total", "", "    PID USER      S  %CPU     TIME+ COMMAND"]
        lines += [f"{4711:>7} {user:<8}  R {percent:5.1f}   0:00.01 {name}" for user, percent, name in screen]
        lines.append("")
    sums = percent_by_user(lines)
    for screen, found in zip(screens, sums, strict=True):
        assert set(found) == {user for user, _, _ in screen}
        for name, shown in found.items():
            assert shown == pytest.approx(sum(percent for user, percent, _ in screen if user == name))
