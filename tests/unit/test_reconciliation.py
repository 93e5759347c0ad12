"""Processes that exit during a sweep, in orders that are hard to force on a kernel."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from readings import process

from cpuwatch import ProcessTimes
from cpuwatch.model import PidNamespace
from cpuwatch.samplers.process_table import ProcessTable
from cpuwatch.samplers.reconciliation import Reconciler


def record(pid: int, ppid: int, *, children_ns: int = 0, namespace: PidNamespace | None = None) -> ProcessTimes:
    return replace(process(pid, children_ns=children_ns), ppid=ppid, pid_namespace=namespace)


class Sweep:
    """A table of processes, and the records that a reread would return."""

    def __init__(self, *known: ProcessTimes) -> None:
        self.table = ProcessTable()
        for one in known:
            self.table.put(one)
        self.now = {one.pid: one for one in known}
        self.read_again: list[int] = []
        self.reconciler = Reconciler(self.table, self.read, lambda pid: pid not in self.now)

    def read(self, known: ProcessTimes) -> ProcessTimes | None:
        self.read_again.append(known.pid)
        return self.now.get(known.pid)

    def ends(self, pid: int, reaper: ProcessTimes | None = None) -> None:
        """Make the process exit, and replace the record of its reaper."""
        del self.now[pid]
        if reaper is not None:
            self.now[reaper.pid] = reaper

    def reconcile(self) -> dict[int, ProcessTimes]:
        self.reconciler.reconcile()
        return self.table.copy()


def test_a_reaper_read_before_its_child_exited_is_read_again() -> None:
    sweep = Sweep(record(1, 0), record(2, 1), record(3, 2))
    sweep.reconciler.apply(2, sweep.read(record(2, 1)), exited_during_sweep=True)
    sweep.ends(3, record(2, 1, children_ns=7))
    sweep.reconciler.apply(3, None, exited_during_sweep=True)
    assert sweep.reconcile() == {1: record(1, 0), 2: record(2, 1, children_ns=7)}


def test_a_child_read_before_it_exited_is_removed_once_its_reaper_has_its_time() -> None:
    sweep = Sweep(record(1, 0), record(2, 1), record(3, 2))
    sweep.reconciler.apply(3, sweep.read(record(3, 2)), exited_during_sweep=True)
    sweep.ends(3, record(2, 1, children_ns=7))
    sweep.reconciler.apply(2, sweep.now[2], exited_during_sweep=True)
    assert sweep.reconcile() == {1: record(1, 0), 2: record(2, 1, children_ns=7)}
    assert sweep.reconciler.exited_pids == {3}


def test_the_init_of_the_namespace_is_read_again_after_an_orphan_exited() -> None:
    inside = PidNamespace(1, 7, 1)
    init = record(2, 1, namespace=inside)
    orphan = record(4, 3, namespace=replace(inside, pid=9))
    sweep = Sweep(record(1, 0), init, record(3, 1, namespace=replace(inside, pid=8)), orphan)
    sweep.reconciler.apply(2, init, exited_during_sweep=True)
    sweep.ends(4, replace(init, children_ns=7))
    sweep.ends(3)
    sweep.reconciler.apply(3, None, exited_during_sweep=True)
    sweep.reconciler.apply(4, None, exited_during_sweep=True)
    assert sweep.reconcile()[2].children_ns == 7


@given(
    ppids=st.lists(st.integers(0, 7), min_size=7, max_size=7),
    ended=st.sets(st.integers(1, 7)),
    reused=st.sets(st.integers(1, 7)),
)
def test_a_cycle_of_parents_terminates(ppids: list[int], ended: set[int], reused: set[int]) -> None:
    """PIDs that are reused within one sweep leave such cycles among the exited processes."""
    known = [record(pid, ppid) for pid, ppid in enumerate(ppids, 1)]
    sweep = Sweep(*known)
    for pid in ended:
        sweep.ends(pid)
    for pid in ended & reused:
        sweep.now[pid] = replace(record(pid, pid % 7 + 1), key=f"{pid}-again")
    for pid in ended:
        sweep.reconciler.apply(pid, sweep.now.get(pid), exited_during_sweep=True)
    assert sweep.reconcile() == dict(sorted(sweep.now.items()))


def test_hidden_parents_are_reported_even_after_their_last_child_exited() -> None:
    sweep = Sweep(record(2, 77), record(3, 88), record(4, 99), record(5, 0))
    sweep.now |= {77: record(77, 1), 88: record(88, 1)}
    sweep.ends(2)
    sweep.reconciler.apply(2, None, exited_during_sweep=True)
    sweep.reconciler.reconcile()
    assert sweep.reconciler.hidden_parents() == {77, 88}
