"""Compared with a dictionary that is searched completely each time."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace
from readings import process

from cpuwatch import ProcessTimes
from cpuwatch.samplers.process_table import ProcessTable

pids = st.integers(0, 12)
"""Few, so that PIDs are reused and processes are parents of each other."""


class TableAgainstScan(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.table = ProcessTable()
        self.records: dict[int, ProcessTimes] = {}
        self.copies: list[tuple[dict[int, ProcessTimes], dict[int, ProcessTimes]]] = []

    @rule(pid=pids, ppid=st.none() | pids, cpu_ns=st.integers(0, 3))
    def put(self, pid: int, ppid: int | None, cpu_ns: int) -> None:
        record = replace(process(pid, cpu_ns=cpu_ns), ppid=ppid)
        self.table.put(record)
        self.records[pid] = record

    @rule(pid=pids)
    def remove(self, pid: int) -> None:
        self.table.remove(pid)
        self.records.pop(pid, None)

    @rule()
    def copy(self) -> None:
        self.copies.append((self.table.copy(), dict(sorted(self.records.items()))))

    @rule(pid=pids)
    def change_a_returned_set(self, pid: int) -> None:
        self.table.children(pid).add(99)
        self.table.copy().clear()

    @invariant()
    def records_are_found_by_pid(self) -> None:
        for pid in range(13):
            assert self.table.get(pid) is self.records.get(pid)
            assert (pid in self.table) is (pid in self.records)
        assert self.table.get(None) is None

    @invariant()
    def children_are_found_by_parent(self) -> None:
        for pid in range(13):
            assert self.table.children(pid) == {child.pid for child in self.records.values() if child.ppid == pid}

    @invariant()
    def a_copy_is_sorted_and_independent(self) -> None:
        for found, expected in self.copies:
            assert list(found.items()) == list(expected.items())


TestTableAgainstScan = TableAgainstScan.TestCase


def test_parents_without_children_are_dropped() -> None:
    table = ProcessTable()
    for pid in range(2, 1000):
        table.put(replace(process(pid), ppid=pid - 1))
        table.children(pid + 5000)
        table.remove(pid)
    assert not table._children
