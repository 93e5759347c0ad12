from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from readings import HOSTILE_NAMES, SECOND, process, reading, snapshot
from strategies import broken_texts, snapshots

from cpuwatch import (
    CpuTimes,
    ExitedUsage,
    GroupedSnapshot,
    ProcessExit,
    Query,
    Sampling,
    Snapshot,
    View,
    apply_view,
    usage,
)
from cpuwatch.encoding.table import table
from cpuwatch.fields import NAMES as FIELDS
from cpuwatch.query.view import Grouping
from cpuwatch.text import printable


def test_table_of_an_example() -> None:
    earlier = reading(
        process(7, cpu_ns=SECOND, name="idle"),
        process(1234, user=None, children_ns=0),
        total=CpuTimes(0, 0, 0, 0, 0, 0),
    )
    later = reading(
        process(7, cpu_ns=SECOND, name="idle"),
        process(1234, cpu_ns=SECOND + 100_000_000, system_ns=275_000_000, user=None, state="R", children_ns=40_000_000),
        total=CpuTimes(500, 100, 350, 50, 0, 0),
        at_ns=101 * SECOND,
    )
    later = replace(
        later,
        exits=[ProcessExit(pid, 1234, "cc1", "alice", 1_000_000) for pid in (2000, 2001, 2002)],
        exited_names="taskstats",
    )
    assert table(usage(earlier, later)).splitlines() == [
        "here  2026-01-01T00:01:41.000000Z  1.000 s  scripted  load 0.50 0.25 0.12",
        "machine 60.0 % of 2 CPUs: user 50.0  system 10.0  iowait 5.0  irq 0.0  steal 0.0",
        "attributed: processes 55.0  exited 2.0  unattributed 3.0",
        "",
        " PID  USER    S  TOTAL%   CPU%  USER%  SYS%  EXITED%     TIME  NAME",
        "   7  nobody  S     0.0    0.0    0.0   0.0        -  0:01.00  idle",
        "1234  -       R   114.0  110.0   82.5  27.5      4.0  0:01.10  work",
        "",
        "exited within the interval (names: taskstats)",
        "PARENT     USER   COUNT  CPU%  NAME",
        "1234 work  alice      3   4.0  cc1",
    ]


def test_the_line_of_the_machine_ends_with_pressure_and_verdict() -> None:
    plain = snapshot((1, SECOND))
    crowded = replace(plain, machine=replace(plain.machine, pressure_percent=71.25, verdict="crowded"))
    assert table(crowded).splitlines()[1].endswith("  pressure 71.2  crowded")


