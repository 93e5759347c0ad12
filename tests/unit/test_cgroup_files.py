"""The files of cgroups in the formats of v1 and v2, and the mounts of a hybrid machine and of a container."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpuwatch.samplers.procfs.cgroup_files import (
    Quota,
    Throttling,
    count_cpus,
    parse_cpu_max,
    parse_throttling,
    quota_of_v1,
)
from cpuwatch.samplers.procfs.cgroup_mounts import CgroupMounts, Hierarchy, parse_mounts

V2_STAT = b"""usage_usec 2061845
user_usec 2053229
system_usec 8616
nice_usec 0
core_sched.force_idle_usec 0
nr_periods 104
nr_throttled 103
throttled_usec 8235126
nr_bursts 0
burst_usec 0
"""
V2_STAT_WITHOUT_CONTROLLER = b"usage_usec 2061845\nuser_usec 2053229\nsystem_usec 8616\nnice_usec 0\n"
V1_STAT = b"nr_periods 40\nnr_throttled 36\nthrottled_time 2492370337\nnr_bursts 0\nburst_time 0\n"

HYBRID = rb"""31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
50 23 0:30 /a /mnt/with\040blank rw,relatime - cgroup cgroup rw,cpu,cpuacct
"""
UNIFIED = b"29 22 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"
CONTAINER = b"901 899 0:30 /docker/ab /sys/fs/cgroup/cpu ro,nosuid - cgroup cgroup rw,cpu\n"


def test_quotas() -> None:
    assert parse_cpu_max(b"50000 100000\n") == Quota(50_000_000, 100_000_000)
    assert parse_cpu_max(b"max 100000\n") is None
    assert quota_of_v1(b"150000\n", b"100000\n") == Quota(150_000_000, 100_000_000)
    assert quota_of_v1(b"-1\n", b"100000\n") is None


def test_throttling_is_in_nanoseconds_in_both_versions() -> None:
    assert parse_throttling(V2_STAT) == Throttling(104, 103, 8_235_126_000)
    assert parse_throttling(V1_STAT) == Throttling(40, 36, 2_492_370_337)
    assert parse_throttling(V2_STAT_WITHOUT_CONTROLLER) is None


@pytest.mark.parametrize("data", [b"", b"\n", b"x", b"1 2 3", b"max", b"-"])
def test_a_malformed_quota_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_cpu_max(data)


@pytest.mark.parametrize("data", [b"throttled_usec", b"throttled_usec x", b"throttled_usec 5\n"])
def test_malformed_counters_are_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_throttling(data)


def test_an_empty_cpuset_is_unknown() -> None:
    assert count_cpus(b"\n") is None


@given(st.sets(st.integers(0, 300), min_size=1))
def test_cpus_are_counted_in_any_list(cpus: set[int]) -> None:
    parts: list[list[int]] = []
    for cpu in sorted(cpus):
        if parts and parts[-1][-1] == cpu - 1:
            parts[-1].append(cpu)
        else:
            parts.append([cpu])
    text = ",".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else f"{part[0]}" for part in parts)
    assert count_cpus(f"{text}\n".encode()) == len(cpus)


def test_the_hierarchies_are_found_in_the_mounts() -> None:
    assert parse_mounts(UNIFIED) == CgroupMounts(Hierarchy("/sys/fs/cgroup", "/"))
    assert parse_mounts(HYBRID) == CgroupMounts(
        unified=Hierarchy("/sys/fs/cgroup/unified", "/"),
        cpu=Hierarchy("/sys/fs/cgroup/cpu,cpuacct", "/"),
        cpuset=Hierarchy("/sys/fs/cgroup/cpuset", "/"),
    )
    assert parse_mounts(b"") == CgroupMounts()


def test_the_mount_that_shows_most_is_used() -> None:
    lines = HYBRID.splitlines(keepends=True)
    assert parse_mounts(b"".join(reversed(lines))) == parse_mounts(HYBRID)
    assert parse_mounts(lines[-1]).cpu == Hierarchy("/mnt/with blank", "/a")


def test_a_cgroup_has_its_directory_below_the_mount() -> None:
    host = Hierarchy("/sys/fs/cgroup", "/")
    assert host.directory_of("/") == "/sys/fs/cgroup"
    assert host.directory_of("/a/b") == "/sys/fs/cgroup/a/b"
    container = parse_mounts(CONTAINER).cpu
    assert container is not None
    assert container.directory_of("/docker/ab") == "/sys/fs/cgroup/cpu"
    assert container.directory_of("/docker/ab/x") == "/sys/fs/cgroup/cpu/x"
    for outside in ("/", "/docker", "/docker/abc", "/other", "/../b"):
        assert container.directory_of(outside) is None


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="reads /proc of Linux")
def test_the_mounts_of_this_machine_are_directories() -> None:
    mounts = CgroupMounts.find()
    found = [mount for mount in (mounts.unified, mounts.cpu, mounts.cpuset) if mount is not None]
    assert all(Path(mount.directory, "cgroup.procs").exists() for mount in found)
