"""The total of ``cpuwatch run`` is the largest of its lower bounds that noise does not explain."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpuwatch.measuring.total import TaskTime, Total, total_of
from cpuwatch.model import CpuTimes

S = 10**9
AMOUNTS = st.floats(0, 1e6)


def task_time(*spans: tuple[float, float, float]) -> TaskTime:
    """Of spans: the task clock, the machine's busy time and what interrupts and steal took of it, in seconds."""
    made = TaskTime()
    clock = busy = taken = 0.0
    made.add(0, CpuTimes(0, 0, 0))
    for clock_span, busy_span, taken_span in spans:
        clock, busy, taken = clock + clock_span, busy + busy_span, taken + taken_span
        made.add(int(clock * S), CpuTimes(int((busy - taken) * S), 0, 0, 0, int(taken * S / 4), int(taken * S * 3 / 4)))
    return made


def test_interrupted_time_is_removed_span_by_span() -> None:
    time = task_time((1.0, 2.0, 1.0), (3.0, 4.0, 0.0), (2.0, 2.0, 0.5))
    assert time.seconds == pytest.approx(0.5 + 3.0 + 1.5)
    assert time.removed_seconds == pytest.approx(0.5 + 0.5)


def test_steal_that_steps_back_removes_nothing() -> None:
    time = task_time((1.0, 2.0, 1.0), (1.0, 2.0, -0.5))
    assert time.seconds == pytest.approx(1.5)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100), st.floats(-1, 200)), max_size=5))
def test_what_remains_and_what_is_removed_are_the_task_clock(spans: list[tuple[float, float, float]]) -> None:
    time = task_time(*spans)
    assert time.removed_seconds >= 0
    assert time.seconds + time.removed_seconds == pytest.approx(sum(span[0] for span in spans), abs=1e-6)


@pytest.mark.parametrize(
    ("counted", "seen", "clock", "total"),
    [
        (1.0, 0.9, None, Total(1.0, 0.0)),
        # Children's time in ticks, rounded down: readings saw a little more.
        (1.464, 1.4755, None, Total(1.4755, 0.0)),
        (1.0, 3.0, None, Total(3.0, 2.0)),
        (1.0, 0.9, task_time((1.009, 2.0, 0.0)), Total(1.0, 0.0)),
        (1.0, 0.9, task_time((3.0, 6.0, 0.0)), Total(3.0, 2.0)),
        # Nobody knows which half of the stolen time fell on the command.
        (1.54, 1.5, task_time((1.69, 2.0, 0.12)), Total(1.54, 0.0)),
        (1.0, 4.0, task_time((3.0, 6.0, 0.0)), Total(4.0, 3.0)),
    ],
)
def test_the_total(counted: float, seen: float, clock: TaskTime | None, total: Total) -> None:
    made = total_of(counted, seen, clock)
    assert made.seconds == pytest.approx(total.seconds)
    assert made.unwaited_seconds == pytest.approx(total.unwaited_seconds)


@given(AMOUNTS, AMOUNTS, st.none() | st.tuples(AMOUNTS, st.floats(0, 1)))
def test_the_total_is_never_below_what_is_known(counted: float, seen: float, span: tuple[float, float] | None) -> None:
    total = total_of(counted, seen, None if span is None else task_time((span[0], 1.0, span[1])))
    assert total.seconds >= max(counted, seen)
    assert total.unwaited_seconds in (0.0, total.seconds - counted)
