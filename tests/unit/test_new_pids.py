"""Compared with a model of how the kernel allocates PIDs and counts forks: alloc_pid, copy_process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from hypothesis import event, given
from hypothesis import strategies as st

from cpuwatch.samplers.procfs.new_pids import NewPids

LOWEST, HIGHEST = 10, 49
MAX_ALIVE = 12
MAX_GIVEN = 10
"""Events between two calls: too few for PIDs to wrap around twice in two intervals."""
LISTED_WITHIN = 16


@dataclass(eq=False)
class Fork:
    """A fork in progress, and its result."""

    pid: int
    was_looked_at: bool = False
    may_hide: bool = False
    """No counter shows it if another fork fails: its PID was chosen, or it was in progress during two calls."""


@dataclass
class Kernel:
    """Two counters, the ring of PIDs, and the owners of PIDs."""

    forks: int = 1000
    last_pid: int = LOWEST
    under_way: list[Fork] = field(default_factory=list)
    processes: list[Fork] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    given: int = 0

    def taken(self) -> set[int]:
        return {fork.pid for fork in (*self.under_way, *self.processes)} | set(self.threads)

    def is_full(self) -> bool:
        return len(self.taken()) == MAX_ALIVE or self.given == MAX_GIVEN

    def give(self) -> int:
        """The next free PID, with wraparound (idr_alloc_cyclic)."""
        taken = self.taken()
        while True:
            self.last_pid = LOWEST if self.last_pid == HIGHEST else self.last_pid + 1
            if self.last_pid not in taken:
                self.given += 1
                return self.last_pid

    # Events. Each takes a number that selects a process or PID.

    def begin_fork(self, _: int = 0) -> None:
        if not self.is_full():
            self.under_way.append(Fork(self.give()))

    def finish_fork(self, number: int) -> None:
        """The fork is counted and becomes visible in one critical section."""
        if self.under_way:
            self.forks += 1
            self.processes.append(self.under_way.pop(number % len(self.under_way)))

    def fork(self, _: int = 0) -> None:
        if not self.is_full():
            self.begin_fork()
            self.finish_fork(-1)

    def fail_to_fork(self, number: int) -> None:
        """The PID is free again, and the next one is still allocated after it; nothing is counted."""
        self.begin_fork()
        if self.under_way:
            self.under_way.pop(number % len(self.under_way))

    def start_thread(self, _: int) -> None:
        if not self.is_full():
            self.threads.append(self.give())
            self.forks += 1

    def end_thread(self, number: int) -> None:
        if self.threads:
            self.threads.pop(number % len(self.threads))

    def end_process(self, number: int) -> None:
        if self.processes:
            self.processes.pop(number % len(self.processes))

    def fork_with_chosen_pid(self, number: int) -> None:
        """clone3(2) with set_tid: the last PID stays the same."""
        pid = LOWEST + number % (HIGHEST + 1 - LOWEST)
        if pid not in self.taken() and not self.is_full():
            self.forks += 1
            self.processes.append(Fork(pid, may_hide=True))

    def fork_in_another_namespace(self, _: int) -> None:
        """Forks are counted for the whole machine, but each namespace allocates its own PIDs."""
        self.forks += 1


EVENTS: list[Callable[[Kernel, int], None]] = [
    # Mostly usual events, because the others make the counters disagree, and then nothing depends on them.
    *[Kernel.fork] * 6,
    *[Kernel.end_process] * 4,
    Kernel.begin_fork,
    Kernel.finish_fork,
    Kernel.fail_to_fork,
    Kernel.start_thread,
    Kernel.end_thread,
    Kernel.fork_with_chosen_pid,
    Kernel.fork_in_another_namespace,
]

Interval: TypeAlias = list[tuple[Callable[[Kernel, int], None], int]]

intervals: st.SearchStrategy[Interval] = st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 1000)), max_size=6)


@dataclass
class Sampler:
    """Finds processes like ClockSweep: all at first, then only those that can be new."""

    kernel: Kernel
    given: NewPids
    known: dict[Fork, int] = field(default_factory=dict)
    looks: int = 0

    def candidates(self, between: Callable[[], None]) -> tuple[list[Fork], range | None]:
        """The processes visible when the forks were counted, and the result. One counter is read after the other."""
        kernel = self.kernel
        forks, counted = kernel.forks, list(kernel.processes)
        for fork in kernel.under_way:
            fork.may_hide |= fork.was_looked_at
        between()
        answer = self.given.candidates(forks, kernel.last_pid)
        for fork in kernel.under_way:
            fork.was_looked_at = True
        kernel.given = 0
        self.looks += 1
        for process in kernel.processes:
            if answer is None or self.looks == 1 or process.pid in answer:
                self.known.setdefault(process, self.looks)
        return counted, answer


def happen(kernel: Kernel, interval: Interval) -> None:
    for happening, number in interval:
        happening(kernel, number)


@given(st.integers(LOWEST, HIGHEST), intervals, st.lists(st.tuples(intervals, intervals), min_size=LISTED_WITHIN + 4))
def test_every_new_process_is_among_the_candidates(
    last_pid: int, at_first: Interval, rounds: list[tuple[Interval, Interval]]
) -> None:
    kernel = Kernel(last_pid=last_pid)
    happen(kernel, at_first)
    sampler = Sampler(kernel, NewPids(kernel.forks, kernel.last_pid))
    for fork in kernel.under_way:
        fork.was_looked_at = True
    waiting: dict[Fork, int] = {}
    for before, between in rounds:
        happen(kernel, before)
        counted, answer = sampler.candidates(partial(happen, kernel, between))
        event("all are listed" if answer is None else f"{min(len(answer), 3)} or more may be new")
        for process in counted:
            if process in sampler.known or process not in kernel.processes:
                continue
            assert process.may_hide, f"{process} is not in {answer}"
            event("one hides")
            assert waiting.setdefault(process, sampler.looks) > sampler.looks - LISTED_WITHIN


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 3)), max_size=40))
def test_there_are_candidates_only_if_the_pids_advanced_by_the_number_of_forks(steps: list[tuple[int, int]]) -> None:
    forks, last_pid = 1000, 300
    given_pids = NewPids(forks, last_pid)
    for born, went_by in steps:
        forks, last_pid = forks + born, last_pid + went_by
        answer = given_pids.candidates(forks, last_pid)
        if answer is not None and born:
            assert born == went_by
            assert {last_pid - back for back in range(born)} <= set(answer)


@given(st.lists(st.integers(0, 2**22), min_size=1, max_size=40), st.integers(0, 2**40))
def test_a_count_that_never_moves_is_not_trusted(last_pids: list[int], forks: int) -> None:
    given_pids = NewPids(forks, last_pids[0])
    assert all(given_pids.candidates(forks, last_pid) is None for last_pid in last_pids)


@given(st.lists(st.integers(0, 2**22), min_size=1, max_size=40))
def test_without_a_fork_count_proc_is_listed(last_pids: list[int]) -> None:
    given_pids = NewPids(None, last_pids[0])
    assert all(given_pids.candidates(None, last_pid) is None for last_pid in last_pids)


def test_an_intermittent_count_is_trusted_only_between_two_values() -> None:
    given_pids = NewPids(100, 50)
    assert given_pids.candidates(101, 51) == range(51, 52)
    assert given_pids.candidates(None, 52) is None
    assert given_pids.candidates(103, 53) is None
    assert given_pids.candidates(104, 54) == range(53, 55)


def test_without_forks_there_are_no_candidates() -> None:
    given_pids = NewPids(100, 50)
    given_pids.candidates(101, 51)
    assert [given_pids.candidates(101, 51) for _ in range(10)] == [range(0)] * 10


def test_candidates_start_at_the_call_before_the_last() -> None:
    given_pids = NewPids(100, 50)
    assert given_pids.candidates(101, 51) == range(51, 52)
    assert given_pids.candidates(103, 53) == range(51, 54)
    assert given_pids.candidates(104, 54) == range(52, 55)


def test_proc_is_listed_while_a_wraparound_is_in_range() -> None:
    given_pids = NewPids(100, 88)
    assert given_pids.candidates(101, 89) == range(89, 90)
    assert given_pids.candidates(102, 10) is None
    assert given_pids.candidates(103, 11) is None
    assert given_pids.candidates(104, 12) == range(11, 13)


def test_proc_is_listed_in_every_16th_call() -> None:
    given_pids = NewPids(100, 50)
    answers = [given_pids.candidates(100 + step, 50 + step) for step in range(1, 49)]
    assert [step for step, answer in enumerate(answers, 1) if answer is None] == [16, 32, 48]
