from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpuwatch.samplers.procfs.visibility import (
    ProcAccess,
    Visibility,
    hiding_reasons,
    mount_options,
    parse_mount_options,
)

DEVICE = os.makedev(0, 39)

MOUNTINFO = b"""\
22 27 0:21 / /proc rw,relatime shared:5 - proc proc rw
27 1 254:0 / / rw,noatime master:1 propagate_from:2 - ext4 /dev/root rw,errors=continue
63 45 0:39 / /proc rw,relatime - proc proc rw,gid=23,hidepid=invisible
64 45 0:40 / /mnt/with\\040blank\\040-\\040dash rw - tmpfs none rw,size=4k
"""


def access(*groups: int, may_trace_all: bool = False, init: str = "absent", in_container: bool = False) -> ProcAccess:
    return ProcAccess(frozenset(groups), may_trace_all, init, in_container)


def test_mount_options_are_found_by_device() -> None:
    assert parse_mount_options(MOUNTINFO, DEVICE) == {"rw": "", "gid": "23", "hidepid": "invisible"}
    assert parse_mount_options(MOUNTINFO, os.makedev(0, 21)) == {"rw": ""}
    assert parse_mount_options(MOUNTINFO, os.makedev(254, 0)) == {"rw": "", "errors": "continue"}
    assert parse_mount_options(MOUNTINFO, os.makedev(0, 40)) == {"rw": "", "size": "4k"}
    assert parse_mount_options(MOUNTINFO, os.makedev(9, 9)) == {}


@given(st.binary() | st.lists(st.sampled_from(MOUNTINFO.split()), max_size=30).map(b" ".join))
def test_any_mountinfo_is_parsed(data: bytes) -> None:
    assert all(isinstance(value, str) for value in parse_mount_options(data, DEVICE).values())


def test_the_proc_of_this_machine_is_found() -> None:
    assert "rw" in mount_options(Path("/proc")) or "ro" in mount_options(Path("/proc"))


@pytest.mark.parametrize(
    ("options", "who", "expected"),
    [
        ({"hidepid": "2"}, access(init="absent"), "mounted with hidepid=2, so processes of other users are not shown"),
        ({"hidepid": "invisible"}, access(init="absent"), "hidepid=2"),
        ({"hidepid": "4"}, access(0, init="absent"), "hidepid=4"),
        ({"hidepid": "ptraceable"}, access(0, init="absent"), "hidepid=4"),
        ({"hidepid": "1"}, access(init="denied"), "hidepid=1, so processes of other users cannot be read"),
        ({"hidepid": "noaccess"}, access(init="denied"), "hidepid=1"),
        ({"hidepid": "2", "gid": "23"}, access(init="absent"), "or in group 23"),
        # Process 1 is visible to its own user in any case, so the rule of the kernel decides.
        ({"hidepid": "2"}, access(1000, init="own"), "hidepid=2"),
        ({"hidepid": "2", "gid": "23"}, access(0, init="own"), "hidepid=2"),
        ({"hidepid": "4", "gid": "23"}, access(23, init="own"), "hidepid=4"),
        # Something other than hidepid=, such as a security module.
        ({}, access(0, init="absent"), "does not show process 1"),
        ({}, access(0, init="own", in_container=True), "outside this PID namespace"),
    ],
)
def test_hidden_processes_are_explained(options: dict[str, str], who: ProcAccess, expected: str) -> None:
    (reason,) = hiding_reasons(options, who)
    assert expected in reason


@pytest.mark.parametrize(
    ("options", "who"),
    [
        ({}, access(init="own")),
        ({"hidepid": "off"}, access(init="own")),
        ({"hidepid": "0"}, access(init="visible")),
        ({"hidepid": "2"}, access(init="visible")),
        ({"hidepid": "2"}, access(0, init="own")),
        ({"hidepid": "2", "gid": "23"}, access(23, init="own")),
        ({"hidepid": "4"}, access(may_trace_all=True, init="own")),
        # One unreadable process proves nothing about others; it is counted as unreadable.
        ({}, access(init="denied")),
    ],
)
def test_there_is_no_reason_if_everything_is_visible(options: dict[str, str], who: ProcAccess) -> None:
    assert hiding_reasons(options, who) == []


def test_both_reasons_are_reported() -> None:
    assert len(hiding_reasons({"hidepid": "2"}, access(init="absent", in_container=True))) == 2


def make_proc(root: Path, hidepid: str) -> None:
    device = os.stat(root).st_dev
    (root / "self/ns").mkdir(parents=True)
    (root / "self/ns/pid").symlink_to("pid:[4026531836]")
    (root / "self/status").write_text(f"NSpid:\t{os.getpid()}\nCapEff:\t0000000000000000\n")
    (root / "self/mountinfo").write_text(
        f"1 2 {os.major(device)}:{os.minor(device)} / /proc rw - proc proc rw,hidepid={hidepid}\n"
    )


def test_visibility_is_checked_again_in_every_16th_reading(tmp_path: Path) -> None:
    make_proc(tmp_path, "2")
    visibility = Visibility(tmp_path)
    assert len(visibility.hidden()) == 1
    (tmp_path / "1").mkdir()
    (tmp_path / "1/stat").touch()
    (tmp_path / "self/mountinfo").write_text("")
    found = [visibility.hidden() for _ in range(16)]
    assert len(found[0]) == 1
    assert found[-1] == []


def test_an_unreadable_proc_keeps_the_last_result(tmp_path: Path) -> None:
    make_proc(tmp_path, "2")
    visibility = Visibility(tmp_path)
    known = visibility.hidden()
    (tmp_path / "self/status").unlink()
    assert [visibility.hidden() for _ in range(40)] == [known] * 40
    assert Visibility(tmp_path / "none").hidden() == []
