"""The command that recreates a report from the data of a run."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from synthetic_run import synthetic_run

from benchmarks.report import __main__ as make_report
from benchmarks.report.page import render

RUN = synthetic_run(30)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file = tmp_path / "perf.json"
    file.write_bytes(msgspec.json.encode(RUN))
    return file


def test_the_report_can_be_recreated_from_the_data(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make_report.main([str(data)]) == 0

    page = data.with_suffix(".html")
    assert page.read_text(encoding="utf-8") == render(RUN)
    assert capsys.readouterr().out == f"{page}\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        (b"", "no whole JSON"),
        (b'{"format": 1, "sta', "no whole JSON"),
        (b"\xff\xfe\x00", "no whole JSON"),
        (b"[1, 2]", "not the data of a run"),
        (b'{"format": "new"}', "not the data of a run"),
        (b'{"format": 1}', "not the data of a run: Object missing required field"),
        (b'{"format": 2}', "its format is 2, this command reads 1"),
    ],
)
def test_an_invalid_data_file_is_refused_in_one_line(
    data: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, reason: str
) -> None:
    broken = data.with_name("broken.json")
    if content is not None:
        broken.write_bytes(content)

    code = make_report.main([str(broken)])

    output = capsys.readouterr()
    assert code == 2
    assert output.err.startswith(f"python -m benchmarks.report: {broken}: ")
    assert reason in output.err
    assert output.err.count("\n") == 1
    assert not list(data.parent.glob("*.html"))


def test_a_page_that_cannot_be_written_is_an_error_in_one_line(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make_report.main([str(data), "-o", str(data / "report.html")]) == 2

    assert capsys.readouterr().err.count("\n") == 1
