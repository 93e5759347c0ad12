"""The tree of units: sums, names, limits and verdicts."""

from __future__ import annotations

from itertools import pairwise
from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields, replace
from readings import SECOND, snapshot
from strategies import cgroup_rows, snapshots

from cpuwatch import (
    CgroupUsage,
    ExitedUsage,
    GroupedSnapshot,
    ProcessUsage,
    Query,
    Snapshot,
    UnitUsage,
    View,
    apply_view,
    by_cgroup,
    table,
)
from cpuwatch.query.cgroup_name import unit_path
from cpuwatch.query.units import in_tree_order

WEB = "/system.slice/nginx.service"
POD = "/kubepods/burstable/pod12345678-90ab-cdef-0123-456789abcdef"
CONTAINER = f"{POD}/{'ab' * 32}"

SUMMED = {field.name for field in fields(UnitUsage)} & {
    *("processes", "exited", "cpu_percent", "machine_percent", "exited_percent", "wait_percent", "throttled_percent"),
    *("threads", "cpu_seconds", "user_percent", "system_percent"),
}

segments = st.sampled_from(
    ["a", "..", "x.slice", "x.service", r"x\x2dy.service", "y.scope", f"pod{'ab' * 16}", "burstable", "cd" * 32]
)
paths = st.lists(segments, max_size=4).map(lambda parts: "/" + "/".join(parts)) | st.text(max_size=5)
percents = st.none() | st.floats(0, 400)


@st.composite
def machines(draw: st.DrawFn) -> Snapshot:
    """Few units, so that they contain each other."""
    made = draw(snapshots())
    template = snapshot((1, 0)).processes[0]
    some = draw(st.lists(paths, min_size=1, max_size=5))
    processes = [
        replace(
            template,
            pid=pid,
            cgroup=draw(st.none() | st.sampled_from(some)),
            cpu_percent=draw(percents),
            machine_percent=draw(percents),
            wait_percent=draw(percents),
            throttled_percent=draw(percents),
        )
        for pid in draw(st.lists(st.integers(1, 12), unique=True, max_size=8))
    ]
    exited = st.builds(
        ExitedUsage,
        name=st.none() | st.just("cc1"),
        user=st.none(),
        parent_pid=st.none() | st.integers(0, 12),
        parent_name=st.none(),
        count=st.none() | st.integers(1, 9),
        cpu_percent=percents,
        machine_percent=percents,
    )
    cgroups = st.builds(lambda row, path: replace(row, path=path), cgroup_rows(), st.sampled_from(some))
    return replace(
        made,
        processes=processes,
        exited=draw(st.lists(exited, max_size=4)),
        cgroups=draw(st.lists(cgroups, max_size=4, unique_by=lambda row: row.path)),
    )


def is_close(one: float | None, other: float | None) -> bool:
    return isclose(one or 0, other or 0, rel_tol=1e-9, abs_tol=1e-9)


def own_values(taken: Snapshot, path: str | None, field: str) -> list[float]:
    """The values of the processes, living and exited, that belong to this unit and to none below it."""
    unit_of = {row.pid: None if row.cgroup is None else unit_path(row.cgroup) for row in taken.processes}
    living = [row for row in taken.processes if unit_of[row.pid] == path]
    exited = [row for row in taken.exited if unit_of.get(row.parent_pid or 0) == path]
    match field:
        case "processes":
            return [1.0] * len(living)
        case "exited":
            return [float(row.count or 0) for row in exited]
        case "exited_percent":
            return [row.cpu_percent or 0.0 for row in exited]
        case "cpu_percent" | "machine_percent":
            return [getattr(row, field) or 0.0 for row in (*living, *exited)]
    return [value for row in living if (value := getattr(row, field)) is not None]


@given(machines())
def test_the_roots_add_up_to_the_snapshot(taken: Snapshot) -> None:
    roots = [unit for unit in by_cgroup(taken) if unit.parent is None]
    rows: list[ProcessUsage | ExitedUsage] = [*taken.processes, *taken.exited]
    assert is_close(sum(unit.cpu_percent for unit in roots), sum(row.cpu_percent or 0 for row in rows))
    assert is_close(sum(unit.machine_percent for unit in roots), sum(row.machine_percent or 0 for row in rows))
    assert is_close(sum(unit.exited_percent for unit in roots), sum(row.cpu_percent or 0 for row in taken.exited))
    assert is_close(
        sum(unit.wait_percent or 0 for unit in roots), sum(row.wait_percent or 0 for row in taken.processes)
    )
    assert sum(unit.processes for unit in roots) == len(taken.processes)
    assert sum(unit.exited for unit in roots) == sum(row.count or 0 for row in taken.exited)


