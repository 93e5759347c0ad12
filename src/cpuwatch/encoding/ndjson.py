"""A snapshot as JSON with one object per line, for tools that read line by line (ndjson.org)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cpuwatch.encoding.json import encode
from cpuwatch.encoding.rounded import rounded
from cpuwatch.encoding.rows import reduced
from cpuwatch.model import Snapshot
from cpuwatch.query.view import GroupedSnapshot, head

__all__ = ["encode_lines"]


def encode_lines(shown: Snapshot | GroupedSnapshot, fields: Sequence[str] | None = None) -> bytes:
    """A line with everything except the rows, then a line for each row.

    ``kind`` is the type of the line: ``snapshot``, ``process``, ``exited``, ``cgroup`` or ``group``.
    """
    return b"".join(encode(line) + b"\n" for line in _lines(rounded(shown), fields))


def _lines(shown: Snapshot | GroupedSnapshot, fields: Sequence[str] | None) -> Iterator[dict[str, object]]:
    yield {"kind": "snapshot", **head(shown)}
    if isinstance(shown, GroupedSnapshot):
        yield from ({"kind": "group", "group_by": shown.group_by, **reduced(group)} for group in shown.groups)
    else:
        yield from ({"kind": "process", **reduced(row, fields)} for row in shown.processes)
        yield from ({"kind": "exited", **reduced(row)} for row in shown.exited)
        yield from ({"kind": "cgroup", **reduced(row)} for row in shown.cgroups)
