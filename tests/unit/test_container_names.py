"""The fixtures have the layouts of real files; that of Podman was written by Podman 4.3."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cpuwatch.samplers.procfs import container_names, runtime_files
from cpuwatch.samplers.procfs.container_names import BURST_SECONDS, NAME_TTL_SECONDS, ContainerNames

ID = "0123456789abcdef" * 4
OTHER_ID = "fedcba9876543210" * 4
UID = "6e1cde22-9a6f-4b4e-8f0c-0d7f1a2b3c4d"
STATIC_UID = "0123456789abcdef0123456789abcdef"
DOCKER = f"/system.slice/docker-{ID}.scope"
PODMAN = f"/machine.slice/libpod-{ID}.scope"
POD = f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID.replace('-', '_')}.slice"
CONTAINERD = f"{POD}/cri-containerd-{ID}.scope"
CRIO = f"{POD}/crio-{ID}.scope"

PODMAN_STORE = [
    {
        "id": OTHER_ID,
        "names": ["db"],
        "image": "06b17147113611ef88543ebd7a45f8ae8aaa658ce7c459a30e606e562f4e3f3f",
        "layer": "4e9216b3538074ecab7002087f3956b0bf6007a913e17b1aa1b3d8336344b23a",
    },
    {
        "id": ID,
        "names": ["nginx-test"],
        "image": "06b17147113611ef88543ebd7a45f8ae8aaa658ce7c459a30e606e562f4e3f3f",
        "layer": "4e9216b3538074ecab7002087f3956b0bf6007a913e17b1aa1b3d8336344b23a",
        "metadata": '{"image-name":"localhost/scratchy:latest","name":"nginx-test","created-at":1795730146}',
        "created": "2026-11-26T21:55:46.29171698Z",
        "flags": {"MountLabel": "", "ProcessLabel": ""},
    },
    {"id": "ab" * 32, "image": "", "layer": ""},
]


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def names(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> ContainerNames:
    monkeypatch.setenv("HOME", "/home/ann")
    return ContainerNames(tmp_path, seconds=clock)


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def docker_config(root: Path, name: str, container_id: str = ID) -> None:
    write(
        root / f"var/lib/docker/containers/{container_id}/config.v2.json",
        {
            "StreamConfig": {},
            "State": {"Running": True, "Pid": 1234},
            "ID": container_id,
            "Args": ["-g", "daemon off;"],
            "Config": {"Hostname": container_id[:12], "Labels": {"Name": "not this"}},
            "Image": "sha256:605c77e624ddb75e6110f997c58876baa13f8754486b461117934b24a9dc3a85",
            "Name": name,
            "Driver": "overlay2",
        },
    )


def runtime_config(path: Path, annotations: dict[str, str]) -> None:
    write(
        path,
        {"ociVersion": "1.1.0", "process": {"args": ["nginx"]}, "annotations": annotations, "linux": {"seccomp": {}}},
    )


def containerd_task(root: Path, annotations: dict[str, str], namespace: str = "k8s.io", run: str = "run") -> None:
    runtime_config(root / run / f"containerd/io.containerd.runtime.v2.task/{namespace}/{ID}/config.json", annotations)


CONTAINERD_ANNOTATIONS = {
    "io.kubernetes.cri.container-name": "nginx",
    "io.kubernetes.cri.container-type": "container",
    "io.kubernetes.cri.image-name": "docker.io/library/nginx:latest",
    "io.kubernetes.cri.sandbox-id": OTHER_ID,
    "io.kubernetes.cri.sandbox-name": "web-7c686947cc-bnbq9",
    "io.kubernetes.cri.sandbox-namespace": "default",
    "io.kubernetes.cri.sandbox-uid": UID,
}
CRIO_ANNOTATIONS = {
    "io.container.manager": "cri-o",
    "io.kubernetes.container.name": "nginx",
    "io.kubernetes.cri-o.ContainerType": "container",
    "io.kubernetes.pod.name": "web-7c686947cc-bnbq9",
    "io.kubernetes.pod.namespace": "default",
    "io.kubernetes.pod.uid": UID,
}


def container_log(root: Path, pod: str, namespace: str, container: str) -> None:
    directory = root / "var/log/containers"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{pod}_{namespace}_{container}-{ID}.log").symlink_to(
        f"/var/log/pods/{namespace}_{pod}_{UID}/{container}/0.log"
    )


def crio_store(root: Path) -> None:
    name = f"k8s_nginx_web-7c686947cc-bnbq9_default_{UID}_0"
    write(root / "var/lib/containers/storage/overlay-containers/containers.json", [{"id": ID, "names": [name]}])


STORES = "storage/overlay-containers"
WRITERS: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "docker": (lambda root: docker_config(root, "/nginx"), DOCKER, "nginx"),
    "docker with the cgroupfs driver": (lambda root: docker_config(root, "/nginx"), f"/docker/{ID}", "nginx"),
    "docker without root privileges": (
        lambda root: write(
            root / f"home/ann/.local/share/docker/containers/{ID}/config.v2.json", {"Name": "/nginx", "ID": ID}
        ),
        f"/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{ID}.scope",
        "nginx",
    ),
    "cri-dockerd": (
        lambda root: docker_config(root, f"/k8s_nginx_web-0_default_{UID}_2"),
        f"{POD}/docker-{ID}.scope",
        "default/web-0/nginx",
    ),
    "cri-dockerd, the pod's own container": (
        lambda root: docker_config(root, f"/k8s_POD_web-0_default_{UID}_0"),
        f"{POD}/docker-{ID}.scope",
        "default/web-0/pause",
    ),
    "podman": (
        lambda root: write(root / f"var/lib/containers/{STORES}/containers.json", PODMAN_STORE),
        PODMAN,
        "nginx-test",
    ),
    "podman run --rm": (
        lambda root: write(root / f"var/lib/containers/{STORES}/volatile-containers.json", PODMAN_STORE),
        PODMAN,
        "nginx-test",
    ),
    "podman without root privileges": (
        lambda root: write(root / f"home/ann/.local/share/containers/{STORES}/containers.json", PODMAN_STORE),
        f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope",
        "nginx-test",
    ),
    "podman with the storage driver vfs": (
        lambda root: write(root / "var/lib/containers/storage/vfs-containers/containers.json", PODMAN_STORE),
        PODMAN,
        "nginx-test",
    ),
    "containerd": (
        lambda root: containerd_task(root, CONTAINERD_ANNOTATIONS),
        CONTAINERD,
        "default/web-7c686947cc-bnbq9/nginx",
    ),
    "containerd of k3s": (
        lambda root: containerd_task(root, CONTAINERD_ANNOTATIONS, run="run/k3s"),
        CONTAINERD,
        "default/web-7c686947cc-bnbq9/nginx",
    ),
    "containerd, the pod's own container": (
        lambda root: containerd_task(
            root,
            {
                "io.kubernetes.cri.container-type": "sandbox",
                "io.kubernetes.cri.sandbox-name": "web-0",
                "io.kubernetes.cri.sandbox-namespace": "default",
            },
        ),
        CONTAINERD,
        "default/web-0/pause",
    ),
    "nerdctl": (
        lambda root: containerd_task(root, {"nerdctl/name": "nginx", "nerdctl/namespace": "shop"}, namespace="shop"),
        f"/system.slice/nerdctl-{ID}.scope",
        "nginx",
    ),
    "cri-o, list": (crio_store, CRIO, "default/web-7c686947cc-bnbq9/nginx"),
    "cri-o, annotations": (
        lambda root: runtime_config(root / f"run/containers/{STORES}/{ID}/userdata/config.json", CRIO_ANNOTATIONS),
        CRIO,
        "default/web-7c686947cc-bnbq9/nginx",
    ),
    "kubelet's links": (
        lambda root: container_log(root, "web-0", "default", "nginx"),
        CONTAINERD,
        "default/web-0/nginx",
    ),
    "kubelet's links, cgroupfs driver": (
        lambda root: container_log(root, "coredns-5d78c9869d-abcde", "kube-system", "core-dns"),
        f"/kubepods/burstable/pod{UID}/{ID}",
        "kube-system/coredns-5d78c9869d-abcde/core-dns",
    ),
    "kubelet's directories": (
        lambda root: (root / f"var/log/pods/default_web-0_{UID}/nginx").mkdir(parents=True),
        POD,
        "default/web-0",
    ),
    "kubelet's directories, cgroupfs driver": (
        lambda root: (root / f"var/log/pods/default_web-0_{UID}/nginx").mkdir(parents=True),
        f"/kubepods/pod{UID}",
        "default/web-0",
    ),
    "kubelet's directories, a static pod": (
        lambda root: (root / f"var/log/pods/kube-system_etcd-node1_{STATIC_UID}").mkdir(parents=True),
        f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{STATIC_UID}.slice",
        "kube-system/etcd-node1",
    ),
}


def pod_info(root: Path, uid: str) -> None:
    for item, value in {"name": "web-0", "namespace": "default", "uid": uid}.items():
        # As the kubelet writes a volume: every item is a link into the newest directory.
        write(root / "etc/podinfo/..2026_11_26" / item, value)
        (root / "etc/podinfo" / item).symlink_to(f"..2026_11_26/{item}")


@pytest.mark.parametrize("case", WRITERS)
def test_a_container_or_pod_has_its_name_from_the_files_of_its_runtime(
    case: str, tmp_path: Path, names: ContainerNames
) -> None:
    write_files, path, name = WRITERS[case]
    write_files(tmp_path)
    assert names.name_of(path) == name


def test_the_downward_api_names_only_the_pod_of_this_process(tmp_path: Path, names: ContainerNames) -> None:
    pod_info(tmp_path, UID)
    assert names.name_of(POD) == "default/web-0"
    assert names.name_of(f"/kubepods/pod{UID[:-1]}0") is None


def test_in_a_cgroup_namespace_the_downward_api_names_the_root(
    tmp_path: Path, clock: Clock, names: ContainerNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    namespace = tmp_path / "proc/self/ns/cgroup"
    pod_info(tmp_path, UID)
    assert names.name_of("/") is None
    write(namespace, "")
    clock.seconds += NAME_TTL_SECONDS
    assert names.name_of("/") == "default/web-0"
    monkeypatch.setattr(runtime_files, "INITIAL_CGROUP_NAMESPACE", namespace.stat().st_ino)
    clock.seconds += NAME_TTL_SECONDS
    assert names.name_of("/") is None


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "/system.slice/nginx.service",
        "/kubepods.slice/kubepods-burstable.slice",
        f"{PODMAN}/container",
        f"/machine.slice/libpod-conmon-{ID}.scope",
        f"/docker/{ID[:-1]}",
        f"/docker/{ID}\n",
        f"/other/pod{UID}",
    ],
)
def test_other_cgroups_have_no_name(path: str, tmp_path: Path, names: ContainerNames) -> None:
    docker_config(tmp_path, "/nginx")
    write(tmp_path / f"var/lib/containers/{STORES}/containers.json", PODMAN_STORE)
    (tmp_path / f"var/log/pods/default_web-0_{UID}").mkdir(parents=True)
    assert names.name_of(path) is None


def test_without_files_there_is_no_name(names: ContainerNames) -> None:
    assert [names.name_of(path) for path in (DOCKER, PODMAN, POD, CONTAINERD)] == [None] * 4


def test_a_name_that_comes_later_is_found_within_a_minute(tmp_path: Path, names: ContainerNames, clock: Clock) -> None:
    waited = []
    for delay in (1, 10, 100):
        began = clock.seconds
        while clock.seconds < began + delay:
            names.name_of(DOCKER)
            clock.seconds += 1
        docker_config(tmp_path, "/nginx")
        changed = clock.seconds
        while names.name_of(DOCKER) is None:
            clock.seconds += 1
        waited.append(clock.seconds - changed)
        (tmp_path / f"var/lib/docker/containers/{ID}/config.v2.json").unlink()
        while names.name_of(DOCKER) is not None:
            clock.seconds += 1
    assert waited[0] <= 2
    assert max(waited) <= NAME_TTL_SECONDS


def test_a_renamed_container_has_its_new_name_within_a_minute(
    tmp_path: Path, names: ContainerNames, clock: Clock
) -> None:
    docker_config(tmp_path, "/old")
    write(tmp_path / f"var/lib/containers/{STORES}/containers.json", PODMAN_STORE)
    other = f"/machine.slice/libpod-{OTHER_ID}.scope"
    assert [names.name_of(DOCKER), names.name_of(other)] == ["old", "db"]
    docker_config(tmp_path, "/new")
    write(tmp_path / f"var/lib/containers/{STORES}/containers.json", [{"id": OTHER_ID, "names": ["database"]}])
    assert [names.name_of(DOCKER), names.name_of(other)] == ["old", "db"]
    clock.seconds += NAME_TTL_SECONDS
    assert [names.name_of(DOCKER), names.name_of(other)] == ["new", "database"]


def test_a_list_is_read_again_only_if_it_changed(
    tmp_path: Path, names: ContainerNames, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / f"var/lib/containers/{STORES}/containers.json"
    write(store, PODMAN_STORE)
    os.utime(store, (1_000_000, 1_000_000))
    assert names.name_of(PODMAN) == "nginx-test"
    monkeypatch.setattr(runtime_files, "_decode_stored", lambda _: pytest.fail("was read again"))
    clock.seconds += NAME_TTL_SECONDS
    assert names.name_of(PODMAN) == "nginx-test"


def test_a_thousand_new_containers_are_looked_up_over_several_readings(
    tmp_path: Path, names: ContainerNames, clock: Clock
) -> None:
    paths = [f"/docker/{number:064x}" for number in range(1000)]
    for number in range(1000):
        docker_config(tmp_path, f"/c{number}", f"{number:064x}")
    found = [sum(names.name_of(path) is not None for path in paths)]
    while found[-1] < 1000:
        clock.seconds += 1
        found.append(sum(names.name_of(path) is not None for path in paths))
    assert found[:3] == [container_names.MAX_LOOKUPS_PER_BURST * count for count in (1, 2, 3)]


def test_large_files_are_read_over_several_readings(tmp_path: Path, names: ContainerNames, clock: Clock) -> None:
    paths = [f"/docker/{number:064x}" for number in range(4)]
    for number in range(4):
        write(
            tmp_path / f"var/lib/docker/containers/{number:064x}/config.v2.json",
            {"Args": ["x" * container_names.MAX_BYTES_PER_BURST], "Name": f"/c{number}"},
        )
    assert [names.name_of(path) for path in paths] == ["c0", None, None, None]
    clock.seconds += BURST_SECONDS
    assert [names.name_of(path) for path in paths] == ["c0", "c1", None, None]


def test_containers_that_vanished_are_forgotten(
    tmp_path: Path, names: ContainerNames, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container_names, "MAX_REMEMBERED", 2)
    docker_config(tmp_path, "/nginx")
    gone = [f"/docker/{number:064x}" for number in range(3)]
    for path in gone:
        names.name_of(path)
    assert names.name_of(DOCKER) is None
    clock.seconds += NAME_TTL_SECONDS
    assert names.name_of(DOCKER) == "nginx"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("/a\x1b[31mb\n", r"a\x1b[31mb\n"),
        ("/a/b", r"a\x2fb"),
        ("/x\u202ey", r"x\u202ey"),
        ("/" + "x" * 1000, "x" * 253 + "..."),
        ("/Bücher", "Bücher"),
    ],
)
def test_names_are_safe_to_show(given: str, shown: str, tmp_path: Path, names: ContainerNames) -> None:
    docker_config(tmp_path, given)
    assert names.name_of(DOCKER) == shown


def test_names_of_directories_are_safe_to_show(tmp_path: Path, names: ContainerNames) -> None:
    (tmp_path / "var/log/pods").mkdir(parents=True)
    directory = os.fsencode(tmp_path) + b"/var/log/pods/a\x1b_b\xff_" + UID.encode()
    Path(os.fsdecode(directory)).mkdir()
    assert names.name_of(POD) == r"a\x1b/b\xff"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'{"Name": null}',
        b'{"Name": ""}',
        b'{"Name": "/"}',
        b'{"Name": 7}',
        b'{"Name": "\xff"}',
        b'{"Name": "\\ud800"}',
        b'{"Config": ' + b"[" * 1_000_000,
        b'{"annotations": {"nerdctl/name": []}}',
        b'{"annotations": null}',
        b'[{"id": 1}]',
        b"\0" * 100,
    ],
)
def test_a_damaged_file_has_no_name(content: bytes, tmp_path: Path, names: ContainerNames) -> None:
    containerd_task(tmp_path, {})
    docker_config(tmp_path, "")
    runtime_config(tmp_path / f"run/containers/{STORES}/{ID}/userdata/config.json", {})
    write(tmp_path / f"var/lib/containers/{STORES}/containers.json", [])
    files = [path for path in tmp_path.rglob("*.json") if path.is_file()]
    assert len(files) == 4
    for path in files:
        path.write_bytes(content)
    assert names.name_of(DOCKER) is None


def test_a_file_that_is_too_large_has_no_name(
    tmp_path: Path, names: ContainerNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime_files, "MAX_FILE_BYTES", 1000)
    write(tmp_path / f"var/lib/docker/containers/{ID}/config.v2.json", {"Name": "/nginx", "Args": ["x" * 1000]})
    assert names.name_of(DOCKER) is None


def test_only_regular_files_are_read(tmp_path: Path, names: ContainerNames) -> None:
    directory = tmp_path / f"var/lib/docker/containers/{ID}"
    directory.mkdir(parents=True)
    os.mkfifo(directory / "config.v2.json")
    write(tmp_path / f"run/containers/{STORES}/{ID}/userdata/x", "")
    (tmp_path / f"run/containers/{STORES}/{ID}/userdata/config.json").symlink_to("/dev/zero")
    (tmp_path / f"var/lib/containers/{STORES}/containers.json").mkdir(parents=True)
    (tmp_path / "var/log").mkdir(parents=True)
    os.mkfifo(tmp_path / "var/log/pods")
    assert [names.name_of(DOCKER), names.name_of(POD)] == [None, None]


def test_the_list_of_one_container_does_not_hide_that_of_another(tmp_path: Path, names: ContainerNames) -> None:
    write(tmp_path / f"var/lib/containers/{STORES}/containers.json", PODMAN_STORE)
    docker_config(tmp_path, "/web", "11" * 32)
    assert names.name_of(PODMAN) == "nginx-test"
    assert names.name_of(f"/docker/{'11' * 32}") == "web"
