"""The live view: connects a source of snapshots, the pure model, and the screen."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import tzinfo
from types import FrameType
from typing import NoReturn

import urwid
from msgspec.structs import replace

from cpuwatch.errors import CpuwatchError
from cpuwatch.terminal.model.arrange import arranged
from cpuwatch.terminal.model.columns import GRAPH, GRAPH_TICKS
from cpuwatch.terminal.model.frame import Frame, drawn, waiting
from cpuwatch.terminal.model.header import Scene
from cpuwatch.terminal.model.rows import Item, Moment, Row
from cpuwatch.terminal.model.state import ViewState
from cpuwatch.terminal.model.update import Effect, Shown, clicked, kept_in_table, pressed, scrolled
from cpuwatch.terminal.screen import Input, InputClosedError, TerminalScreen
from cpuwatch.terminal.sources import Source
from cpuwatch.terminal.threads import ThreadFollower
from cpuwatch.terminal.timeline import Timeline
from cpuwatch.thread_usage import ThreadsSnapshot
from cpuwatch.tick_id import TickId

__all__ = ["run"]

_POLL_SECONDS = 1.0
"""How often the state of the source is checked while no snapshot comes, so that the screen says so."""
_MAX_WAIT_SECONDS = 60.0
_FAR_TICKS = 60
_RESTORE_SECONDS = 3
_NOT_RECORDED = "threads are not recorded: they are read while the newest tick of a running machine is shown (End)"
_WHEEL_UP, _WHEEL_DOWN = 4, 5


def run(source: Source, screen: TerminalScreen, state: ViewState, zone: tzinfo | None = None) -> None:
    """Show the source until the user quits, a signal ends the process, or the terminal is closed.

    The terminal is restored in all cases.
    """
    with _ending_signals(), screen, _messages() as messages:
        try:
            App(source, screen, state, messages, zone).run()
        except InputClosedError:
            return


class App:
    """The state of a running view."""

    def __init__(
        self, source: Source, screen: TerminalScreen, state: ViewState, messages: list[str], zone: tzinfo | None
    ) -> None:
        self._source = source
        self._screen = screen
        self._state = state
        self._messages = messages
        self._zone = zone
        self._timeline = Timeline(source.store)
        self._loop = urwid.SelectEventLoop()
        self._rows: list[Item] = []
        self._arranged_for: object = None
        self._frame: Frame | None = None
        self._link = source.link
        self._is_changed = True
        self._threads = None if source.measure_threads is None else ThreadFollower(source.measure_threads, self._wake)
        self._drawn_threads: ThreadsSnapshot | str | None = None
        self._writer = -1
        self._alarm: tuple[float, int, Callable[[], object]] | None = None

    def run(self) -> None:
        """Run the event loop."""
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        self._writer = writer
        watcher = threading.Thread(target=self._watch, name="cpuwatch-top", daemon=True)
        self._loop.watch_file(reader, lambda: self._on_news(reader))
        self._screen.listen(self._loop, self._on_input)
        self._loop.enter_idle(self._draw)
        self._poll()
        self._timeline.follow()
        watcher.start()
        self._loop.run()

    def _wake(self) -> None:
        """Make the event loop look for news; called in other threads."""
        with suppress(OSError):
            os.write(self._writer, b".")

    def _watch(self) -> None:
        """Wake the event loop at each new snapshot, in a thread, because stores can only be waited for."""
        seen: TickId | None = None
        while True:
            snapshot = self._source.store.wait(seen or 0, timeout=_MAX_WAIT_SECONDS)
            if snapshot is not None:
                seen = TickId.of(snapshot)
                self._wake()
            elif seen is not None and self._source.store.latest is None:
                return

    def _on_news(self, reader: int) -> None:
        with suppress(BlockingIOError):
            os.read(reader, 4096)
        self._is_changed |= self._timeline.follow()
        self._is_changed |= self._threads is not None and self._threads.shown is not self._drawn_threads
        # Each snapshot is drawn, with the state of the source, so it puts the next check off.
        moment = self._timeline.moment
        self._poll_after(_POLL_SECONDS + (0.0 if moment is None else moment.snapshot.interval_seconds))

    def _poll(self) -> None:
        self._is_changed |= self._source.link != self._link or bool(self._messages)
        self._poll_after(_POLL_SECONDS)

    def _poll_after(self, seconds: float) -> None:
        if self._alarm is not None:
            self._loop.remove_alarm(self._alarm)
        self._alarm = self._loop.alarm(seconds, self._poll)

    def _on_input(self, events: Sequence[Input]) -> None:
        for event in events:
            if isinstance(event, tuple):
                if len(event) == 4:
                    self._on_mouse(event)
            elif event == "window resize":
                self._screen.redraw()
            else:
                self._state, effect = pressed(self._state, event, self._shown())
                self._apply(effect)
            self._arrange()
        self._is_changed = True

    def _on_mouse(self, event: tuple[str, int, int, int]) -> None:
        kind, button, column, line = event
        if not kind.endswith("mouse press") or self._frame is None:
            return
        if button in {_WHEEL_UP, _WHEEL_DOWN}:
            self._state = scrolled(self._state, -1 if button == _WHEEL_UP else 1, self._shown())
            return
        row = line - self._frame.first_row
        heading = next((name for begin, end, name in self._frame.headings if begin <= column < end), None)
        is_row = 0 <= row < self._frame.height and self._state.panel not in {"help", "columns"}
        self._state = clicked(self._state, row if is_row else None, heading if row == -1 else None, self._shown())

    def _apply(self, effect: Effect) -> None:
        match effect:
            case "quit":
                raise urwid.ExitMainLoop
            case "freeze":
                (self._timeline.go_live if self._timeline.is_frozen else self._timeline.freeze)()
            case "live":
                self._timeline.go_live()
            case "oldest":
                self._timeline.go_to_oldest()
            case "back" | "forward":
                self._timeline.step(-1 if effect == "back" else 1)
            case "far_back" | "far_forward":
                self._timeline.step(-_FAR_TICKS if effect == "far_back" else _FAR_TICKS)

    def _shown(self) -> Shown:
        height = self._frame.height if self._frame is not None else 1
        return Shown(self._rows, height, self._screen.size.columns, self._timeline.is_frozen)

    def _arrange(self) -> None:
        """Sort the rows, unless neither the moment nor what decides about the order changed."""
        moment, state = self._timeline.moment, self._state
        if moment is None:
            return
        order = (state.sort, state.descending, state.view, state.filter, state.closed, state.kernel_threads)
        wanted = (id(moment), order, state.cursor is None)
        if wanted == self._arranged_for:
            return
        keys = [row.key for row in self._rows] if state.cursor is not None else []
        try:
            rows = arranged(moment, state, keys)
            self._state = kept_in_table(state, self._rows, rows)
            self._rows = rows
        except CpuwatchError as error:
            self._state = replace(state, note=str(error))
        self._arranged_for = wanted

    def _draw(self) -> None:
        if not self._is_changed:
            return
        self._is_changed = False
        screen = self._screen.size
        moment = self._timeline.moment
        if moment is None:
            self._link = self._source.link
            self._frame = waiting(self._link.note or "waiting for the first snapshot ...", screen)
        else:
            self._arrange()
            if self._messages:
                self._state = replace(self._state, note=self._messages.pop())
                self._messages.clear()
            opened = self._opened(moment)
            is_process = not (isinstance(opened, Row) and opened.kind == "group")
            past = self._timeline.past_of(opened.key) if opened is not None and is_process else []
            scene = self._scene(opened)
            self._frame = drawn(moment, self._rows, self._state, scene, screen, opened, past, self._frame)
        self._screen.draw(self._frame, screen)

    def _scene(self, opened: Item | None) -> Scene:
        timeline = self._timeline
        self._link = self._source.link
        has_graph = self._state.columns is not None and GRAPH in self._state.columns
        totals = timeline.totals(GRAPH_TICKS) if has_graph else []
        threads = self._threads_of(opened)
        return Scene(self._link, timeline.past, timeline.shown, timeline.is_frozen, self._zone, totals, threads)

    def _threads_of(self, opened: Item | None) -> ThreadsSnapshot | str | None:
        """What is known about the threads of the process, if its panel is open. They are read no longer than that."""
        if self._threads is None:
            return _NOT_RECORDED
        if self._state.panel != "threads" or opened is None or isinstance(opened, Row) or self._timeline.is_frozen:
            self._threads.stop()
            return _NOT_RECORDED if self._timeline.is_frozen else "the process has exited"
        self._threads.follow(opened.pid, opened.key)
        self._drawn_threads = self._threads.shown
        return self._drawn_threads

    def _opened(self, moment: Moment) -> Item | None:
        key = self._state.opened
        if key is None:
            return None
        # The process, not its branch of the tree, whose sums are those of its descendants as well.
        return moment.by_key(key) or next((row for row in self._rows if row.key == key), None)


@contextmanager
def _ending_signals() -> Iterator[None]:
    """Leave the block when a signal ends the process, so that the terminal is restored.

    The handler raises rather than sets a flag: the process may be blocked in a write to a terminal that nobody reads.
    """

    def end(number: int, _: FrameType | None) -> NoReturn:
        for other in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(other, signal.SIG_IGN)
        # If the terminal takes nothing any more, not even restoring it ends.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(_RESTORE_SECONDS)
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Messages(logging.Handler):
    """Keeps warnings for the last line of the screen, which they would otherwise be written over."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message."""
        self.texts.append(record.getMessage())


@contextmanager
def _messages() -> Iterator[list[str]]:
    log, handler = logging.getLogger("cpuwatch"), _Messages()
    propagates, log.propagate = log.propagate, False
    log.addHandler(handler)
    try:
        yield handler.texts
    finally:
        log.removeHandler(handler)
        log.propagate = propagates
