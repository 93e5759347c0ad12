"""Which cgroup a process is in, from ``/proc/PID/cgroup``. Pure (cgroups(7))."""

from __future__ import annotations

from cpuwatch.samplers import _kernel_text

__all__ = ["parse_cgroup"]

_PREFERRED_V1 = ("cpu", "cpuacct", "name=systemd")


def parse_cgroup(data: bytes) -> str | None:
    """The path of the process's cgroup; None if the file names none.

    That of the unified hierarchy (``0::/path``). Where version 1 does the accounting the unified one is empty or at
    its root; then the one of the cpu controller, or of systemd.
    """
    paths: dict[str, str] = {}
    # A path may hold any character but a newline, which the kernel refuses in the name of a cgroup.
    for line in data.removesuffix(b"\n").split(b"\n") if data else ():
        _, controllers, path = _kernel_text.from_bytes(line).split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path
    ranked = [paths[name] for name in ("", *_PREFERRED_V1) if name in paths]
    return next((path for path in ranked if path != "/"), ranked[0] if ranked else None)
