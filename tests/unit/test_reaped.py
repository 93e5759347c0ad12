"""Children's time, held against a model of a process tree in which everything that is burned is known."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cpuwatch.model import CpuTimes, Host, MachineTimes, ProcessTimes, Reading, Snapshot
from cpuwatch.reaped import NO_CARRY, Carry, credit_children
from cpuwatch.usage import account

TICK_NS = 10_000_000
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
CPUS = 64


class Process:
    """One process of the model, with what the kernel keeps of it."""

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
            # The kernel cuts down cutime and cstime each, when they are shown.
            children_ns=(self.children_user // TICK_NS + self.children_system // TICK_NS) * TICK_NS,
        )


class Kernel:
    """Forks, burns, exits, waits and re-parents as Linux does."""

    def __init__(self) -> None:
        self.clock = 1_000 * TICK_NS
        self.burned = 0
        self.lost = 0
        self.reaped_some: set[str] = set()
        self.pids = iter(range(2, 10_000))
        self.free: list[int] = []
        self.init = Process(1, None, 0, ignores_children=False)
        self.processes = {1: self.init}

    def fork(self, parent: Process, *, ignores_children: bool) -> None:
        self.clock += TICK_NS
        pid = self.free.pop() if self.free else next(self.pids)
        self.processes[pid] = Process(pid, parent, self.clock, ignores_children=ignores_children)

    def burn(self, process: Process, user: int, system: int) -> None:
        process.own_user += user
        process.own_system += system
        self.burned += user + system

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
        self.reaped_some.add(f"{parent.pid}-{parent.born}")
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
    percent = sum((row.cpu_percent or 0) + (row.children_percent or 0) for row in snapshot.processes)
    return percent * snapshot.interval_seconds * 1e7


class TreeOfProcesses(RuleBasedStateMachine):
    """Random trees, sampled at random instants."""

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
    def burn(self, data: st.DataObject, user: int, system: int) -> None:
        self.kernel.burn(self.pick(data), user, system)

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
            assert row.children_percent is None or row.children_percent >= 0

    @invariant()
    def never_more_than_was_burned(self) -> None:
        rounding = 2 * TICK_NS * len(self.kernel.reaped_some)
        assert self.shown <= self.kernel.burned + rounding + 1

    def teardown(self) -> None:
        """Nothing is missing either, but what nobody waited for and what rounding still holds back."""
        self.sample()
        if not self.kernel.lost:
            rounding = 2 * TICK_NS * len(self.kernel.reaped_some)
            assert self.shown >= self.kernel.burned - rounding - 1


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


def test_what_a_vanished_child_had_shown_is_taken_off_its_parent() -> None:
    parent, child = record(1, 0, 0), record(2, 1, 3 * SECOND)
    credits_ns, carry = credit_children({1: parent, 2: child}, {2: child}, (), {1: 5 * SECOND}, TICK_NS, NO_CARRY)
    assert credits_ns == {1: 2 * SECOND}
    assert carry == NO_CARRY


def test_a_line_of_ancestors_that_died_in_one_tick_is_walked_up_to_the_survivor() -> None:
    line = {pid: record(pid, pid - 1, SECOND, SECOND) for pid in range(1, 6)}
    vanished = {pid: line[pid] for pid in (3, 4, 5)}
    credits_ns, _ = credit_children(line, vanished, (), {2: 7 * SECOND}, TICK_NS, NO_CARRY)
    assert credits_ns == {2: SECOND}


def test_an_orphan_that_init_waited_for_is_taken_off_init() -> None:
    line = {1: record(1, 0, 0), 2: record(2, 1, 0), 3: record(3, 2, 0), 4: record(4, 3, 9 * SECOND)}
    credits_ns, _ = credit_children(line, {3: line[3], 4: line[4]}, (), {1: 10 * SECOND, 2: 0}, TICK_NS, NO_CARRY)
    assert credits_ns == {1: SECOND}


def test_children_that_nobody_waited_for_take_nothing_from_anybody_else() -> None:
    tree = {1: record(1, 0, 0), 2: record(2, 1, 0), 3: record(3, 2, 9 * SECOND)}
    credits_ns, carry = credit_children(tree, {3: tree[3]}, (), {1: 4 * SECOND}, TICK_NS, NO_CARRY)
    assert credits_ns == {1: 4 * SECOND}
    assert carry == NO_CARRY


def test_what_rounding_showed_too_much_is_carried_and_not_shown_again() -> None:
    tree = {1: record(1, 0, 0), 2: record(2, 1, 15_000_000)}
    credits_ns, carry = credit_children(tree, {2: tree[2]}, (), {1: 10_000_000}, TICK_NS, NO_CARRY)
    assert credits_ns == {}
    assert carry == Carry({1: 5_000_000})
    credits_ns, carry = credit_children({1: tree[1]}, {}, (), {1: 10_000_000}, TICK_NS, carry)
    assert credits_ns == {1: 5_000_000}
    assert carry == NO_CARRY


@given(st.integers(2, 5), st.integers(0, 5))
def test_a_circle_of_parents_ends(first: int, second: int) -> None:
    tree = {2: record(2, first, SECOND), 3: record(3, second, SECOND)}
    credit_children(tree, tree, (), {}, TICK_NS, NO_CARRY)