@given(machines())
def test_a_unit_is_the_sum_of_its_own_processes_and_the_units_below_it(taken: Snapshot) -> None:
    units = by_cgroup(taken)
    for unit in units:
        below = [other for other in units if unit.cgroup is not None and other.parent == unit.cgroup]
        for field in SUMMED:
            parts = [value for part in below if (value := getattr(part, field)) is not None]
            assert is_close(getattr(unit, field), sum([*parts, *own_values(taken, unit.cgroup, field)])), field


@given(machines())
def test_each_unit_is_listed_once_after_the_one_that_contains_it(taken: Snapshot) -> None:
    units = by_cgroup(taken)
    assert all(one.cpu_percent >= other.cpu_percent for one, other in pairwise(units))
    seen: set[str | None] = {None}
    for unit in units:
        assert unit.parent in seen
        assert unit.cgroup is None or unit.cgroup not in seen
        seen.add(unit.cgroup)
    assert len({unit.group for unit in units}) == len(units)
    assert sorted(map(repr, units)) == sorted(repr(unit) for unit, _ in in_tree_order(units))


@given(machines(), st.integers(1, 4))
def test_the_first_units_are_a_tree_of_their_own(taken: Snapshot, count: int) -> None:
    shown = apply_view(taken, View(Query(top=count), group_by="cgroup"))
    assert isinstance(shown, GroupedSnapshot)
    units = [unit for unit in shown.groups if isinstance(unit, UnitUsage)]
    assert {unit.parent for unit in units} <= {None, *(unit.cgroup for unit in units)}


