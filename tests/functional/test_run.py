"""``cpuwatch run`` passes signals, the terminal and the exit code through."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.any_python, pytest.mark.timeout(60)]

RUN = [sys.executable, "-m", "cpuwatch", "run"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*RUN, *arguments], capture_output=True, text=True, check=False, timeout=50)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 7"], 7),
        (["sh", "-c", "kill -TERM $$"], 128 + signal.SIGTERM),
        (["sh", "-c", "kill -KILL $$"], 128 + signal.SIGKILL),
        (["cpuwatch-no-such-command"], 127),
        (["/etc/passwd"], 126),
        ([""], 127),
    ],
)
def test_the_exit_code_is_that_of_the_command(command: list[str], expected: int) -> None:
    done = run("--", *command)
    assert done.returncode == expected
    assert "Traceback" not in done.stderr


def test_the_command_starts_after_the_first_reading_which_may_be_long(tmp_path: Path) -> None:
    marker, seen = tmp_path / "marker", tmp_path / "seen"
    script = f"""
import pathlib, sys, time
from cpuwatch.commands.cli import main
from cpuwatch.samplers.procfs.sampler import ProcfsSampler
read = ProcfsSampler.read
def noted(self):
    time.sleep(0.5)
    with open({str(seen)!r}, "a") as file:
        print(pathlib.Path({str(marker)!r}).exists(), file=file)
    return read(self)
ProcfsSampler.read = noted
sys.exit(main(["run", "--", "touch", {str(marker)!r}]))
"""
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=50)
    assert seen.read_text().split()[0] == "False"
    assert seen.read_text().split()[-1] == "True"


def test_flags_of_the_command_are_its_own() -> None:
    assert run("sh", "-c", 'echo "$@"', "sh", "--json", "--", "-h").stdout == "--json -- -h\n"


def test_without_a_command_the_usage_is_wrong() -> None:
    done = run()
    assert done.returncode == 2
    assert "no command given" in done.stderr


def test_output_of_the_command_is_untouched_and_the_report_is_on_stderr() -> None:
    done = run("--", "sh", "-c", "echo out; echo err >&2")
    assert done.stdout == "out\n"
    assert done.stderr.startswith("err\n")
    assert " s of CPU in " in done.stderr


def test_the_report_as_json_in_a_file(tmp_path: Path) -> None:
    done = run("--json", "--output", str(tmp_path / "used.json"), "--group-by", "user", "--", "sh", "-c", "exit 3")
    assert (done.returncode, done.stderr) == (3, "")
    used = json.loads((tmp_path / "used.json").read_text())
    assert (used["exit_code"], used["group_by"], used["command"]) == (3, "user", ["sh", "-c", "exit 3"])
    assert used["cpu_seconds"] == pytest.approx(sum(group["cpu_seconds"] for group in used["groups"]), abs=1e-5)


def test_an_output_that_cannot_be_written_fails_before_the_command_runs(tmp_path: Path) -> None:
    done = run("--output", str(tmp_path / "none" / "used"), "--", "touch", str(tmp_path / "ran"))
    assert done.returncode == 1
    assert not (tmp_path / "ran").exists()


def test_a_program_that_a_job_ran_has_its_name() -> None:
    done = run("--json", "--", "sh", "-c", "awk 'BEGIN { for (i = 0; i < 3000000; i++) n += i }'; exit 0")
    groups = {group["group"]: group for group in json.loads(done.stderr)["groups"]}
    assert "sh" in groups
    assert any("awk" in (name or "") for name in groups)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGRTMIN])
def test_signals_are_forwarded(number: signal.Signals, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    # The shell waits in a builtin, so a trap runs at once.
    script = f"trap 'exit 42' {int(number)}; touch {ready}; sleep 30 & wait"
    process = subprocess.Popen([*RUN, "--", "sh", "-c", script], stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        until(ready.exists)
        process.send_signal(number)
        assert process.wait(20) == 42
    finally:
        end_session(process.pid)


def test_daemons_left_behind_do_not_hold_the_command_up() -> None:
    process = subprocess.Popen(
        [*RUN, "--", "sh", "-c", "sleep 40 &"], stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        assert process.wait(20) == 0
    finally:
        end_session(process.pid)


class Terminal:
    """An interactive shell with job control on a pty."""

    def __init__(self) -> None:
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.execvpe("bash", ["bash", "--norc", "-i"], {**os.environ, "PS1": "$ ", "TERM": "dumb"})  # noqa: S606  a shell is wanted
        self.text = ""

    def type(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def expect(self, wanted: str) -> None:
        os.set_blocking(self._fd, False)

        def seen() -> bool:
            with suppress(BlockingIOError):
                self.text += os.read(self._fd, 65536).decode(errors="replace")
            return wanted in self.text

        until(seen, lambda: f"{wanted!r} not in {self.text!r}")
        self.text = self.text.partition(wanted)[2]

    def close(self) -> None:
        end_session(self.pid)
        os.close(self._fd)
        os.waitpid(self.pid, 0)


@pytest.fixture
def terminal() -> Any:
    opened = Terminal()
    yield opened
    opened.close()


COMMAND = " ".join(RUN)


def test_ctrl_c_ends_the_command_and_the_report_is_shown(terminal: Terminal) -> None:
    terminal.type(f"{COMMAND} -- sh -c 'echo beg''un; exec sleep 30'; echo code=$?\n")
    terminal.expect("begun")
    terminal.type("\x03")
    terminal.expect("s of CPU in")
    terminal.expect("code=130")


def test_a_command_that_handles_ctrl_c_gets_it_once(terminal: Terminal) -> None:
    terminal.type(f"{COMMAND} -- sh -c 'trap \"echo got-it\" INT; echo beg''un; sleep 2; sleep 2'; echo code=$?\n")
    terminal.expect("begun")
    terminal.type("\x03")
    terminal.expect("code=")
    assert terminal.text.count("got-it") == 0
    terminal.type("echo d''one\n")
    terminal.expect("done")


def test_ctrl_z_stops_it_and_fg_goes_on(terminal: Terminal) -> None:
    terminal.type(f"{COMMAND} -- sh -c 'echo beg''un; sleep 1; read line; echo got=$line'; echo code=$?\n")
    terminal.expect("begun")
    terminal.type("\x1a")
    terminal.expect("Stopped")
    terminal.type("fg\n")
    terminal.type("hello\n")
    terminal.expect("got=hello")
    terminal.expect("s of CPU in")


def test_a_command_that_stops_itself_stops_cpuwatch(terminal: Terminal) -> None:
    terminal.type(f"{COMMAND} -- sh -c 'kill -STOP $$; echo cont''inued'\n")
    terminal.expect("Stopped")
    terminal.type("fg\n")
    terminal.expect("continued")


def test_the_command_reads_the_terminal(terminal: Terminal) -> None:
    terminal.type(f"{COMMAND} -- sh -c 'test -t 0 && test -t 1 && test -t 2 && echo is-a-termi''nal'\n")
    terminal.expect("is-a-terminal")


def until(holds: Callable[[], bool], message: Callable[[], str] = lambda: "timeout", seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, message()
        time.sleep(0.02)


def end_session(leader: int) -> None:
    """Kill the processes of the session that this test started."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if os.getsid(int(entry.name)) == leader:
                    os.kill(int(entry.name), signal.SIGKILL)
