from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from live_server import CPUWATCH_SERVE, run, running_server
from terminal import Terminal, terminal

from cpuwatch.errors import CpuwatchError
from cpuwatch.recording.reader import open_recording

TOKEN = "0123456789abcdef0123"  # noqa: S105  of the tests
LEAVES = (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?1000l")
"""Leave the alternate screen, show the cursor, stop reporting the mouse."""


def time_of(text: str) -> str:
    """The time in the first line, to the second; empty while the line is being drawn."""
    found = re.search(r"\d\d:\d\d:\d\d", text.partition("\n")[0])
    return "" if found is None else found[0]


def is_restored(shown: Terminal) -> bool:
    return shown.settings == shown.settings_before and all(
        sequence in shown.written.rpartition(b"\x1b[?1049h")[2] for sequence in LEAVES
    )


def test_the_first_figures_come_soon_and_q_restores_the_terminal() -> None:
    with terminal() as shown:
        text = shown.wait_for("TOTAL%")
        assert "live" in text
        assert "own" in text
        shown.type("q")
        shown.process.wait(30)
        assert is_restored(shown)
        assert shown.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_restores_the_terminal(number: signal.Signals) -> None:
    with terminal() as shown:
        shown.wait_for("TOTAL%")
        shown.signal(number)
        shown.process.wait(30)
        assert is_restored(shown)
        assert shown.end() == 128 + number


def test_ctrl_z_restores_the_terminal_and_fg_brings_the_view_back() -> None:
    shown = Terminal(("bash", "--norc", "-i"), 80, 24, {"PS1": "$ "})
    try:
        shown.wait_for("$ ")
        shown.type(f"{sys.executable} -m cpuwatch top\n")
        shown.wait_for("TOTAL%")
        shown.type("\x1a")
        shown.wait_for("Stopped")
        assert all(sequence in shown.written for sequence in LEAVES)
        entered = shown.written.count(b"\x1b[?1049h")
        shown.type("fg\n")
        shown.wait_for(lambda _: shown.written.count(b"\x1b[?1049h") > entered)
        shown.wait_for("? help")
        shown.type("q")
        shown.wait_for(lambda _: shown.written.count(b"\x1b[?1049l") > 1)
    finally:
        shown.clean_up()


def test_a_closed_terminal_ends_the_process() -> None:
    with terminal() as shown:
        shown.wait_for("TOTAL%")
        shown.hang_up()
        shown.process.wait(30)


def test_a_crash_restores_the_terminal_and_shows_the_traceback() -> None:
    with terminal("--backend", "no-such-backend") as shown:
        assert shown.process.wait(30) == 2
        assert b"\x1b[?1049h" not in shown.written
    crash = (
        "import cpuwatch.terminal.app as app; app.drawn = None; import sys; from cpuwatch.commands.cli import main;"
        "sys.exit(main(['top']))"
    )
    shown = Terminal((sys.executable, "-c", crash), 80, 24, {})
    try:
        assert shown.process.wait(30) == 1
        # The traceback follows what restores the terminal.
        shown.wait_for("TypeError")
        assert is_restored(shown)
    finally:
        shown.clean_up()


def test_a_resized_terminal_is_filled() -> None:
    with terminal() as shown:
        shown.wait_for("? help")
        shown.resize(132, 40)
        shown.signal(signal.SIGWINCH)
        shown.wait_for(lambda text: "? help" in text.splitlines()[39])


def test_a_terminal_of_unknown_size_is_taken_for_one_of_80_columns() -> None:
    command = f"stty cols 0 rows 0; exec {sys.executable} -m cpuwatch top"
    shown = Terminal(("sh", "-c", command), 80, 24, {})
    try:
        shown.wait_for(lambda text: "? help" in text.splitlines()[23])
    finally:
        shown.clean_up()


def test_space_freezes_and_the_arrows_go_through_time() -> None:
    with terminal("--interval", "0.1") as shown:
        first = time_of(shown.wait_for("TOTAL%"))
        shown.wait_for(lambda text: time_of(text) not in {"", first})
        shown.type(" ")
        frozen = time_of(shown.wait_for("frozen"))
        shown.type("\x1b[H")
        shown.wait_for(lambda text: time_of(text) not in {"", frozen})
        shown.type("\x1b[C")
        shown.type("\x1b[F")
        shown.wait_for(lambda text: "live" in text and "frozen" not in text)


def test_no_color_writes_no_colours() -> None:
    with terminal(NO_COLOR="1") as shown:
        shown.wait_for("TOTAL%")
        shown.type("q")
        shown.process.wait(30)
        numbers = {
            int(number)
            for sequence in re.findall(rb"\x1b\[([0-9;]*)m", shown.written)
            for number in sequence.split(b";")
            if number
        }
        # Bold, underlined, reverse, and the default colours.
        assert numbers <= {0, 1, 4, 7, 39, 49}


def test_ascii_draws_without_other_characters() -> None:
    with terminal("--ascii") as shown:
        assert shown.wait_for("TOTAL%").isascii()


def test_a_hostile_name_is_escaped() -> None:
    child = "import ctypes, time; ctypes.CDLL(None).prctl(15, b'\\x1b]0;pwn\\x07'); time.sleep(60)"
    hostile = subprocess.Popen([sys.executable, "-c", child])
    try:
        with terminal() as shown:
            shown.wait_for("TOTAL%")
            shown.type(f"/pid={hostile.pid}\r")
            shown.wait_for("\\x1b]0;pwn\\x07")
            assert b"\x1b]0;pwn" not in shown.written
    finally:
        hostile.kill()
        hostile.wait()


def test_another_machine_with_a_token_and_its_restart(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = (sys.executable, "-m", "cpuwatch", "serve", "--port", str(port), "--token-file", str(token))
    with running_server(command) as server, terminal(server.url, "--token-file", str(token), columns=140) as shown:
        shown.wait_for("TOTAL%")
        server.stop()
        shown.wait_for("stale since")
        with running_server(command):
            shown.wait_for(lambda text: "stale" not in text and "live" in text)


def test_a_service_that_is_not_there_is_named_with_the_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with terminal(url) as shown:
        shown.wait_for(f"connecting to {url}: Connection refused")


def test_a_service_with_a_token_is_asked_for_it() -> None:
    command = (sys.executable, "-m", "cpuwatch", "serve", "--port", "0")
    with running_server(command, CPUWATCH_TOKEN=TOKEN) as server, terminal(server.url) as shown:
        shown.wait_for("Token:")
        shown.type(f"{TOKEN}\n")
        shown.wait_for("TOTAL%")
        assert TOKEN not in shown.text


def lasts_seconds(folder: Path) -> float:
    """How long the recording is so far; 0 if there is none yet."""
    with suppress(CpuwatchError, OSError):
        times = [snapshot.time for snapshot in open_recording(folder)]
        return (times[-1] - times[0]).total_seconds() if times else 0.0
    return 0.0


def test_a_recording_is_shown_at_its_end_and_home_goes_to_its_beginning(tmp_path: Path) -> None:
    folder = tmp_path / "recording"
    command = [sys.executable, "-m", "cpuwatch", "record", str(folder), "--interval", "0.1"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as recorder:
        try:
            deadline = time.monotonic() + 60
            while lasts_seconds(folder) < 2:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        finally:
            recorder.terminate()
    with terminal(str(folder)) as shown:
        last = shown.wait_for(lambda text: "TOTAL%" in text and "? help" in text)
        assert "recorded" in last
        shown.type("\x1b[H")
        first = shown.wait_for("frozen")
        assert first.splitlines()[0] != last.splitlines()[0]
        shown.type("\x1b[F")
        shown.wait_for(lambda text: "recorded" in text and "frozen" not in text)


def test_the_mouse_sorts_by_a_heading_and_opens_a_row() -> None:
    with terminal() as shown:
        lines = shown.wait_for("TOTAL%").splitlines()
        line = next(index for index, text in enumerate(lines) if "TOTAL%" in text)
        column = lines[line].index("PID")
        shown.type(f"\x1b[<0;{column + 1};{line + 1}M\x1b[<0;{column + 1};{line + 1}m")
        shown.wait_for(lambda text: "PID▲" in text or "PI▲" in text)
        for _ in range(2):
            shown.type(f"\x1b[<0;5;{line + 2}M\x1b[<0;5;{line + 2}m")
        shown.wait_for("parents")


def test_a_pipe_gets_tables_without_escape_codes() -> None:
    done = run("top", "--batch", "-n", "2", "-d", "0.1", "--top", "3")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("attributed:") == 2
    assert "\x1b" not in done.stdout


def test_sample_repeats() -> None:
    done = run("sample", "--count", "3", "--every", "0.1", "--format", "ndjson", "-n", "1")
    assert done.returncode == 0, done.stderr
    done = run("sample", "--count", "2", "--every", "0.1", "--interval", "1")
    assert done.returncode == 2
    assert "--every conflicts with --interval" in done.stderr


def open_threads(shown: Terminal, pid: int) -> None:
    """Open the threads of this process, once it is in the table."""
    shown.wait_for("TOTAL%")
    shown.type(f"/pid={pid}\r")
    shown.wait_for(lambda text: re.search(rf"^ *{pid} ", text, re.MULTILINE) is not None)
    shown.type("\x1b[B")
    shown.wait_for("order held")
    shown.type("H")


def test_the_threads_of_a_process_are_shown_while_their_panel_is_open() -> None:
    with running_server(CPUWATCH_SERVE) as server, terminal(columns=100, rows=40) as shown:
        open_threads(shown, server.pid)
        text = shown.wait_for("LASTCPU")
        assert "ended threads" in text
        assert re.search(rf"^ *{server.pid} +[RS] ", text, re.MULTILINE)
        shown.type("H")
        shown.wait_for("parents")
        shown.type("H")
        shown.wait_for("LASTCPU")
        shown.type(" ")
        shown.wait_for("threads are not recorded")


def test_the_threads_of_another_machine_come_from_its_service() -> None:
    with running_server(CPUWATCH_SERVE) as server, terminal(server.url, columns=100, rows=40) as shown:
        open_threads(shown, server.pid)
        shown.wait_for(lambda text: "LASTCPU" in text and "ended threads" in text)


def test_the_threads_of_a_recorded_process_are_not_known(tmp_path: Path) -> None:
    folder = tmp_path / "recording"
    with running_server(CPUWATCH_SERVE, CPUWATCH_RECORD=str(folder)) as server:
        pid = server.pid
        deadline = time.monotonic() + 60
        while lasts_seconds(folder) < 1:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    with terminal(str(folder), columns=100, rows=40) as shown:
        open_threads(shown, pid)
        shown.wait_for("threads are not recorded")
