"""Children's time, tested against a model of a process tree that knows all CPU time used."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from cpuwatch.accounting.ancestry import Ancestry
from cpuwatch.accounting.exited import claimed_by_messages, match_exits
from cpuwatch.accounting.reaped import NO_CARRY, Carry, Reaped, credit_children
from cpuwatch.accounting.reapers import Candidates
from cpuwatch.accounting.usage import account
from cpuwatch.model import (
    CpuTimes,
    Host,
    MachineTimes,
    PidNamespace,
    ProcessExit,
    ProcessTimes,
    Reading,
    Snapshot,
)

TICK_NS = 10_000_000
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
CPUS = 64


class Process:
    """A process of the model, with the state that the kernel keeps."""

    def __init__(self, pid: int, parent: Process | None, born: int, *, ignores_children: bool) -> None:
        self.pid = pid
        self.parent = parent
        self.born = born
        self.ignores_children = ignores_children
        self.own_user = 0
        self.own_system = 0
        self.children_user = 0
        self.children_system = 0
        self.zombie = False

    @property
    def record(self) -> ProcessTimes:
        return ProcessTimes(
            pid=self.pid,
            key=f"{self.pid}-{self.born}",
            start_ns=self.born,
            start_time=EPOCH,
            first_seen=EPOCH,
            ppid=None if self.parent is None else self.parent.pid,
            name="model",
            user="model",
            state="Z" if self.zombie else "S",
            threads=1,
            cpu_ns=self.own_user + self.own_system,
            user_ns=self.own_user // TICK_NS * TICK_NS,
            system_ns=self.own_system // TICK_NS * TICK_NS,
            # The kernel rounds cutime and cstime down, each by itself, when they are read.
            children_ns=(self.children_user // TICK_NS + self.children_system // TICK_NS) * TICK_NS,
        )


class Kernel:
    """Forks, uses CPU, exits, reaps and reparents as Linux does."""

    def __init__(self) -> None:
        self.clock = 1_000 * TICK_NS
        self.used_ns = 0
        self.lost = 0
        self.reapers: set[str] = set()
        self.pids = iter(range(2, 10_000))
        self.free: list[int] = []
        self.init = Process(1, None, 0, ignores_children=False)
        self.processes = {1: self.init}

    def fork(self, parent: Process, *, ignores_children: bool) -> None:
        self.clock += TICK_NS
        pid = self.free.pop() if self.free else next(self.pids)
        self.processes[pid] = Process(pid, parent, self.clock, ignores_children=ignores_children)

    def use_cpu(self, process: Process, user: int, system: int) -> None:
        process.own_user += user
        process.own_system += system
        self.used_ns += user + system

    def exit(self, process: Process) -> None:
        for child in list(self.processes.values()):
            if child.parent is process:
                child.parent = self.init
                if child.zombie:
                    self.reap(child)
        assert process.parent is not None
        if process.parent.ignores_children:
            self.lost += process.own_user + process.own_system + process.children_user + process.children_system
            self._remove(process)
        else:
            process.zombie = True

    def reap(self, zombie: Process) -> None:
        parent = zombie.parent
        assert parent is not None
        parent.children_user += zombie.own_user + zombie.children_user
        parent.children_system += zombie.own_system + zombie.children_system
        self.reapers.add(f"{parent.pid}-{parent.born}")
        self._remove(zombie)

    def _remove(self, process: Process) -> None:
        del self.processes[process.pid]
        self.free.append(process.pid)

    def read(self) -> Reading:
        self.clock += 100 * TICK_NS
        nothing = CpuTimes(0, 0, 0)
        return Reading(
            time=EPOCH,
            monotonic_ns=self.clock,
            uptime_ns=self.clock,
            sweep_ns=0,
            host=Host("model", "boot", CPUS, "model", 1e-9),
            machine=MachineTimes(nothing, {}),
            processes={pid: process.record for pid, process in sorted(self.processes.items())},
            start_resolution_ns=TICK_NS,
        )


def shown_ns(snapshot: Snapshot) -> float:
    percent = sum((row.cpu_percent or 0) + (row.exited_percent or 0) for row in snapshot.processes)
    return percent * snapshot.interval_seconds * 1e7


class TreeOfProcesses(RuleBasedStateMachine):
    """Random process trees, sampled at random instants."""

    @initialize()
    def boot(self) -> None:
        self.kernel = Kernel()
        self.reading = self.kernel.read()
        self.carry: Carry = NO_CARRY
        self.shown = 0.0

    def pick(self, data: st.DataObject, *, zombies: bool = False) -> Process:
        choice = [process for process in self.kernel.processes.values() if process.zombie == zombies]
        return data.draw(st.sampled_from(choice))

    @rule(data=st.data(), ignores=st.sampled_from([False, False, False, True]))
    def fork(self, data: st.DataObject, ignores: bool) -> None:
        self.kernel.fork(self.pick(data), ignores_children=ignores)

    @rule(
        data=st.data(),
        user=st.integers(0, 40 * TICK_NS),
        system=st.integers(0, 40 * TICK_NS),
    )
    def use_cpu(self, data: st.DataObject, user: int, system: int) -> None:
        self.kernel.use_cpu(self.pick(data), user, system)

    @precondition(lambda self: sum(not p.zombie for p in self.kernel.processes.values()) > 1)
    @rule(data=st.data())
    def exit(self, data: st.DataObject) -> None:
        process = self.pick(data)
        if process is not self.kernel.init:
            self.kernel.exit(process)

    @precondition(lambda self: any(p.zombie for p in self.kernel.processes.values()))
    @rule(data=st.data())
    def wait(self, data: st.DataObject) -> None:
        self.kernel.reap(self.pick(data, zombies=True))

    @rule()
    def sample(self) -> None:
        reading = self.kernel.read()
        snapshot, self.carry = account(self.reading, reading, self.carry)
        self.reading = reading
        self.shown += shown_ns(snapshot)
        for row in snapshot.processes:
            assert row.cpu_percent is not None
            assert row.cpu_percent >= 0
            assert row.exited_percent is None or row.exited_percent >= 0

    @invariant()
    def never_shows_more_than_was_used(self) -> None:
        rounding = 2 * TICK_NS * len(self.kernel.reapers)
        assert self.shown <= self.kernel.used_ns + rounding + 1

    def teardown(self) -> None:
        """Nothing is missing either, except processes that nobody reaped and what rounding still holds back."""
        self.sample()
        if not self.kernel.lost:
            rounding = 2 * TICK_NS * len(self.kernel.reapers)
            assert self.shown >= self.kernel.used_ns - rounding - 1


TestTreeOfProcesses = TreeOfProcesses.TestCase


def record(pid: int, ppid: int, cpu_ns: int, children_ns: int = 0) -> ProcessTimes:
    process = Process(pid, None, 0, ignores_children=False)
    model = process.record
    return ProcessTimes(
        **{
            **{field: getattr(model, field) for field in model.__struct_fields__},
            "ppid": ppid,
            "cpu_ns": cpu_ns,
            "children_ns": children_ns,
        }
    )


SECOND = 1_000_000_000


def reading(*records: ProcessTimes, exits: Sequence[ProcessExit] = (), hidden: Collection[int] = ()) -> Reading:
    return replace(
        Kernel().read(),
        processes={one.pid: one for one in records},
        exits=list(exits),
        hidden_parents=frozenset(hidden),
    )


def credit(earlier: Reading, later: Reading, carry: Carry = NO_CARRY) -> Reaped:
    """The credits of the survivors in ``later`` for the processes that are no longer in it."""
    vanished = {pid: record for pid, record in earlier.processes.items() if pid not in later.processes}
    growth_ns = {}
    for pid, record in later.processes.items():
        before = earlier.processes[pid].children_ns or 0 if pid in earlier.processes else 0
        if record.children_ns != before:
            growth_ns[pid] = (record.children_ns or 0) - before
    ancestry = Ancestry(earlier, later, vanished)
    exited = match_exits(later.exits, vanished, ancestry.reapers_of_exit)

    def candidates(process: ProcessTimes) -> Candidates:
        found = ancestry.reapers_of_process(process)
        return found if found.is_complete else replace(found, others=tuple(pid for pid in growth_ns))

    return credit_children(vanished, candidates, growth_ns, TICK_NS, carry, claimed_by_messages(exited))


def test_the_time_last_seen_of_a_vanished_child_is_subtracted_from_its_parent() -> None:
    reaped = credit(reading(record(1, 0, 0), record(2, 1, 3 * SECOND)), reading(record(1, 0, 0, 5 * SECOND)))
    assert reaped == Reaped({1: 2 * SECOND}, NO_CARRY, {2: 1})


def test_a_chain_of_ancestors_that_exited_in_one_tick_leads_up_to_the_survivor() -> None:
    line = [record(pid, pid - 1, SECOND, SECOND) for pid in range(1, 6)]
    reaped = credit(reading(*line), reading(line[0], record(2, 1, SECOND, 8 * SECOND)))
    assert reaped.credits_ns == {2: SECOND}


def test_an_orphan_reaped_by_init_is_subtracted_from_init() -> None:
    line = [record(1, 0, 0), record(2, 1, 0), record(3, 2, 0), record(4, 3, 9 * SECOND)]
    reaped = credit(reading(*line), reading(record(1, 0, 0, 10 * SECOND), line[1]))
    assert reaped.credits_ns == {1: SECOND}


def test_children_that_nobody_reaped_are_subtracted_from_nobody() -> None:
    tree = [record(1, 0, 0), record(2, 1, 0), record(3, 2, 9 * SECOND)]
    reaped = credit(reading(*tree), reading(record(1, 0, 0, 4 * SECOND), tree[1]))
    assert reaped == Reaped({1: 4 * SECOND}, NO_CARRY, {})


def test_an_orphan_reaped_by_the_kernel_is_not_subtracted_from_its_ancestors() -> None:
    """A killed container: the init of its namespace has exited, and nobody reaped its processes."""
    tree = [record(1, 0, 0), record(2, 1, 0), record(3, 2, 0), record(4, 3, 3 * SECOND)]
    reaped = credit(reading(*tree), reading(tree[0], record(2, 1, 0, SECOND)))
    assert reaped.credits_ns == {2: SECOND}


def test_growth_claimed_by_messages_is_not_available_for_an_orphan() -> None:
    """The same beside a build: its growth is large enough for the orphan, but exited compilers account for it."""
    tree = [record(1, 0, 0), record(2, 1, 0), record(3, 2, 0), record(4, 3, SECOND // 2)]
    exits = [
        ProcessExit(3, 2, "sh", "root", 0),
        ProcessExit(4, 3, "lost", "root", SECOND // 2),
        *(ProcessExit(pid, 2, "cc", "root", 90_000_000) for pid in range(100, 110)),
    ]
    reaped = credit(reading(*tree), reading(tree[0], record(2, 1, 0, SECOND), exits=exits))
    assert reaped.credits_ns == {2: SECOND}


def in_namespace(process: ProcessTimes, pid_inside: int, inode: int | None = 7) -> ProcessTimes:
    return replace(process, pid_namespace=PidNamespace(1, inode, pid_inside))


# As with docker exec: 2 starts the container 3, 10 enters it with 11, whose child is 12.
CONTAINER = [
    record(1, 0, 0),
    record(2, 1, 0),
    in_namespace(record(3, 2, 0), 1),
    record(10, 2, 0),
    in_namespace(record(11, 10, 0), 8),
    in_namespace(record(12, 11, 3 * SECOND), 9),
]


def test_an_orphan_in_a_pid_namespace_is_subtracted_from_its_init() -> None:
    init = in_namespace(record(3, 2, 0, 4 * SECOND), 1)
    reaped = credit(reading(*CONTAINER), reading(*CONTAINER[:2], init))
    assert reaped.credits_ns == {3: SECOND}
    assert reaped.reaper_of[12] == 3


def test_the_init_of_the_namespace_comes_before_ancestors_outside_it() -> None:
    init = in_namespace(record(3, 2, 0, 3 * SECOND), 1)
    build = record(2, 1, 0, 6 * SECOND)
    reaped = credit(reading(*CONTAINER), reading(CONTAINER[0], build, init))
    assert reaped.credits_ns == {2: 6 * SECOND}


@pytest.mark.parametrize(("inode", "credits_ns"), [(8, {4: 3 * SECOND}), (None, {})])
def test_the_init_of_another_namespace_is_no_candidate_if_the_two_can_be_distinguished(
    inode: int | None, credits_ns: dict[int, int]
) -> None:
    other = in_namespace(record(4, 2, 0), 1, inode)
    grown = in_namespace(record(4, 2, 0, 3 * SECOND), 1, inode)
    reaped = credit(reading(*CONTAINER, other), reading(*CONTAINER[:3], grown))
    assert reaped.credits_ns == credits_ns


def test_a_process_that_entered_the_sampled_namespace_is_subtracted_from_pid_1() -> None:
    inside = [record(1, 0, 0), record(8, 0, 0), record(9, 8, 3 * SECOND)]
    reaped = credit(reading(*inside), reading(record(1, 0, 0, 3 * SECOND)))
    assert reaped.credits_ns == {}
    assert reaped.reaper_of[9] == 1


def test_the_parent_in_the_exit_message_takes_precedence_over_the_one_last_seen() -> None:
    init = in_namespace(record(3, 2, 0, 3 * SECOND), 1)
    build = record(2, 1, 0, 6 * SECOND)
    entered = [replace(process, pid_namespace=None) for process in CONTAINER]
    exits = [ProcessExit(12, 3, "orphan", "root", 3 * SECOND)]
    reaped = credit(reading(*entered), reading(CONTAINER[0], build, init, exits=exits))
    assert reaped.reaper_of[12] == 3
    assert reaped.credits_ns == {2: 6 * SECOND}


def test_above_a_hidden_parent_that_exited_the_process_whose_growth_fits_best_is_the_reaper() -> None:
    """With hidepid=2: 2 is ours, its child su is hidden, and su's child 4 is ours again."""
    tree = [record(2, 1, 0), record(4, 3, SECOND), record(5, 1, 0)]
    later = reading(record(2, 1, 0, SECOND + 30_000_000), record(5, 1, 0, 5 * SECOND))
    reaped = credit(reading(*tree, hidden={1, 3}), replace(later, hidden_parents=frozenset({1})))
    assert reaped.credits_ns == {2: 30_000_000, 5: 5 * SECOND}


