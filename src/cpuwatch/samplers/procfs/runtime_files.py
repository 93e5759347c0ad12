"""Names of containers and pods from the files of container runtimes and of the kubelet.

No daemon is asked. What a file holds was written by whoever started the container, so names are made safe to show.

- ``/var/log/containers/POD_NAMESPACE_CONTAINER-ID.log``: links made by the kubelet
  (pkg/kubelet/kuberuntime/legacy.go). Every user may list them, and the next ones.
- ``/var/log/pods/NAMESPACE_POD_UID/``: directories made by the kubelet (``BuildPodLogsDirectory`` in
  pkg/kubelet/kuberuntime/helpers.go).
- ``containers/ID/config.v2.json``: Docker (moby, container/container.go). ``Name`` begins with a slash.
- ``overlay-containers/containers.json``: ``id`` and ``names`` of each container of Podman, Buildah and CRI-O
  (containers/storage, containers.go). ``volatile-containers.json`` beside it has those of ``podman run --rm``.
- ``ID/config.json``: the configuration of the OCI runtime. Its annotations have names from containerd
  (``io.kubernetes.cri.*``, internal/cri/annotations), nerdctl (``nerdctl/name``, pkg/labels) and CRI-O
  (``io.kubernetes.pod.name``, which is a label of the kubelet).
- ``/etc/podinfo/``: a volume of the downward API at the place that the documentation of Kubernetes uses, with the items
  ``name``, ``namespace`` and ``uid`` of the pod of this process.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path

import msgspec

from cpuwatch.text import printable, shortened, text_from_bytes

__all__ = ["RuntimeFiles"]

MAX_FILE_BYTES = 4_194_304
"""A configuration has 5 to 100 kB; a list of 1,000 containers has 1 MB."""

INITIAL_CGROUP_NAMESPACE = 0xEFFFFFFB
"""The inode of the namespace in which ``/`` is the cgroup of the machine (PROC_CGROUP_INIT_INO in the kernel)."""

_MAX_DIRECTORY_ENTRIES = 16_384
_MAX_NAME_CHARACTERS = 253
"""The longest name that Kubernetes allows."""

_COARSE_CLOCK_NS = 2_000_000_000
"""File systems round times of modification. A younger file may have changed again without a new time."""

_SANDBOX = "pause"
"""The container that holds the namespaces of a pod. It has no name in Kubernetes; its program is called pause."""

_CONTAINER_LOG = re.compile(rb"(?P<pod>[^_]+)_(?P<namespace>[^_]+)_(?P<container>[^_]+)-(?P<id>[0-9a-f]{64})\.log")
_POD_LOGS = re.compile(rb"(?P<namespace>[^_]+)_(?P<pod>[^_]+)_(?P<uid>[0-9a-f-]{32,36})")
_KUBERNETES_NAME = re.compile(r"k8s_(?P<container>[^_]+)_(?P<pod>[^_]+)_(?P<namespace>[^_]+)_[0-9a-f-]+_[0-9]+")
"""The names that CRI-O and cri-dockerd give to containers of Kubernetes."""

_STORAGE_DRIVERS = ("overlay", "vfs", "btrfs", "zfs")


class _DockerConfig(msgspec.Struct, gc=False):
    name: str = msgspec.field(name="Name", default="")


class _Stored(msgspec.Struct, gc=False):
    id: str = ""
    names: list[str] | None = None


class _Annotations(msgspec.Struct, gc=False):
    nerdctl: str = msgspec.field(name="nerdctl/name", default="")
    type: str = msgspec.field(name="io.kubernetes.cri.container-type", default="")
    container: str = msgspec.field(name="io.kubernetes.cri.container-name", default="")
    pod: str = msgspec.field(name="io.kubernetes.cri.sandbox-name", default="")
    namespace: str = msgspec.field(name="io.kubernetes.cri.sandbox-namespace", default="")
    crio_container: str = msgspec.field(name="io.kubernetes.container.name", default="")
    crio_pod: str = msgspec.field(name="io.kubernetes.pod.name", default="")
    crio_namespace: str = msgspec.field(name="io.kubernetes.pod.namespace", default="")


class _RuntimeConfig(msgspec.Struct, gc=False):
    annotations: _Annotations | None = None


_decode_docker_config = msgspec.json.Decoder(_DockerConfig).decode
_decode_stored = msgspec.json.Decoder(list[_Stored]).decode
_decode_runtime_config = msgspec.json.Decoder(_RuntimeConfig).decode


class RuntimeFiles:
    """Looks up names below ``root``.

    Lists and directories are read again when they changed, at most once after each :meth:`allow_rereading`.
    ``bytes_read`` grows by what was read and decoded.

    Containers without root privileges are found only in the home directory of this process's own user. Home directories
    of others can be on a network that hangs, or lead anywhere.
    """

    def __init__(self, root: Path, home: Path) -> None:
        self.bytes_read = 0
        users_data = root / home.relative_to(home.anchor) / ".local/share"
        self._docker = [root / "var/lib/docker/containers", users_data / "docker/containers"]
        tasks = "containerd/io.containerd.runtime.v2.task"
        self._tasks = [_Changing(root / run / tasks, self._namespaces) for run in ("run", "run/k3s")]
        stores = [root / "var/lib/containers/storage", users_data / "containers/storage"]
        self._stored = [
            _Changing(store / f"{driver}-containers/{name}.json", self._stored_names)
            for store in stores
            for driver in _STORAGE_DRIVERS
            for name in ("containers", "volatile-containers")
        ]
        self._crio = [root / f"run/containers/storage/{driver}-containers" for driver in _STORAGE_DRIVERS]
        self._container_logs = _Changing(root / "var/log/containers", self._names_of_container_logs)
        self._pod_logs = _Changing(root / "var/log/pods", self._names_of_pod_logs)
        self._cgroup_namespace = root / "proc/self/ns/cgroup"
        self._own_pod = root / "etc/podinfo"

    def allow_rereading(self) -> None:
        """Let the next lookups see changes of lists and directories."""
        for file in (*self._tasks, *self._stored, self._container_logs, self._pod_logs):
            file.may_be_outdated = True

    def container_name(self, container_id: str) -> str | None:
        """The name of a container, ``namespace/pod/container`` if Kubernetes runs it."""
        if name := self._container_logs.names().get(container_id):
            return name
        for directory in self._docker:
            if name := self._decoded(f"{directory}/{container_id}/config.v2.json", _docker_name):
                return name
        for stored in self._stored:
            if name := stored.names().get(container_id):
                return name
        for bundle in chain.from_iterable(tasks.names() for tasks in self._tasks):
            if name := self._decoded(f"{bundle}/{container_id}/config.json", _annotated_name):
                return name
        for directory in self._crio:
            if name := self._decoded(f"{directory}/{container_id}/userdata/config.json", _annotated_name):
                return name
        return None

    def pod_name(self, uid: str) -> str | None:
        """``namespace/pod`` of the pod with this UID."""
        return self._pod_logs.names().get(uid) or self._name_of_own_pod(uid)

    def name_of_root(self) -> str | None:
        """``namespace/pod`` of the pod of this process, if ``/`` is its cgroup.

        In a cgroup namespace, as containers have with cgroup v2, ``/`` is the cgroup of the container
        (cgroup_namespaces(7)).
        """
        try:
            is_container = self._cgroup_namespace.stat().st_ino != INITIAL_CGROUP_NAMESPACE
        except OSError:
            return None
        return self._name_of_own_pod() if is_container else None

    def _name_of_own_pod(self, uid: str | None = None) -> str | None:
        if uid is not None and self._read(self._own_pod / "uid").strip() != uid.encode():
            return None
        namespace, pod = (text_from_bytes(self._read(self._own_pod / item).strip()) for item in ("namespace", "name"))
        return _joined(namespace, pod) if namespace and pod else None

    def _stored_names(self, path: Path) -> dict[str, str]:
        data = self._read(path)
        try:
            stored = _decode_stored(data)
        except (ValueError, RecursionError):
            return {}
        return {container.id: _name_as_given(container.names[0]) for container in stored if container.names}

    def _names_of_container_logs(self, path: Path) -> dict[str, str]:
        matches = filter(None, map(_CONTAINER_LOG.fullmatch, self._entries(path)))
        return {
            match["id"].decode(): _joined(*map(text_from_bytes, match.group("namespace", "pod", "container")))
            for match in matches
        }

    def _names_of_pod_logs(self, path: Path) -> dict[str, str]:
        matches = filter(None, map(_POD_LOGS.fullmatch, self._entries(path)))
        return {
            match["uid"].decode(): _joined(*map(text_from_bytes, match.group("namespace", "pod"))) for match in matches
        }

    def _namespaces(self, path: Path) -> dict[str, str]:
        """The directories of containerd's namespaces: ``k8s.io``, ``moby``, ``default`` and what users add."""
        return {f"{path}/{os.fsdecode(name)}": "" for name in self._entries(path)}

    def _entries(self, path: Path) -> Iterator[bytes]:
        with os.scandir(os.fsencode(path)) as entries:
            for entry in islice(entries, _MAX_DIRECTORY_ENTRIES):
                self.bytes_read += len(entry.name)
                yield entry.name

    def _decoded(self, path: str, decode: Callable[[bytes], str | None]) -> str | None:
        data = self._read(path)
        try:
            return decode(data) if data else None
        except (ValueError, RecursionError):
            return None

    def _read(self, path: str | Path) -> bytes:
        """The content of a regular file; empty if there is none or it is too large."""
        try:
            # Opening a FIFO would wait for its writer.
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError:
            return b""
        with os.fdopen(fd, "rb", buffering=0) as file:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FILE_BYTES:
                return b""
            try:
                data = file.read(MAX_FILE_BYTES) or b""
            except OSError:
                return b""
        self.bytes_read += len(data)
        return data


