"""Draws frames on the terminal and reads its keys, with urwid's raw display.

urwid knows the terminals: it writes only lines that changed, reads keys and the mouse, and restores the terminal before
a suspension (Ctrl-Z) and at the end. Its widgets are not used, because a frame is already text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Self

import urwid
from urwid.display.common import InputClosedError
from urwid.display.raw import Screen as RawScreen

from cpuwatch.terminal.model.frame import Frame
from cpuwatch.terminal.model.text import Line, Screen
from cpuwatch.terminal.palette import THEMES, Theme

__all__ = ["InputClosedError", "TerminalScreen"]

Input = str | tuple[str, int, int, int] | tuple[Literal["cursor position"], int, int]
"""The name of a key, or a mouse event: its kind, the button, the column and the line."""


class TerminalScreen:
    """The terminal of the standard input and output, from the beginning to the end of a ``with`` block."""

    def __init__(self, encoding: str, theme: Theme, colors: int | None) -> None:
        self._encoding = encoding
        self._encoded: dict[int, tuple[Line, _Row]] = {}
        # The names of codecs and of terminals differ ("utf8", "UTF-8").
        urwid.set_encoding(encoding)
        # The two modes are not used, and asking for them makes some terminals print the question.
        self._raw = RawScreen(bracketed_paste_mode=False, focus_reporting=False)
        for name, paint in THEMES[theme].items():
            self._raw.register_palette_entry(
                name,
                paint.foreground,
                paint.background,
                paint.mono or None,
                paint.high or paint.foreground.replace("dark gray", "default"),
                paint.high_background or "default",
            )
        if colors is not None:
            self._raw.set_terminal_properties(colors=colors)  # type: ignore[arg-type]  # checked by the command

    def __enter__(self) -> Self:
        self._raw.start()
        self._raw.set_mouse_tracking()
        return self

    def __exit__(self, *_: object) -> None:
        self._raw.stop()

    @property
    def size(self) -> Screen:
        """The current size."""
        columns, rows = self._raw.get_cols_rows()
        if not columns or not rows:
            # Serial consoles and some containers do not know their size. curses assumes the same.
            columns, rows = 80, 24
        return Screen(columns, rows, self._encoding)

    def listen(self, loop: urwid.SelectEventLoop, handle: Callable[[Sequence[Input]], None]) -> None:
        """Call ``handle`` with keys and mouse events, and with ``window resize``."""

        def hook() -> None:
            self._raw.hook_event_loop(loop, lambda keys, _: handle(keys))

        def hook_again() -> None:
            self._raw.unhook_event_loop(loop)
            hook()

        # The descriptors change when the process is suspended and resumed.
        urwid.connect_signal(self._raw, urwid.display.common.INPUT_DESCRIPTORS_CHANGED, hook_again)
        hook()

    def draw(self, frame: Frame, screen: Screen) -> None:
        """Write the lines that differ from those on the terminal."""
        before, self._encoded = self._encoded, {}
        rows = []
        for line in frame.lines:
            # A line of the frame before is the same object, which urwid compares faster than an equal one.
            known = before.get(id(line))
            row = self._row(line) if known is None else known[1]
            self._encoded[id(line)] = line, row
            rows.append(row)
        self._raw.draw_screen((screen.columns, screen.rows), _Rows(rows))

    def _row(self, line: Line) -> _Row:
        return [(style or None, None, text.encode(self._encoding, "replace")) for style, text in line]

    def redraw(self) -> None:
        """Write all lines at the next draw."""
        self._raw.clear()


_Row = list[tuple[str | None, None, bytes]]
"""A line as urwid has it: style, character set and text of its parts."""


class _Rows(urwid.Canvas):
    """Lines as urwid writes them. Its own ``TextCanvas`` first splits and joins all of them again."""

    def __init__(self, rows: list[_Row]) -> None:
        super().__init__()
        self._rows = rows

    def rows(self) -> int:
        """The number of lines."""
        return len(self._rows)

    def content(self, *_: object, **__: object) -> list[_Row]:  # type: ignore[override]  # always the whole screen
        """The lines."""
        return self._rows
