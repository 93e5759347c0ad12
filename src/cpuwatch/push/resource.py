"""What describes this host in every request, after the semantic conventions for resources."""

from __future__ import annotations

from pathlib import Path

from cpuwatch.model import Host

__all__ = ["SERVICE_NAME", "host_resource"]

SERVICE_NAME = "cpuwatch"
_MACHINE_ID = Path("/etc/machine-id")


def host_resource(host: Host, machine_id: Path = _MACHINE_ID) -> dict[str, str]:
    """The attributes of this host.

    ``host.id`` is the machine ID (machine-id(5)), as the conventions say, or the ID of this boot without one.
    ``service.instance.id`` is the name of the host: it becomes the label ``instance`` of every series, and a random one
    would begin new series at each restart.
    """
    try:
        host_id = machine_id.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        host_id = ""
    return {
        "service.name": SERVICE_NAME,
        "service.instance.id": host.name,
        "host.name": host.name,
        "host.id": host_id or host.boot_id,
    }
