from __future__ import annotations

import pytest

from cpuwatch.samplers.procfs.cgroup import parse_cgroup


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (b"0::/system.slice/cron.service\n", "/system.slice/cron.service"),
        (b"0::/\n", "/"),
        (b"9:name=systemd:/a\n2:cpuacct:/b\n1:cpu:/c\n0::/\n", "/c"),
        (b"4:cpu,cpuacct:/docker/x\n1:name=systemd:/docker/x\n", "/docker/x"),
        (b"4:cpu,cpuacct:/\n1:name=systemd:/user.slice/x\n", "/user.slice/x"),
        (b"4:memory:/only\n", None),
        (b"0::/with:colon and \xff\n", r"/with:colon and \xff"),
        ("0::/line\u2028separator\n".encode(), "/line\u2028separator"),
        (b"0::/gone (deleted)\n", "/gone (deleted)"),
        (b"", None),
    ],
)
def test_the_accounting_cgroup_is_found(text: bytes, path: str | None) -> None:
    assert parse_cgroup(text).path == path