def machine(*cgroups: str | None) -> Snapshot:
    """A process of 10 % of a CPU in each of these cgroups, with PIDs from 10."""
    rows = snapshot(*((10 + number, SECOND // 10) for number in range(len(cgroups)))).processes
    return replace(snapshot(), processes=[replace(row, cgroup=path) for row, path in zip(rows, cgroups, strict=True)])


def shape(taken: Snapshot) -> list[tuple[int, str | None, str | None, int]]:
    return [(depth, unit.group, unit.type, unit.processes) for unit, depth in in_tree_order(by_cgroup(taken))]


def limits(path: str, **changes: object) -> CgroupUsage:
    return replace(CgroupUsage(path, None, 0.0, None, 2.0, None, None, None, None, 0.0, 2), **changes)


def test_slices_services_and_directories_form_a_tree() -> None:
    taken = machine(WEB, f"{WEB}/worker", "/", CONTAINER, CONTAINER, CONTAINER, "/user.slice/user-1000.slice", None)
    assert shape(taken) == [
        (0, "/", None, 7),
        (1, "/kubepods", None, 3),
        (2, "/kubepods/burstable", None, 3),
        (3, "pod 12345678", "pod", 3),
        (4, "container abababababab", "container", 3),
        (1, "system.slice", "slice", 2),
        (2, "nginx.service", "service", 2),
        (1, "user.slice", "slice", 1),
        (2, "user-1000.slice", "slice", 1),
        (0, None, None, 1),
    ]


def test_slices_in_a_unit_are_listed_and_other_directories_in_it_are_a_part_of_it() -> None:
    manager = "/user.slice/user@1000.service"
    taken = machine(f"{manager}/app.slice/run.scope", f"{manager}/init.scope", "/x.service/payload/y.service")
    assert shape(taken) == [
        (0, "/", None, 3),
        (1, "user.slice", "slice", 2),
        (2, "user@1000.service", "service", 2),
        (3, "app.slice", "slice", 1),
        (4, "run.scope", "scope", 1),
        (3, "init.scope", "scope", 1),
        (1, "x.service", "service", 1),
        (2, "y.service", "service", 1),
    ]


def test_units_of_the_same_name_are_apart() -> None:
    taken = machine(WEB, "/lxc/7/nginx.service/worker", "/lxc/7/nginx.service")
    found = {unit.cgroup: (unit.group, unit.processes) for unit in by_cgroup(taken) if unit.type == "service"}
    assert found == {WEB: ("system.slice/nginx.service", 1), "/lxc/7/nginx.service": ("7/nginx.service", 2)}


def test_a_container_has_its_name_if_that_is_unambiguous() -> None:
    other = f"{POD}/{'cd' * 32}"
    named = [limits(CONTAINER, name="shop/web-1/app"), limits(POD, name="shop/web-1")]
    units = {unit.cgroup: unit.group for unit in by_cgroup(replace(machine(CONTAINER, other), cgroups=named))}
    assert units[CONTAINER] == "shop/web-1/app"
    assert units[POD] == "shop/web-1"
    assert units[other] == "container cdcdcdcdcdcd"
    both = [limits(CONTAINER, name="app"), limits(other, name="app")]
    units = {unit.cgroup: unit.group for unit in by_cgroup(replace(machine(CONTAINER, other), cgroups=both))}
    assert (units[CONTAINER], units[other]) == ("container abababababab", "container cdcdcdcdcdcd")


def test_processes_outside_of_the_cgroup_namespace_are_in_trees_of_their_own() -> None:
    assert shape(machine("/", "/../../system.slice/a.service", "/..")) == [
        (0, "/", None, 1),
        (0, "/..", None, 1),
        (0, "system.slice", "slice", 1),
        (1, "a.service", "service", 1),
    ]


def test_exited_processes_count_for_the_unit_of_their_reaper() -> None:
    exited = [ExitedUsage("cc1", None, 10, "sh", 4, 5.0, 2.5), ExitedUsage("lost", None, 99, None, 1, 1.0, 0.5)]
    units = {unit.cgroup: unit for unit in by_cgroup(replace(machine(f"{WEB}/worker"), exited=exited))}
    assert (units[WEB].exited, units[WEB].exited_percent, units[WEB].cpu_percent) == (4, 5.0, 15.0)
    assert (units[None].processes, units[None].exited, units[None].cpu_percent) == (0, 1, 1.0)


def test_a_unit_has_the_limits_of_its_cgroup() -> None:
    quota = limits(
        WEB,
        cpu_percent=10.0,
        quota_cpus=0.5,
        limit_cpus=0.25,
        limited_by="/system.slice",
        quota_percent=20.0,
        throttled_percent=3.0,
        throttled_periods_percent=7.0,
        pressure_percent=9.0,
    )
    taken = replace(machine(WEB, f"{WEB}/worker"), cgroups=[quota, limits(f"{WEB}/worker", quota_cpus=9.0)])
    (unit,) = (unit for unit in by_cgroup(taken) if unit.cgroup == WEB)
    assert (unit.quota_cpus, unit.limit_cpus, unit.limited_by) == (0.5, 0.25, "/system.slice")
    assert (unit.quota_percent, unit.quota_throttled_percent, unit.throttled_periods_percent) == (20.0, 3.0, 7.0)
    assert (unit.pressure_percent, unit.cpus) == (9.0, 2)


@pytest.mark.parametrize(
    ("wait", "throttled", "verdict"), [(0.0, 0.0, "busy"), (40.0, 35.0, "throttled"), (40.0, 5.0, "crowded")]
)
def test_the_verdict_is_that_of_the_sums(wait: float, throttled: float, verdict: str) -> None:
    taken = machine(WEB, WEB)
    rows = [replace(row, wait_percent=wait / 2, throttled_percent=throttled / 2) for row in taken.processes]
    units = by_cgroup(replace(taken, processes=rows))
    assert {(unit.group, unit.throttled_percent, unit.verdict) for unit in units} == {
        (name, throttled, verdict) for name in ("/", "system.slice", "nginx.service")
    }


def test_a_unit_without_processes_is_idle() -> None:
    taken = replace(machine("/"), cgroups=[limits("/"), limits("/system.slice/cups.service"), limits(f"{WEB}/worker")])
    assert shape(taken) == [(0, "/", None, 1), (1, "system.slice", "slice", 0), (2, "cups.service", "service", 0)]
    assert by_cgroup(taken)[-1].verdict == "idle"


def test_the_verdict_of_a_cgroup_of_another_hierarchy_is_unknown() -> None:
    """With cgroup v1, its processes may be elsewhere in the tree."""
    taken = replace(machine("/"), cgroups=[limits("/batch", cpu_percent=20.0, quota_percent=100.0, quota_cpus=0.2)])
    (unit,) = (unit for unit in by_cgroup(taken) if unit.cgroup == "/batch")
    assert (unit.processes, unit.quota_percent, unit.verdict) == (0, 100.0, None)


def test_the_table_of_units_is_an_indented_tree() -> None:
    taken = replace(machine(WEB, "/"), cgroups=[limits(WEB, quota_cpus=0.5, quota_percent=20.0, pressure_percent=1.0)])
    lines = table(apply_view(taken, View(group_by="cgroup"))).splitlines()
    assert lines[4:] == [
        "CPU%  EXITED%  WAIT%  THROT%  PRESS%  QUOTA  USED%  VERDICT  ALIVE  EXITED  UNIT",
        "20.0      0.0      -       -       -      -      -  -            2       0  /",
        "10.0      0.0      -       -       -      -      -  -            1       0    system.slice",
        "10.0      0.0      -       -     1.0   0.50   20.0  -            1       0      nginx.service",
    ]


def test_a_short_table_of_units_has_the_busiest_and_those_that_contain_them() -> None:
    taken = machine("/a.slice", WEB, WEB)
    lines = table(apply_view(taken, View(group_by="cgroup")), max_rows=3).splitlines()
    assert [line.split()[-1] for line in lines[5:8]] == ["/", "system.slice", "nginx.service"]
    assert lines[8:] == ["... 1 more"]


def test_a_narrow_table_of_units_keeps_their_names() -> None:
    lines = table(apply_view(machine(WEB), View(group_by="cgroup")), width=60).splitlines()
    assert [line for line in lines if line.startswith("CPU%")] == ["CPU%  WAIT%  THROT%  QUOTA  VERDICT  UNIT"]
    assert lines[-1].endswith("    nginx.service")