def test_an_estimate_is_marked() -> None:
    later = reading(process(children_ns=0), total=CpuTimes(100, 0, 100, 0, 0, 0), at_ns=101 * SECOND)
    later = replace(later, exits=[ProcessExit(2000, 10, "job", "alice", SECOND // 4)], exited_names="taskstats")
    lines = table(usage(reading(process(children_ns=0), total=CpuTimes(0, 0, 0, 0, 0, 0)), later)).splitlines()
    assert lines[-3:] == [
        "exited within the interval (names: taskstats; ~ estimated: the parent did not wait for these processes)",
        "PARENT   USER   COUNT   CPU%  NAME",
        "10 work  alice      1  ~25.0  job",
    ]


def test_unknown_values_are_a_dash() -> None:
    found = usage(reading(), reading(process(cpu_ns=61 * SECOND), at_ns=101 * SECOND))
    assert table(found).splitlines()[-1].split() == ["10", "nobody", "S", *"-----", "1:01.00", "work"]


def below_summary(text: str) -> list[str]:
    """The lines after the first empty one: the headings and the rows."""
    lines = text.split("\n")
    return lines[lines.index("") + 1 : -1]


@given(snapshots())
def test_each_process_has_a_line_with_its_columns_under_their_headings(original: Snapshot) -> None:
    heading, *rows = below_summary(table(replace(original, exited=[])))
    assert len(rows) == len(original.processes)
    for line, row in zip(rows, original.processes, strict=True):
        assert line[: heading.index("PID") + 3].strip() == str(row.pid)


@given(snapshots())
def test_each_group_of_exited_processes_has_a_line(original: Snapshot) -> None:
    lines = table(original).split("\n")
    without = table(replace(original, exited=[])).split("\n")
    assert len(lines) == len(without) + (3 + len(original.exited) if original.exited else 0)


@given(snapshots(broken_texts))
def test_no_terminal_control_sequence_gets_through(original: Snapshot) -> None:
    text = table(original)
    assert all(char.isprintable() for char in text.replace("\n", ""))
    text.encode()


@pytest.mark.parametrize("raw", HOSTILE_NAMES)
def test_a_hostile_name_stays_on_its_line(raw: bytes) -> None:
    name = raw.decode("utf-8", "surrogateescape")
    plain = snapshot((10, SECOND))
    hostile = replace(plain, processes=[replace(row, name=name) for row in plain.processes])
    assert len(table(hostile).splitlines()) == len(table(plain).splitlines())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a b", "a b"),
        ("\x1b[31m", r"\x1b[31m"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\u202egnp", r"\u202egnp"),
        ("\udce9", r"\udce9"),
        ("\U000e0001", r"\U000e0001"),
        ("žluť 🐎", "žluť 🐎"),
    ],
)
def test_control_characters_are_shown_as_escapes(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("text", "encoding", "shown"),
    [
        ("köln", "ascii", r"k\xf6ln"),
        ("köln-日本", "latin-1", r"köln-\u65e5\u672c"),
        ("🐎", "ascii", r"\U0001f40e"),
        ("日本", "shift_jis", "日本"),
        ("a\nö", "ascii", r"a\n\xf6"),
        ("\udce9", "ascii", r"\udce9"),
    ],
)
def test_characters_that_the_encoding_lacks_are_shown_as_the_same_escapes(text: str, encoding: str, shown: str) -> None:
    assert printable(text, encoding) == shown


@given(st.text(), st.sampled_from(["utf-8", "ascii", "latin-1", "shift_jis", "gb18030", "cp437", "cp037"]))
def test_printable_text_can_be_encoded_and_has_no_control_characters(text: str, encoding: str) -> None:
    shown = printable(text, encoding)
    assert shown.isprintable()
    assert shown.encode(encoding).decode(encoding) == shown
    # The result is the same whether it was made for that encoding directly or afterwards.
    assert printable(printable(text), encoding) == shown


@given(st.text())
def test_printable_text_is_unchanged(text: str) -> None:
    assert printable(text).isprintable()
    if text.isprintable():
        assert printable(text) == text


def family() -> Snapshot:
    earlier = reading(process(7), process(8, children_ns=0))
    later = reading(
        process(7, cpu_ns=SECOND // 2, name="a\nb"),
        process(8, cpu_ns=SECOND // 4, children_ns=SECOND // 10),
        at_ns=101 * SECOND,
    )
    return usage(earlier, replace(later, exits=[ProcessExit(99, 8, "cc1", "nobody", SECOND // 10)]))


def test_the_columns_can_be_selected() -> None:
    assert table(family(), ("name", "cpu_percent", "exited_percent", "cpu_seconds", "pid")).splitlines()[3:7] == [
        "",
        "NAME  CPU%  EXITED%     TIME  PID",
        r"a\nb  50.0        -  0:00.50    7",
        "work  25.0     10.0  0:00.25    8",
    ]


@pytest.mark.parametrize(
    ("grouping", "rows"),
    [
        (
            "name",
            [
                r"50.0      0.0      1       0  a\nb",
                "25.0      0.0      1       0  work",
                "10.0     10.0      0       1  cc1",
            ],
        ),
        ("user", ["85.0     10.0      2       1  nobody"]),
        ("tree", [r"50.0      0.0      1       0  7 a\nb", "35.0     10.0      1       1  8 work"]),
    ],
)
def test_table_of_groups(grouping: Grouping, rows: list[str]) -> None:
    lines = table(apply_view(family(), View(group_by=grouping))).splitlines()
    assert lines[:3] == table(family()).splitlines()[:3]
    assert lines[3:] == ["", "CPU%  EXITED%  ALIVE  EXITED  GROUP", *rows]


groupings = st.sampled_from(["name", "user", "cgroup", "tree"])


@given(snapshots(broken_texts), groupings, st.integers(1, 3))
def test_no_terminal_control_sequence_gets_through_in_a_group(
    original: Snapshot, grouping: Grouping, count: int
) -> None:
    shown = apply_view(original, View(Query(top=count), group_by=grouping))
    text = table(shown)
    assert all(char.isprintable() for char in text.replace("\n", ""))
    assert isinstance(shown, GroupedSnapshot)
    assert len(below_summary(text)) == 1 + len(shown.groups)


@given(snapshots(broken_texts), st.lists(st.sampled_from(FIELDS), min_size=1))
def test_no_terminal_control_sequence_gets_through_in_a_selected_column(original: Snapshot, fields: list[str]) -> None:
    text = table(replace(original, exited=[]), fields)
    assert all(char.isprintable() for char in text.replace("\n", ""))
    assert len(below_summary(text)) == 1 + len(original.processes)


# Omitted rows


def test_each_list_has_the_number_of_its_omitted_rows() -> None:
    found = snapshot(*((pid, SECOND) for pid in range(1, 31)))
    exited = [ExitedUsage(name, "alice", 1, "sh", 1, 1.0, 0.5) for name in ("a", "b", "c")]
    lines = below_summary(table(replace(found, exited=exited), max_rows=2, hint=" (--all shows them)"))
    assert lines[3:4] == ["... 28 more (--all shows them)"]
    assert lines[-1:] == ["... 1 more (--all shows them)"]
    assert len(lines) == (1 + 2 + 1) + 2 + (1 + 2 + 1)


@pytest.mark.parametrize("max_rows", [None, 2, 3])
def test_a_complete_table_has_no_line_about_omitted_rows(max_rows: int | None) -> None:
    found = snapshot((1, SECOND), (2, SECOND))
    assert table(found, max_rows=max_rows) == table(found)


def test_omitted_groups_are_counted_too() -> None:
    lines = table(apply_view(family(), View(group_by="name")), max_rows=1).splitlines()
    assert lines[-2:] == [r"50.0      0.0      1       0  a\nb", "... 2 more"]


# Command lines


def test_command_lines_replace_names() -> None:
    found = snapshot((1, SECOND), (2, SECOND))
    lines = [None, "worker --name 'a b'\x1b[31m"]
    rows = [replace(row, command_line=line) for row, line in zip(found.processes, lines, strict=True)]
    heading, *shown = below_summary(table(replace(found, processes=rows)))
    assert heading.endswith("  COMMAND")
    # A kernel thread, as ps(1) shows it.
    assert shown[0].endswith("  [work]")
    assert shown[1].endswith(r"  worker --name 'a b'\x1b[31m")
    assert below_summary(table(replace(found, processes=rows), ("pid", "name")))[1:] == ["  1  work", "  2  work"]


# Missing processes


def test_missing_processes_are_reported_below_the_attribution() -> None:
    found = snapshot((10, SECOND))
    sampling = Sampling(unreadable={"EPERM": 77, "EMFILE": 1}, hidden=["/proc hides\x1b[31m it"])
    lines = table(replace(found, sampling=sampling)).splitlines()
    assert lines[:3] == table(found).splitlines()[:3]
    assert lines[3:6] == [
        r"hidden: /proc hides\x1b[31m it; their CPU time is in unattributed",
        "unreadable: 78 processes (EMFILE 1, EPERM 77); their CPU time is in unattributed",
        "",
    ]
    assert lines[5:] == table(found).splitlines()[3:]


# Columns


def cells(line: str) -> int:
    """Its width in terminal cells, from the Unicode database of the standard library (UAX #11)."""
    combining = sum(unicodedata.category(char) in {"Mn", "Me"} for char in line)
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in line)
    return len(line) - combining + wide


blocks = {
    "ascii": st.characters(min_codepoint=0x20, max_codepoint=0x7E),
    "latin": st.characters(min_codepoint=0xA1, max_codepoint=0x24F, exclude_characters="\xad"),
    "combining": st.characters(min_codepoint=0x300, max_codepoint=0x36F),
    "kana": st.characters(min_codepoint=0x3041, max_codepoint=0x3096),
    "han": st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5),
    "hangul": st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3),
    "fullwidth": st.characters(min_codepoint=0xFF01, max_codepoint=0xFF5E),
    "animals": st.characters(min_codepoint=0x1F400, max_codepoint=0x1F43E),
}
wide_and_narrow = st.text(st.one_of(*blocks.values()), max_size=12)


@given(st.lists(wide_and_narrow, min_size=1, max_size=5), st.sampled_from(["utf-8", "ascii", "latin-1", "shift_jis"]))
def test_columns_stay_aligned_whatever_the_width_of_a_name(names: list[str], encoding: str) -> None:
    plain = snapshot(*((pid, SECOND) for pid in range(1, len(names) + 1)))
    rows = [replace(row, name=name) for row, name in zip(plain.processes, names, strict=True)]
    text = table(replace(plain, processes=rows), ("name", "pid"), encoding=encoding)
    text.encode(encoding)
    # The last column is right-aligned, so all lines end in the same cell.
    assert len({cells(line) for line in below_summary(text)}) == 1


@given(snapshots(wide_and_narrow), st.integers(1, 120), st.sampled_from(["utf-8", "ascii"]))
def test_no_line_is_wider_than_the_terminal(original: Snapshot, width: int, encoding: str) -> None:
    for line in table(original, encoding=encoding, width=width, max_rows=1, hint=" (--all)").splitlines():
        assert cells(line) <= width


@given(snapshots(wide_and_narrow))
def test_a_wide_terminal_changes_nothing(original: Snapshot) -> None:
    assert table(original, width=10_000) == table(original)


def test_a_narrow_terminal_shows_fewer_columns_and_the_start_of_a_name() -> None:
    found = snapshot((7, SECOND))
    found = replace(found, processes=[replace(row, name="日本語の名前のプロセス") for row in found.processes])
    assert below_summary(table(found, width=42)) == [
        "PID  TOTAL%  EXITED%  NAME",
        "  7   100.0        -  日本語の名前のプロセ",
    ]
    assert below_summary(table(found, width=41))[-1].endswith("  日本語の名前のプロ")


def test_a_narrow_list_of_exited_processes_keeps_their_cpu() -> None:
    exited = [ExitedUsage("a" * 16, "alice", 12, "make", 1, 1.0, 0.5)]
    lines = below_summary(table(replace(snapshot((7, SECOND)), exited=exited), width=34))
    assert lines[-2:] == ["PARENT   CPU%  NAME", f"12 make   1.0  {'a' * 16}"]


def test_a_command_line_gets_more_space_than_a_name() -> None:
    found = snapshot((7, SECOND))
    rows = [replace(row, command_line="x" * 100) for row in found.processes]
    assert below_summary(table(replace(found, processes=rows), width=70)) == [
        "PID  USER    TOTAL%  EXITED%  COMMAND",
        "  7  nobody   100.0        -  " + "x" * 40,
    ]


def test_the_summary_is_wrapped_between_its_values() -> None:
    assert table(snapshot((7, SECOND)), width=50).splitlines()[:3] == [
        "here  2026-01-01T00:01:41.000000Z  1.000 s",
        "  scripted  load 0.50 0.25 0.12",
        "machine 0.0 % of 2 CPUs: user 0.0  system 0.0",
    ]


def test_selected_columns_are_truncated_and_not_dropped() -> None:
    found = snapshot((7, SECOND))
    assert below_summary(table(found, ("state", "user", "name"), width=10)) == ["S  USER", "S  nobody"]


def test_table_of_wide_names() -> None:
    plain = snapshot((1, SECOND), (2, SECOND), (3, SECOND))
    names = ["日本", "cafe\u0301", "🐎x"]
    rows = [replace(row, name=name, user="ユーザ") for row, name in zip(plain.processes, names, strict=True)]
    assert below_summary(table(replace(plain, processes=rows), ("user", "name", "pid"))) == [
        "USER    NAME  PID",
        "ユーザ  日本    1",
        "ユーザ  cafe\u0301    2",
        "ユーザ  🐎x     3",
    ]
