from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from readings import SECOND, process, reading

from cpuwatch import CgroupTimes, CgroupUsage, ProcessTimes, Snapshot, top, usage
from cpuwatch.accounting.cgroups import path_with_ancestors

PERIOD_NS = SECOND // 10
BEFORE = CgroupTimes(PERIOD_NS // 2, PERIOD_NS, periods=100, throttled_periods=50, throttled_ns=7 * SECOND, cpus=2)


def throttled(by_ns: int, periods: int = 10, throttled_periods: int = 9) -> CgroupTimes:
    """The cgroup one second after ``BEFORE``."""
    return replace(
        BEFORE,
        periods=BEFORE.periods and BEFORE.periods + periods,
        throttled_periods=BEFORE.throttled_periods and BEFORE.throttled_periods + throttled_periods,
        throttled_ns=BEFORE.throttled_ns and BEFORE.throttled_ns + by_ns,
    )


def one_second(
    *processes: tuple[str, int, int], before: dict[str, CgroupTimes], after: dict[str, CgroupTimes]
) -> Snapshot:
    """A second in which each process, given by its cgroup, ran and waited for these nanoseconds."""
    earlier: list[ProcessTimes] = []
    later: list[ProcessTimes] = []
    for pid, (path, ran_ns, waited_ns) in enumerate(processes, start=10):
        record = replace(process(pid), cgroup=path, cpu_cgroup=path, wait_ns=5)
        earlier.append(record)
        later.append(replace(record, cpu_ns=record.cpu_ns + ran_ns, wait_ns=5 + waited_ns))
    return usage(
        replace(reading(*earlier), cgroups=before),
        replace(reading(*later, at_ns=101 * SECOND), cgroups=after),
    )


def row_of(snapshot: Snapshot, path: str) -> CgroupUsage:
    return next(row for row in snapshot.cgroups if row.path == path)


def throttled_percents(snapshot: Snapshot) -> list[float | None]:
    return [row.throttled_percent for row in sorted(snapshot.processes, key=lambda row: row.pid)]


def test_the_counters_of_a_cgroup_become_shares_of_the_interval() -> None:
    after = replace(throttled(SECOND // 2, periods=10, throttled_periods=9), pressure_ns=600_000_000)
    snapshot = one_second(
        ("/a", 450_000_000, SECOND), before={"/a": replace(BEFORE, pressure_ns=0)}, after={"/a": after}
    )
    assert row_of(snapshot, "/a") == CgroupUsage(
        path="/a",
        name=None,
        cpu_percent=45.0,
        quota_cpus=0.5,
        limit_cpus=0.5,
        limited_by="/a",
        quota_percent=90.0,
        throttled_percent=50.0,
        throttled_periods_percent=90.0,
        pressure_percent=60.0,
        cpus=2,
    )


def test_the_tightest_quota_above_a_cgroup_is_its_limit() -> None:
    cgroups = {
        "/": CgroupTimes(cpus=8),
        "/a": CgroupTimes(PERIOD_NS, PERIOD_NS, cpus=8),
        "/a/b": CgroupTimes(3 * PERIOD_NS, PERIOD_NS, cpus=8),
        "/a/b/c": CgroupTimes(cpus=8),
        "/d": CgroupTimes(20 * PERIOD_NS, PERIOD_NS, cpus=2),
        "/e": CgroupTimes(),
    }
    snapshot = one_second(before=cgroups, after=cgroups)
    limits = {row.path: (row.quota_cpus, row.limit_cpus, row.limited_by) for row in snapshot.cgroups}
    assert limits == {
        "/": (None, 8.0, None),
        "/a": (1.0, 1.0, "/a"),
        "/a/b": (3.0, 1.0, "/a"),
        "/a/b/c": (None, 1.0, "/a"),
        "/d": (20.0, 2.0, None),
        "/e": (None, None, None),
    }


def test_a_cgroup_used_what_its_processes_and_those_below_it_used() -> None:
    cgroups = {path: CgroupTimes() for path in ("/", "/a", "/a/b", "/c")}
    snapshot = one_second(
        ("/a", 100_000_000, 0), ("/a/b", 20_000_000, 0), ("/c", 3_000_000, 0), before=cgroups, after=cgroups
    )
    assert {row.path: row.cpu_percent for row in snapshot.cgroups} == pytest.approx(
        {"/": 12.3, "/a": 12.0, "/a/b": 2.0, "/c": 0.3}
    )


def test_the_wait_of_one_thread_is_due_to_the_quota_as_long_as_it_was_throttled() -> None:
    snapshot = one_second(("/a", 200_000_000, 800_000_000), before={"/a": BEFORE}, after={"/a": throttled(600_000_000)})
    (row,) = snapshot.processes
    assert row.throttled_percent == pytest.approx(60)
    assert row.verdict == "throttled"


def test_all_threads_of_a_throttled_run_queue_wait() -> None:
    # Four burners on two CPUs with half a CPU: each run queue is throttled for 75 ms in 100, with two threads on it.
    burners = [("/a", 125_000_000, 875_000_000)] * 4
    snapshot = one_second(*burners, before={"/a": BEFORE}, after={"/a": throttled(1_500_000_000)})
    assert throttled_percents(snapshot) == pytest.approx([75.0] * 4)
    assert snapshot.machine.verdict == "throttled"


def test_of_nested_quotas_each_explains_what_those_inside_of_it_leave() -> None:
    cgroups = {"/a": BEFORE, "/a/b": BEFORE}
    after = {"/a": throttled(350_000_000), "/a/b": throttled(300_000_000)}
    snapshot = one_second(
        ("/a/b", 500_000_000, 500_000_000), ("/a", 500_000_000, 500_000_000), before=cgroups, after=after
    )
    inner, outer = throttled_percents(snapshot)
    # The inner quota leaves 200 of 500 ms, so the outer one throttled for 350 of 700 ms.
    assert inner == pytest.approx(30 + 10)
    assert outer == pytest.approx(25)


def test_a_quota_does_not_explain_the_waiting_of_others() -> None:
    snapshot = one_second(
        ("/a", 100_000_000, 900_000_000),
        ("/b", 500_000_000, 500_000_000),
        before={"/a": BEFORE, "/b": CgroupTimes()},
        after={"/a": throttled(900_000_000), "/b": CgroupTimes()},
    )
    assert throttled_percents(snapshot) == pytest.approx([90, 0])
    assert [row.verdict for row in snapshot.processes] == ["throttled", "crowded"]


def test_without_information_about_cgroups_the_reason_is_unknown() -> None:
    snapshot = one_second(("/a", 500_000_000, 500_000_000), before={}, after={})
    assert throttled_percents(snapshot) == [None]
    assert [row.verdict for row in snapshot.processes] == [None]
    assert snapshot.machine.verdict is None


def test_a_new_cgroup_has_no_rates_and_one_that_was_made_again_neither() -> None:
    new = one_second(before={}, after={"/a": throttled(5)})
    remade = one_second(("/a", 1, 1), before={"/a": throttled(5)}, after={"/a": BEFORE})
    for snapshot in (new, remade):
        row = row_of(snapshot, "/a")
        assert (row.throttled_percent, row.throttled_periods_percent, row.pressure_percent) == (None, None, None)


def test_a_cgroup_at_rest_shares_its_row_between_snapshots() -> None:
    cgroups = {"/a": BEFORE}
    first, second = (one_second(before=cgroups, after=cgroups) for _ in range(2))
    assert first.cgroups[0] is second.cgroups[0]
    assert (first.cgroups[0].quota_percent, first.cgroups[0].throttled_percent) == (0, 0)


def test_a_selection_keeps_the_cgroups_of_its_processes() -> None:
    cgroups = {path: CgroupTimes() for path in ("/", "/a", "/a/b", "/c")}
    snapshot = one_second(("/a/b", SECOND, 0), ("/c", 5, 0), before=cgroups, after=cgroups)
    assert [row.path for row in top(snapshot, 1).cgroups] == ["/", "/a", "/a/b"]
    assert top(snapshot, 2).cgroups == snapshot.cgroups


@given(st.text("/ab"))
def test_every_path_ends_at_the_root(path: str) -> None:
    paths = path_with_ancestors(path)
    assert (paths[0], paths[-1]) == (path, "/")
    assert len(set(paths)) == len(paths)


nanoseconds = st.integers(0, 2 * SECOND)


@given(
    st.lists(st.tuples(st.sampled_from(["/", "/a", "/a/b", "/c"]), nanoseconds, nanoseconds), min_size=1, max_size=6),
    st.dictionaries(st.sampled_from(["/a", "/a/b"]), nanoseconds),
)
def test_waiting_is_split_and_nothing_is_counted_twice(
    processes: list[tuple[str, int, int]], growths: dict[str, int]
) -> None:
    snapshot = one_second(
        *processes,
        before={"/": CgroupTimes(), **dict.fromkeys(growths, BEFORE)},
        after={"/": CgroupTimes(), **{path: throttled(growth) for path, growth in growths.items()}},
    )
    for row in snapshot.processes:
        assert row.wait_percent is not None
        assert row.throttled_percent is not None
        assert 0 <= row.throttled_percent <= row.wait_percent
        if not any(row.cgroup == path or (row.cgroup or "").startswith(f"{path}/") for path in growths):
            assert row.throttled_percent == 0