class _Changing:
    """Names from one file or directory, read again if its status has changed."""

    def __init__(self, path: Path, read: Callable[[Path], dict[str, str]]) -> None:
        self.may_be_outdated = True
        self._path = path
        self._read = read
        self._version: tuple[int, int, int] | None = None
        self._names: dict[str, str] = {}

    def names(self) -> dict[str, str]:
        if self.may_be_outdated:
            self.may_be_outdated = False
            try:
                status = os.stat(self._path)
                version = (status.st_ino, status.st_size, status.st_mtime_ns)
                if version != self._version:
                    self._names = self._read(self._path)
                    is_settled = time.time_ns() - status.st_mtime_ns > _COARSE_CLOCK_NS
                    self._version = version if is_settled else None
            except OSError:
                self._version, self._names = None, {}
        return self._names


def _docker_name(data: bytes) -> str | None:
    name = _decode_docker_config(data).name.removeprefix("/")
    return _name_as_given(name) if name else None


def _annotated_name(data: bytes) -> str | None:
    annotations = _decode_runtime_config(data).annotations
    if annotations is None:
        return None
    if annotations.namespace and annotations.pod:
        container = _SANDBOX if annotations.type == "sandbox" else annotations.container
        return _joined(annotations.namespace, annotations.pod, container) if container else None
    if annotations.crio_namespace and annotations.crio_pod and annotations.crio_container:
        return _kubernetes_name(annotations.crio_namespace, annotations.crio_pod, annotations.crio_container)
    return _joined(annotations.nerdctl) if annotations.nerdctl else None


def _name_as_given(name: str) -> str:
    match = _KUBERNETES_NAME.fullmatch(name)
    return _joined(name) if match is None else _kubernetes_name(match["namespace"], match["pod"], match["container"])


def _kubernetes_name(namespace: str, pod: str, container: str) -> str:
    return _joined(namespace, pod, _SANDBOX if container == "POD" else container)


def _joined(*parts: str) -> str:
    # A part with a slash would look like two.
    return "/".join(shortened(printable(part).replace("/", r"\x2f"), _MAX_NAME_CHARACTERS) for part in parts)
