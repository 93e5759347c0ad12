from __future__ import annotations

import queue
import threading
import time
from datetime import UTC, datetime

import pytest
from terminal_screens import process, snapshot

from cpuwatch import ThreadsSnapshot
from cpuwatch.errors import NotFoundError
from cpuwatch.terminal.model.arrange import arranged
from cpuwatch.terminal.model.rows import Moment
from cpuwatch.terminal.model.state import ViewState
from cpuwatch.terminal.model.update import Shown, pressed
from cpuwatch.terminal.threads import LocalThreads, ThreadFollower
from cpuwatch.thread_usage import ThreadReading

SECONDS = 30.0


def measured(pid: int, key: str = "a") -> ThreadsSnapshot:
    return ThreadsSnapshot(datetime.now(UTC), 1.0, pid, key, "work", 0.0, 0.0, 0.0, 0, 0, [])


class Keys:
    """A reader of one process, which has this key in each reading."""

    def __init__(self, *keys: str) -> None:
        self._keys = list(keys)

    def read(self, pid: int) -> ThreadReading:
        return ThreadReading(
            datetime.now(UTC), time.monotonic_ns(), 0, pid, self._keys.pop(0), "work", 0, {}, unread=0, tolerance_ns=0
        )


def test_a_measurement_begins_where_the_last_one_ended() -> None:
    reader = Keys("a", "a", "a", "b", "b")
    measure = LocalThreads(lambda: reader)
    first = measure(7)
    second = measure(7)
    assert second.time > first.time
    assert second.interval_seconds == pytest.approx((second.time - first.time).total_seconds(), abs=0.2)
    # Another process has the PID.
    assert measure(7).key == "b"


def test_a_process_that_exits_in_its_first_measurement_is_not_found() -> None:
    measure = LocalThreads(lambda: Keys("a", "b"))
    with pytest.raises(NotFoundError, match="process 7 has exited"):
        measure(7)


class Measuring:
    """A follower whose measurements the test lets through."""

    def __init__(self) -> None:
        self.asked: queue.Queue[int] = queue.Queue()
        self.results: queue.Queue[ThreadsSnapshot | NotFoundError] = queue.Queue()
        self.woken = threading.Semaphore(0)
        self.follower = ThreadFollower(self._measure, self.woken.release)

    def _measure(self, pid: int) -> ThreadsSnapshot:
        self.asked.put(pid)
        result = self.results.get(timeout=SECONDS)
        if isinstance(result, NotFoundError):
            raise result
        return result


def test_a_process_is_measured_again_and_again_while_it_is_followed() -> None:
    measuring = Measuring()
    measuring.follower.follow(7, "a")
    for _ in range(2):
        result = measured(7)
        measuring.results.put(result)
        assert measuring.woken.acquire(timeout=SECONDS)
        assert measuring.follower.shown is result
    measuring.follower.stop()
    assert measuring.follower.shown is None


def test_nothing_is_measured_before_a_process_is_followed() -> None:
    before = threading.active_count()
    measuring = Measuring()
    assert threading.active_count() == before
    assert measuring.asked.empty()


def test_a_result_that_comes_after_another_process_was_chosen_is_not_shown() -> None:
    measuring = Measuring()
    measuring.follower.follow(7, "a")
    assert measuring.asked.get(timeout=SECONDS) == 7
    measuring.follower.follow(8, "b")
    measuring.results.put(measured(7))
    assert measuring.asked.get(timeout=SECONDS) == 8
    assert measuring.follower.shown is None
    measuring.results.put(measured(8, "b"))
    assert measuring.woken.acquire(timeout=SECONDS)
    assert measuring.follower.shown is not None
    measuring.follower.stop()


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        (NotFoundError("no process with PID 7"), "no process with PID 7"),
        (measured(7, "b"), "the process has exited; another process has its PID now"),
    ],
)
def test_a_process_that_has_exited_is_reported(result: ThreadsSnapshot | NotFoundError, shown: str) -> None:
    measuring = Measuring()
    measuring.follower.follow(7, "a")
    measuring.results.put(result)
    assert measuring.woken.acquire(timeout=SECONDS)
    assert measuring.follower.shown == shown
    measuring.follower.stop()


def test_a_key_switches_between_the_details_and_the_threads() -> None:
    rows = arranged(Moment.of(snapshot(1, process(90, 11, "ld", 5.0)), None), ViewState())
    shown = Shown(rows, 20, 80)
    state, _ = pressed(ViewState(), "H", shown)
    assert (state.panel, state.note) == ("", "threads: move to a process first (down, or a click)")
    state, _ = pressed(state, "down", shown)
    state, _ = pressed(state, "H", shown)
    assert (state.panel, state.opened, state.note) == ("threads", rows[0].key, "")
    state, _ = pressed(state, "H", shown)
    assert (state.panel, state.opened) == ("detail", rows[0].key)
    state, _ = pressed(state, "H", shown)
    state, _ = pressed(state, "esc", shown)
    assert (state.panel, state.opened) == ("", None)


def test_a_group_has_no_threads() -> None:
    rows = arranged(Moment.of(snapshot(1), None), ViewState(view="name"))
    state, _ = pressed(ViewState(view="name", cursor=rows[0].key), "H", Shown(rows, 20, 80))
    assert (state.panel, state.opened) == ("", None)
    state, _ = pressed(ViewState(view="name", panel="detail", opened=rows[0].key), "H", Shown(rows, 20, 80))
    assert state.panel == "detail"
