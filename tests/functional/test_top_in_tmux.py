"""``cpuwatch top`` in tmux, a real terminal with other sequences, keys and colours than the emulator's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

pytestmark = [
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
    pytest.mark.timeout(120),
]

TOP = f"{sys.executable} -m cpuwatch top"
_PATIENCE_SECONDS = 30.0


class Pane:
    """The only pane of a tmux server."""

    def __init__(self, folder: str) -> None:
        self._socket = f"{folder}/tmux"

    def tmux(self, *arguments: str) -> str:
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        command = ["tmux", "-u", "-f", "/dev/null", "-S", self._socket, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def text(self, *flags: str) -> str:
        return self.tmux("capture-pane", "-p", *flags)

    def value(self, name: str) -> str:
        return self.tmux("display-message", "-p", f"#{{{name}}}").strip()

    def type(self, *keys: str) -> None:
        self.tmux("send-keys", *keys)

    def wait_for(self, condition: str | Callable[[str], bool]) -> str:
        holds = condition if callable(condition) else lambda text: condition in text
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not holds(text := self.text()):
            assert time.monotonic() < deadline, f"{condition} not in the pane:\n{text}"
            time.sleep(0.05)
        return text


@contextmanager
def pane(command: str, columns: int = 80, rows: int = 24, term: str = "tmux-256color") -> Iterator[Pane]:
    # The path of a socket is limited to some 100 characters.
    with TemporaryDirectory(prefix="tmux", dir="/tmp") as folder:
        opened = Pane(folder)
        size = ("-x", str(columns), "-y", str(rows))
        new = ("new-session", "-d", *size, command)
        opened.tmux("start-server", ";", "set-option", "-g", "default-terminal", term, ";", *new)
        try:
            yield opened
        finally:
            kill = ["tmux", "-S", f"{folder}/tmux", "kill-server"]
            subprocess.run(kill, capture_output=True, timeout=30, check=False)


def is_over(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_keys_change_the_view_and_q_restores_the_pane(columns: int) -> None:
    with pane(f"sh -c '{TOP}; echo ended; cat'", columns) as shown:
        shown.wait_for("TOTAL%")
        assert shown.value("alternate_on") == "1"
        shown.type("t")
        shown.wait_for("view: tree")
        shown.type("Down")
        shown.wait_for("order held")
        shown.type("Enter")
        shown.wait_for("parents")
        shown.type("?")
        shown.wait_for("Esc closes this help")
        shown.type("q")
        shown.wait_for(lambda text: "this help" not in text)
        shown.type("q")
        shown.wait_for("ended")
        modes = ("alternate_on", "cursor_flag", "mouse_any_flag", "keypad_cursor_flag")
        assert [shown.value(name) for name in modes] == ["0", "1", "0", "0"]


@pytest.mark.parametrize(
    ("term", "begin"), [("screen", "\x1b[3"), ("screen-256color", "\x1b[38;5;"), ("tmux-256color", "\x1b[38;5;")]
)
def test_each_terminal_gets_its_colours(term: str, begin: str) -> None:
    with pane(TOP, term=term) as shown:
        shown.wait_for("TOTAL%")
        text = shown.text("-e")
        assert begin in text
        assert ("\x1b[38;5;" in text) == (begin == "\x1b[38;5;")


def test_no_color_is_monochrome() -> None:
    with pane(f"NO_COLOR=1 {TOP}") as shown:
        shown.wait_for("TOTAL%")
        text = shown.text("-e")
        assert "\x1b[38" not in text
        assert "\x1b[32m" not in text


def test_a_resized_pane_is_filled() -> None:
    with pane(TOP) as shown:
        shown.wait_for("? help")
        for columns, rows in ((132, 40), (40, 12), (300, 60)):
            shown.tmux("resize-window", "-x", str(columns), "-y", str(rows))
            end = "filter" if columns == 40 else "? help"
            shown.wait_for(lambda text, rows=rows, end=end: end in text.splitlines()[rows - 1])  # type: ignore[misc]


def test_a_closed_pane_ends_the_process() -> None:
    with pane(f"exec {TOP}") as shown:
        shown.wait_for("TOTAL%")
        pid = int(shown.value("pane_pid"))
        shown.tmux("kill-server")
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not is_over(pid):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_terminal_that_cannot_move_the_cursor_is_refused() -> None:
    with pane(f"sh -c 'TERM=dumb {TOP}; echo code $?; cat'") as shown:
        assert "--batch" in shown.wait_for("code 1")
