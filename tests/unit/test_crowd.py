"""Who runs while something is crowded."""

from __future__ import annotations

import pytest
from hypothesis import given
from msgspec.structs import replace
from readings import snapshot
from strategies import snapshots

from cpuwatch import BusyProcess, MachineUsage, ProcessUsage, Snapshot, UnitUsage, by_cgroup
from cpuwatch.query.crowd import crowd_of_machine, crowd_of_process, crowd_of_unit, crowd_text
from cpuwatch.query.units import is_in

WEB = "/system.slice/web.service"


def machine(*busiest: tuple[int, str | None, float], verdict: str = "crowded") -> MachineUsage:
    plain = snapshot().machine
    busy = [BusyProcess(pid, f"p{pid}", cgroup, total) for pid, cgroup, total in busiest]
    return replace(plain, busiest=busy, verdict=verdict)


def process(pid: int, cpu: float, wait: float, verdict: str = "crowded") -> ProcessUsage:
    row = snapshot((pid, 0)).processes[0]
    return replace(row, cpu_percent=cpu, wait_percent=wait, verdict=verdict)


def unit(cpu: float, wait: float, verdict: str = "crowded") -> UnitUsage:
    return UnitUsage("web.service", WEB, None, "service", 1, 0, cpu, cpu, 0.0, wait_percent=wait, verdict=verdict)  # type: ignore[arg-type]


FOUR = machine((1, "/", 90.0), (2, WEB, 80.0), (3, f"{WEB}/x", 70.0), (4, None, 60.0), (5, "/", 50.0))


def pids(crowd: list[BusyProcess]) -> list[int]:
    return [other.pid for other in crowd]


def test_a_process_is_crowded_by_the_busiest_others() -> None:
    assert pids(crowd_of_process(process(2, 20, 80), FOUR)) == [1, 3, 4]
    assert pids(crowd_of_process(process(9, 20, 80), FOUR)) == [1, 2, 3]


def test_a_process_that_wants_more_than_one_cpu_is_crowded_by_its_own_threads_too() -> None:
    assert pids(crowd_of_process(process(2, 20, 80.1), FOUR)) == [1, 2, 3]


def test_a_unit_is_crowded_by_processes_outside_of_it() -> None:
    assert pids(crowd_of_unit(unit(20, 80), FOUR)) == [1, 4, 5]
    assert pids(crowd_of_unit(unit(150, 80), FOUR)) == [1, 2, 3]


def test_the_machine_is_crowded_by_its_busiest_processes() -> None:
    assert pids(crowd_of_machine(FOUR)) == [1, 2, 3]


@pytest.mark.parametrize("verdict", ["idle", "busy", "throttled", "stolen"])
def test_what_is_not_crowded_has_no_crowd(verdict: str) -> None:
    assert crowd_of_process(process(2, 20, 80, verdict), FOUR) == []
    assert crowd_of_unit(unit(20, 80, verdict), FOUR) == []
    assert crowd_of_machine(replace(FOUR, verdict=verdict)) == []


def test_processes_that_use_next_to_nothing_crowd_nobody() -> None:
    assert pids(crowd_of_machine(machine((1, None, 1.0), (2, None, 0.9)))) == [1]


def test_the_crowd_as_text() -> None:
    assert crowd_text(crowd_of_machine(machine((4711, None, 90.0), (98, None, 80.0)))) == "p4711 (4711), p98 (98)"
    assert crowd_text([]) == ""


@given(snapshots())
def test_a_crowd_is_a_part_of_the_busiest_in_their_order(taken: Snapshot) -> None:
    crowds = [crowd_of_process(row, taken.machine) for row in taken.processes]
    crowds += [crowd_of_unit(each, taken.machine) for each in by_cgroup(taken)]
    for crowd in (*crowds, crowd_of_machine(taken.machine)):
        assert crowd == [other for other in taken.machine.busiest if other in crowd]


@pytest.mark.parametrize(
    ("cgroup", "path", "expected"),
    [
        (WEB, WEB, True),
        (f"{WEB}/x", WEB, True),
        (f"{WEB}x", WEB, False),
        ("/system.slice", WEB, False),
        (WEB, "/", True),
        ("/", "/", True),
        (None, "/", False),
        (None, None, True),
        ("/", None, False),
    ],
)
def test_a_unit_contains_its_cgroup_and_those_below(cgroup: str | None, path: str | None, expected: bool) -> None:
    assert is_in(cgroup, path) is expected
