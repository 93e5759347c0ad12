"""The output of the commands to any destination: not UTF-8, closed, full, without a reader."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from live_server import environment

pytestmark = pytest.mark.timeout(60)

NAME = "köln-日本"
SAMPLE = [sys.executable, "-m", "cpuwatch", "sample", "--interval", "0.05"]
RENAMED = """
import ctypes, sys
ctypes.CDLL(None).prctl(15, {name!r}.encode(), 0, 0, 0)
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def named_process() -> Iterator[int]:
    """Start a process with this name, as any user can."""
    with subprocess.Popen(
        [sys.executable, "-c", RENAMED.format(name=NAME)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
        process.terminate()


def sample(*arguments: str, script: str = 'exec "$@"', **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command in a shell that can redirect its output."""
    return subprocess.run(
        ["sh", "-c", script, "sh", *SAMPLE, *arguments],
        capture_output=True,
        check=False,
        timeout=60,
        env=environment(**variables),
    )


ENCODINGS = [
    ({"PYTHONIOENCODING": "ascii"}, r"k\xf6ln-\u65e5\u672c", "ascii"),
    ({"PYTHONIOENCODING": "latin-1"}, r"köln-\u65e5\u672c", "latin-1"),
    ({"PYTHONIOENCODING": "shift_jis"}, r"k\xf6ln-日本", "shift_jis"),
    ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, r"k\xf6ln-\u65e5\u672c", "ascii"),
    ({"PYTHONIOENCODING": "utf-8"}, NAME, "utf-8"),
]


@pytest.mark.parametrize(("variables", "shown", "encoding"), ENCODINGS)
def test_the_table_is_complete_in_every_encoding(
    variables: dict[str, str], shown: str, encoding: str, named_process: int
) -> None:
    done = sample("--pid", str(named_process), **variables)
    assert (done.returncode, done.stderr) == (0, b"")
    row = done.stdout.decode(encoding).splitlines()[-1]
    assert row.split()[0] == str(named_process)
    assert row.endswith(f"  {shown}")


@pytest.mark.parametrize(("variables", "_shown", "_encoding"), ENCODINGS)
@pytest.mark.parametrize("form", ["json", "ndjson"])
@pytest.mark.parametrize("backend", ["procfs", "psutil"])
def test_json_is_the_same_in_every_locale(
    variables: dict[str, str], _shown: str, _encoding: str, form: str, backend: str, named_process: int
) -> None:
    # Also found by its name, which is given in UTF-8.
    done = sample("--format", form, "--backend", backend, "--pid", str(named_process), "--name", NAME, **variables)
    assert (done.returncode, done.stderr) == (0, b"")
    lines = [json.loads(line) for line in done.stdout.decode("utf-8").splitlines()]
    (process,) = lines[0]["processes"] if form == "json" else [line for line in lines if line["kind"] == "process"]
    assert process["name"] == NAME


@pytest.mark.parametrize("arguments", [["--help"], ["--name", "\udcff"], ["--sort", "\udcff"], ["--nope", "ö"]])
def test_help_and_errors_can_be_written_in_ascii(arguments: list[str]) -> None:
    done = sample(*arguments, PYTHONIOENCODING="ascii")
    assert b"Traceback" not in done.stderr
    assert (done.stdout + done.stderr).isascii()
    assert done.returncode == (2 if {"--sort", "--nope"} & set(arguments) else 0)


@pytest.mark.parametrize(
    ("arguments", "unbuffered"), [([], ""), (["--json"], ""), (["--help"], ""), ([], "1"), (["--json"], "1")]
)
def test_a_full_disk_is_reported_in_one_line(arguments: list[str], unbuffered: str) -> None:
    done = sample(*arguments, script='exec "$@" >/dev/full', PYTHONUNBUFFERED=unbuffered)
    assert (done.returncode, done.stderr) == (1, b"cpuwatch: cannot write the output: No space left on device\n")


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_closed_output_is_reported_in_one_line(arguments: list[str]) -> None:
    done = sample(*arguments, script='exec "$@" >&-')
    assert done.returncode == 1
    assert done.stderr == b"cpuwatch: cannot write the output: the standard output is closed\n"


@pytest.mark.parametrize("arguments", [["--backend", "none"], ["--nope"]])
@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_the_exit_code_reports_a_mistake_if_the_standard_error_cannot(
    arguments: list[str], redirection: str, unbuffered: str
) -> None:
    done = sample(*arguments, script=f'exec "$@" {redirection}', PYTHONUNBUFFERED=unbuffered)
    # The message is not written to the output instead.
    assert (done.returncode, done.stdout, done.stderr) == (2, b"", b"")


def test_a_closed_input_does_not_matter() -> None:
    done = sample("--json", script='exec "$@" <&-')
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("arguments", [["--top", "100"], ["--json"], ["--help"]])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_closes_the_pipe_is_not_a_failure(arguments: list[str], unbuffered: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [*SAMPLE, *arguments]
    with os.fdopen(writer, "wb") as output:
        done = subprocess.run(
            command, stdout=output, stderr=subprocess.PIPE, check=False, env=environment(PYTHONUNBUFFERED=unbuffered)
        )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_pipe_that_does_not_block_is_waited_for(unbuffered: str) -> None:
    # Node and ssh leave pipes in this mode: a write to a full pipe fails or writes only a part.
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writer, False)
    with (
        os.fdopen(reader, "rb") as source,
        subprocess.Popen([*SAMPLE, "--json"], stdout=writer, env=environment(PYTHONUNBUFFERED=unbuffered)) as process,
    ):
        os.close(writer)
        # Wait until it has filled the pipe and sleeps in poll(2).
        while Path(f"/proc/{process.pid}/syscall").read_text().split()[0] not in POLL and process.poll() is None:
            time.sleep(0.02)
        data = source.read()
    assert process.returncode == 0
    assert len(json.loads(data)["processes"]) > 0
    assert len(data) > 4096


POLL = {"7", "73", "271"}
"""poll(2) and ppoll(2), on x86-64 and arm64."""


@pytest.mark.parametrize(("variables", "width"), [({}, 50), ({"COLUMNS": "45"}, 45)])
def test_the_table_is_as_wide_as_the_terminal(variables: dict[str, str], width: int, named_process: int) -> None:
    command = [*SAMPLE, "--command-lines", "--pid", str(named_process)]
    terminal, end = os.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("4H", 24, 50, 0, 0))
    with os.fdopen(terminal, "rb", buffering=0) as screen:
        subprocess.run(command, stdout=end, check=True, timeout=60, env=environment(**variables))
        # The terminal buffer holds the whole table.
        shown = screen.read(65536).decode().splitlines()
        os.close(end)
    assert max(map(len, shown)) == width


def test_output_to_a_file_is_not_truncated(named_process: int) -> None:
    done = sample("--command-lines", "--pid", str(named_process))
    assert done.stdout.decode().splitlines()[-1].endswith(r"sys.stdin.read()\n")
    done = sample("--command-lines", "--pid", str(named_process), COLUMNS="50")
    assert max(map(len, done.stdout.decode().splitlines())) == 50


def test_ctrl_c_ends_a_sample_without_a_traceback() -> None:
    command = [sys.executable, "-m", "cpuwatch", "sample", "--interval", "3600"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as process:
        # It has this file open between its two readings.
        while not any(target == "/proc/stat" for target in held_files(process.pid)):
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (128 + signal.SIGINT, b"", b"")


def held_files(pid: int) -> list[str]:
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(str(link.readlink()))
        except FileNotFoundError:
            continue
    return found


def test_a_defect_ends_with_a_traceback_and_1() -> None:
    program = (
        "import sys, cpuwatch.commands.cli, cpuwatch.commands.sample\n"
        "def broken(*_, **__): raise ValueError('ours')\n"
        "cpuwatch.commands.sample.sample = broken\n"
        "sys.exit(cpuwatch.commands.cli.main(['sample']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env=environment()
    )
    assert done.returncode == 1
    assert done.stderr.endswith("ValueError: ours\n")
