"""The name of a cgroup that people know: a systemd unit or a container. Pure."""

from __future__ import annotations

import re

__all__ = ["cgroup_name"]

_CONTAINER = re.compile(r"(?:(?P<runtime>[a-z][a-z-]*?)-)?(?P<id>[0-9a-f]{64})(?:\.scope)?")
"""As Docker, Podman, containerd and CRI-O name their cgroups, below a folder or with a prefix of their own."""

_RUNTIMES = {"libpod": "podman", "cri-containerd": "containerd", "crio": "cri-o"}

_UNIT = re.compile(r".+\.(?:service|scope|socket|mount|swap|timer)")

_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")

_SHOWN_ID_DIGITS = 12
"""As `docker ps` shows it."""


def cgroup_name(path: str) -> str:
    r"""``nginx.service`` of ``/system.slice/nginx.service``, ``docker 0123456789ab`` of ``/docker/0123456789ab...``.

    The innermost unit or container of the path counts; systemd's escapes (``\x2d``, systemd-escape(1)) are undone. A
    path with neither stays as it is; ``/`` is the root cgroup.
    """
    segments = path.split("/")
    for index in range(len(segments) - 1, 0, -1):
        container = _CONTAINER.fullmatch(segments[index])
        if container:
            runtime = container["runtime"] or _of_folder(segments[index - 1])
            return f"{_RUNTIMES.get(runtime, runtime)} {container['id'][:_SHOWN_ID_DIGITS]}"
        if _UNIT.fullmatch(segments[index]):
            return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), segments[index])
    return path


def _of_folder(name: str) -> str:
    if name in {"docker", "lxc", "podman"}:
        return name
    return "pod" if name.startswith(("kubepods", "pod")) else "container"
