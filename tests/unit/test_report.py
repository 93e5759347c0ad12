"""``cpuwatch report``: flags, the table, JSON and errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_summary import minutes, recorded

from cpuwatch.commands.cli import main
from cpuwatch.recording.writer import LogSize

RANGE = ("--from", "2026-01-01T00:01:40Z", "--to", "2026-01-01T00:05:00Z")
"""All of :func:`minutes`, which begins 100 seconds after midnight, and a second without a tick."""


@pytest.fixture
def directory() -> Iterator[Path]:
    with recorded(minutes(), log_size=LogSize()) as (_, path):
        yield path


def test_a_table_of_processes(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(directory), *RANGE]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "covered 3:19 of 3:20, 199 ticks"
    assert lines[2] == "machine 5.2 %  peak 5.5 %  20.56 of 398.00 CPU seconds"
    rows = [line.split() for line in lines if line.endswith(("steady", "seldom"))]
    assert [(row[2], row[-1]) for row in rows] == [("19.90", "steady"), ("0.66", "seldom")]
    assert lines[-1] == "rest: own 0.00  exited 0.00"


def test_the_other_rows_are_in_the_rest(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(directory), *RANGE, "--top", "1", "--group-by", "name"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "rest: 0.66  exited 0.00"


def test_json_has_all_rows(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(directory), *RANGE, "--group-by", "name", "--format", "json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert [(row["group"], row["cpu_seconds"]) for row in summary["groups"]] == [("steady", 19.9), ("seldom", 0.66)]


def test_a_gap_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    ticks = minutes()
    with recorded([*ticks[:50], *ticks[100:]]) as (_, directory):
        assert main(["report", str(directory), *RANGE]) == 0
    assert "covered 2:28 of 3:20, 148 ticks; nothing recorded for 0:52" in capsys.readouterr().out


def exit_code(arguments: list[str]) -> object:
    try:
        return main(arguments)
    except SystemExit as error:  # argparse
        return error.code


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--from", "-15m"], 1, "nothing was recorded in this range; the recording begins at 20"),
        (["--from", "2026-01-01", "--to", "2026-01-01"], 2, "empty range: 20"),
        (["--from", "noon"], 2, "argument --from: invalid time 'noon': must be like now"),
        ([], 2, "--from"),
    ],
)
def test_an_error_is_one_line(
    directory: Path, arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(["report", str(directory), *arguments]) == code
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert not printed.out


def test_a_directory_without_a_recording_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path), "--from", "-15m"]) == 1
    assert "it holds no recording" in capsys.readouterr().err
