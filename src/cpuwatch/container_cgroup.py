"""Recognizes the cgroups of containers and of Kubernetes pods by their paths. Pure.

The page has the same rules in ``web/static/model/unit_name.js``; ``tests/cgroup_names.json`` tests both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

__all__ = ["ContainerCgroup", "container_of", "pod_uid_of"]

_CONTAINER = re.compile(r"(?:(?P<runtime>[a-z][a-z-]*?)-)?(?P<id>[0-9a-f]{64})(?:\.scope)?")
"""The cgroups of Docker, Podman, containerd and CRI-O: in a directory for containers, or with a prefix."""

_RUNTIMES = {"libpod": "podman", "cri-containerd": "containerd", "crio": "cri-o"}
_DIRECTORIES_NAMED_LIKE_A_RUNTIME = {"docker", "lxc", "podman"}

_UID = r"[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32}"
"""A UUID, or the hash of the manifest if it is a static pod. The systemd driver writes ``_`` for ``-``, since ``-``
separates the parts of a slice's name (systemd.slice(5))."""

_POD_SLICE = re.compile(rf"(?:[\w.]+-)*kubepods(?:-besteffort|-burstable)?-pod(?P<uid>{_UID})\.slice", re.ASCII)
"""With the systemd driver of the kubelet. kind sets a cgroup root, which comes first: ``kubelet-kubepods-pod...``."""

_POD_DIRECTORY = re.compile(rf"pod(?P<uid>{_UID})")
_PODS_DIRECTORIES = {"kubepods", "burstable", "besteffort"}
"""With the cgroupfs driver: ``kubepods/pod...`` for guaranteed pods, ``kubepods/burstable/pod...`` for others."""


class ContainerCgroup(Struct, frozen=True, gc=False):
    """The cgroup of a container: which runtime made it, ``container`` if the path does not tell, and its ID."""

    runtime: str
    id: str


def container_of(segments: Sequence[str]) -> ContainerCgroup | None:
    """The container whose cgroup this is, by the segments of the path; None if it is no container's."""
    match = _CONTAINER.fullmatch(segments[-1])
    if match is None:
        return None
    runtime = match["runtime"]
    if runtime is None:
        parent = segments[-2] if len(segments) > 1 else ""
        runtime = parent if parent in _DIRECTORIES_NAMED_LIKE_A_RUNTIME else "container"
    return ContainerCgroup(_RUNTIMES.get(runtime, runtime), match["id"])


def pod_uid_of(segments: Sequence[str]) -> str | None:
    """The UID of the Kubernetes pod whose cgroup this is, as the API server writes it; None if it is no pod's."""
    match = _POD_SLICE.fullmatch(segments[-1])
    if match is None and len(segments) > 1 and segments[-2] in _PODS_DIRECTORIES:
        match = _POD_DIRECTORY.fullmatch(segments[-1])
    return None if match is None else match["uid"].replace("_", "-")
