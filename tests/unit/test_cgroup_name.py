from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpuwatch.cgroup_name import cgroup_name

ID = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/", "/"),
        ("/system.slice/nginx.service", "nginx.service"),
        ("/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service"),
        ("/user.slice/user-1000.slice/session-3.scope", "session-3.scope"),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/app-org.gnome.Terminal.slice/vte.scope", "vte.scope"),
        (r"/system.slice/dev-disk-by\x2duuid.swap", "dev-disk-by-uuid.swap"),
        (f"/docker/{ID}", "docker 0123456789ab"),
        (f"/system.slice/docker-{ID}.scope", "docker 0123456789ab"),
        (f"/machine.slice/libpod-{ID}.scope", "podman 0123456789ab"),
        (f"/machine.slice/libpod-{ID}.scope/container", "podman 0123456789ab"),
        (f"/kubepods.slice/kubepods-burstable.slice/cri-containerd-{ID}.scope", "containerd 0123456789ab"),
        (f"/kubepods.slice/kubepods-pod1.slice/crio-{ID}.scope", "cri-o 0123456789ab"),
        (f"/kubepods/burstable/pod6f0a/{ID}", "pod 0123456789ab"),
        (f"/actions_job/{ID}", "container 0123456789ab"),
        (f"/docker/{ID}/system.slice/cron.service", "cron.service"),
        ("/user.slice", "/user.slice"),
        ("/my/own", "/my/own"),
    ],
)
def test_units_and_containers_are_named_as_people_know_them(path: str, name: str) -> None:
    assert cgroup_name(path) == name


@given(st.text())
def test_any_path_has_a_name(path: str) -> None:
    assert isinstance(cgroup_name(path), str)
