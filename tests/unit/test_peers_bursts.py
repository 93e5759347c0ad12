"""Detecting the ticks of a program from its CPU clock: clocks made from known ticks give these ticks back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.peers.bursts import Bursts

QUIET = 4

ticks = st.lists(st.lists(st.integers(1, 10**9), min_size=1, max_size=6), max_size=6)
"""For each tick, the CPU time used between two readings of the clock."""
sleeps = st.integers(QUIET, 20)


@given(ticks=ticks, sleep=sleeps)
def test_each_tick_is_the_cpu_between_two_sleeps(ticks: list[list[int]], sleep: int) -> None:
    bursts = Bursts(QUIET)
    clock = 0
    for tick in ticks:
        for used in tick:
            clock += used
            bursts.look(clock)
        for _ in range(sleep):
            bursts.look(clock)
    assert bursts.cpu_ns == [sum(tick) for tick in ticks]


@given(pauses=st.lists(st.integers(0, QUIET - 1), min_size=1), used=st.integers(1, 10**9))
def test_a_short_wait_for_the_cpu_does_not_end_a_tick(pauses: list[int], used: int) -> None:
    bursts = Bursts(QUIET)
    clock = 0
    for pause in pauses:
        clock += used
        for _ in range(1 + pause):
            bursts.look(clock)
    assert bursts.cpu_ns == []
    for _ in range(QUIET):
        bursts.look(clock)
    assert bursts.cpu_ns == [used * len(pauses)]