def test_a_hidden_parent_that_is_still_alive_is_the_only_candidate() -> None:
    tree = [record(2, 1, 0), record(4, 3, SECOND)]
    reaped = credit(reading(*tree, hidden={1, 3}), reading(record(2, 1, 0, 2 * SECOND), hidden={1, 3}))
    assert reaped.credits_ns == {2: 2 * SECOND}


def test_an_excess_from_rounding_is_carried_over_and_not_shown_again() -> None:
    parent, child = record(1, 0, 0), record(2, 1, 15_000_000)
    grown, again = record(1, 0, 0, 10_000_000), record(1, 0, 0, 20_000_000)
    first = credit(reading(parent, child), reading(grown))
    assert (first.credits_ns, first.carry) == ({}, Carry({1: 5_000_000}))
    second = credit(reading(grown), reading(again), first.carry)
    assert (second.credits_ns, second.carry) == ({1: 5_000_000}, NO_CARRY)


def test_the_carry_is_limited_to_what_rounding_can_cause() -> None:
    """Each child of 15 ms that nobody reaps looks like rounding."""
    carry = NO_CARRY
    for _ in range(100):
        carry = credit(reading(record(1, 0, 0), record(2, 1, 15_000_000)), reading(record(1, 0, 0)), carry).carry
    assert carry.excess_ns[1] <= 2 * TICK_NS


@given(
    ppids=st.lists(st.integers(0, 6), min_size=6, max_size=6),
    parents_at_exit=st.dictionaries(st.integers(1, 6), st.integers(0, 6)),
    survivors=st.sets(st.integers(1, 6)),
)
def test_a_cycle_of_parents_terminates(ppids: list[int], parents_at_exit: dict[int, int], survivors: set[int]) -> None:
    """PIDs are reused within an interval, so the known parents of exited processes can form a cycle."""
    tree = [record(pid, ppid, SECOND) for pid, ppid in enumerate(ppids, 1)]
    exits = [ProcessExit(pid, parent, "x", "root", SECOND) for pid, parent in parents_at_exit.items()]
    left = [replace(process, children_ns=9 * SECOND) for process in tree if process.pid in survivors]
    reaped = credit(reading(*tree), reading(*left, exits=exits))
    assert sum(reaped.credits_ns.values()) <= 9 * SECOND * len(survivors)
