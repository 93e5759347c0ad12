"""``cpuwatch export``: what it writes, what it refuses to overwrite, and what a failure leaves behind."""

from __future__ import annotations

import csv
import errno
import json
import os
import time
from contextlib import nullcontext
from io import StringIO
from pathlib import Path

import pytest
from readings import HOSTILE_NAMES, SECOND, process, reading
from recorded_runs import live_ticks

from cpuwatch import Snapshot
from cpuwatch.commands.cli import main
from cpuwatch.errors import ExportError
from cpuwatch.recording.abandoned import locked
from cpuwatch.recording.export import new_file
from cpuwatch.recording.writer import RecordingWriter
from cpuwatch.text import text_from_bytes

NAMES = [text_from_bytes(name) for name in HOSTILE_NAMES]


@pytest.fixture
def live(tmp_path: Path) -> list[Snapshot]:
    """Record ten seconds in which processes with hostile names run, and one is idle; return the live snapshots."""
    ticks = list(
        live_ticks(
            reading(
                process(999, cpu_ns=SECOND, name="idle"),
                *(process(10 + n, cpu_ns=second * SECOND // 50, name=name) for n, name in enumerate(NAMES)),
                at_ns=(100 + second) * SECOND,
            )
            for second in range(11)
        )
    )
    with RecordingWriter(tmp_path / "recording") as writer:
        for tick in ticks:
            writer.write(tick)
    return [tick.snapshot for tick in ticks if tick.snapshot is not None]


def export(tmp_path: Path, *arguments: str, output: Path | str | None = None, kind: str = "csv") -> int:
    target = tmp_path / "out" if output is None else output
    return main(["export", str(tmp_path / "recording"), "--format", kind, "--output", str(target), *arguments])


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_csv_has_the_processes_that_ran_with_their_names(tmp_path: Path, live: list[Snapshot]) -> None:
    assert export(tmp_path) == 0
    rows = read_csv(tmp_path / "out")
    assert len(rows) == 10 * len(NAMES)
    assert [row["name"] for row in rows[: len(NAMES)]] == NAMES
    assert [float(row["cpu_percent"]) for row in rows] == [
        row.cpu_percent for snapshot in live for row in snapshot.processes if row.name != "idle"
    ]


def test_all_also_exports_idle_processes(tmp_path: Path, live: list[Snapshot]) -> None:
    assert export(tmp_path, "--all", kind="ndjson") == 0
    rows = [json.loads(line) for line in (tmp_path / "out").read_text().split("\n")[:-1]]
    assert [row["pid"] for row in rows] == [row.pid for snapshot in live for row in snapshot.processes]


def test_a_range_is_exported(tmp_path: Path, live: list[Snapshot]) -> None:
    begin, end = live[2].time, live[5].time
    assert export(tmp_path, "--table", "ticks", "--from", begin.isoformat(), "--to", end.isoformat()) == 0
    assert [int(row["sequence"]) for row in read_csv(tmp_path / "out")] == [4, 5, 6]


@pytest.mark.parametrize("output", [["--output", "-"], []], ids=["named", "by default"])
def test_standard_output(
    tmp_path: Path, live: list[Snapshot], capfdbinary: pytest.CaptureFixture[bytes], output: list[str]
) -> None:
    assert main(["export", str(tmp_path / "recording"), "--format", "csv", "--table", "ticks", *output]) == 0
    out, err = capfdbinary.readouterr()
    assert len(list(csv.DictReader(StringIO(out.decode(), newline="")))) == len(live)
    assert err == b""


@pytest.mark.usefixtures("live")
@pytest.mark.parametrize(
    ("arguments", "output", "message"),
    [
        (["--format", "parquet"], "-", "needs a directory"),
        (["--from", "2026-01-02T00:00:00Z", "--to", "2026-01-01T00:00:00Z"], "out", "must be before"),
        (["--from", "yesterdya"], "out", "yesterdya"),
        (["--table", "process"], "out", "processes"),
    ],
)
def test_invalid_arguments_fail_with_code_2(
    arguments: list[str], output: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code: int | str | None
    try:
        code = export(tmp_path, *arguments, output=output)
    except SystemExit as exited:
        code = exited.code
    assert code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


@pytest.mark.usefixtures("live")
def test_a_range_without_snapshots_is_an_error_and_leaves_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind in ("csv", "parquet"):
        assert export(tmp_path, "--from", "2030-01-01T00:00:00Z", kind=kind) == 1
        assert "has no snapshots after 2030-01-01T00:00:00.000000Z" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["recording"]


@pytest.mark.usefixtures("live")
def test_a_file_that_exists_is_only_overwritten_by_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").write_text("precious")
    assert export(tmp_path) == 1
    assert "use --force to overwrite it" in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "precious"
    assert export(tmp_path, "--force") == 0
    assert read_csv(tmp_path / "out")


@pytest.mark.usefixtures("live")
def test_a_directory_or_a_device_is_never_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, message in (("recording", "it is a directory"), ("pipe", "not a regular file")):
        assert export(tmp_path, "--force", output=tmp_path / name) == 1
        assert message in capsys.readouterr().err
    assert sorted(os.listdir(tmp_path)) == ["pipe", "recording"]


def test_a_new_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new"
    with new_file(path) as file:
        file.write(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert os.listdir(tmp_path) == ["new"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_failure_leaves_what_was_there(overwrite: bool, tmp_path: Path) -> None:
    path = tmp_path / "new"
    if overwrite:
        path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), new_file(path, overwrite=overwrite) as file:
        file.write(b"half" * (1 // 0))
    assert os.listdir(tmp_path) == (["new"] if overwrite else [])
    assert not overwrite or path.read_bytes() == b"old"


def test_a_file_that_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "new"
    with pytest.raises(ExportError, match="the file exists"), new_file(path):
        path.write_bytes(b"of another export")
    assert path.read_bytes() == b"of another export"
    assert os.listdir(tmp_path) == ["new"]


def test_a_damaged_part_is_reported_and_the_rest_is_exported(
    tmp_path: Path, live: list[Snapshot], capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = (tmp_path / "recording").glob("*.block")
    second = block.with_name("00000002.block")
    content = bytearray(block.read_bytes())
    second.write_bytes(content)
    content[len(content) // 2] ^= 1
    block.write_bytes(content)
    assert export(tmp_path, "--table", "ticks") == 0
    assert f"{block} is damaged from byte" in capsys.readouterr().err
    assert len(read_csv(tmp_path / "out")) == len(live)


@pytest.mark.parametrize("taken", [False, True])
def test_a_file_system_without_hard_links(taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "new"
    with pytest.raises(ExportError) if taken else nullcontext(), new_file(path) as file:
        file.write(b"whole")
        if taken:
            path.write_bytes(b"of another export")
    assert path.read_bytes() == (b"of another export" if taken else b"whole")
    assert os.listdir(tmp_path) == ["new"]


def unfinished(path: Path, *, is_directory: bool, age_seconds: float = 3600) -> Path:
    """What an export has left, or is still writing."""
    if is_directory:
        path.mkdir(parents=True)
        (path / "0-processes").write_bytes(b"PAR1")
    else:
        path.write_bytes(b"beginning")
    then = time.time() - age_seconds
    os.utime(path, (then, then))
    return path


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_what_a_killed_export_left_is_removed_by_the_next(tmp_path: Path, live: list[Snapshot], kind: str) -> None:
    is_directory = kind == "parquet"
    if is_directory:
        pytest.importorskip("pyarrow")
    name = ".cpuwatch-export-{}" if is_directory else ".out.{}.tmp"
    folder = tmp_path / "out" if is_directory else tmp_path
    left = unfinished(folder / name.format(10), is_directory=is_directory)
    running = unfinished(folder / name.format(11), is_directory=is_directory)
    young = unfinished(folder / name.format(12), is_directory=is_directory, age_seconds=5)
    foreign = unfinished(folder / ".out.notes.tmp", is_directory=False)
    with locked(running):
        assert export(tmp_path, kind=kind) == 0
    assert live
    assert not left.exists()
    assert all(path.exists() for path in (running, young, foreign))
