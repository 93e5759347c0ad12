"""Parses the ``stat`` files of processes, and skips what did not change. Pure."""

from __future__ import annotations

from cpuwatch.samplers.procfs.parse import ProcessStat, parse_process_stat

__all__ = ["StatParser"]

_MAX_REMEMBERED = 8192


class StatParser:
    """Remembers the last ``stat`` of each process.

    Most processes that run wake up for a few microseconds. Their times in ticks and all other fields that cpuwatch uses
    stay the same, and comparing bytes takes a tenth of the time of parsing them.
    """

    def __init__(self) -> None:
        # A line begins with the PID and is compared up to the start time, so it belongs to one process.
        self._known: dict[int, tuple[bytes, ProcessStat]] = {}

    def parse(self, pid: int, data: bytes) -> ProcessStat:
        """Parse the content of ``/proc/PID/stat``. Raises ``ValueError`` on malformed input."""
        known = self._known.get(pid)
        if known is not None and data.startswith(known[0]):
            return known[1]
        stat = parse_process_stat(data)
        if len(self._known) >= _MAX_REMEMBERED:
            self._known.clear()
        self._known[pid] = data[: stat.parsed_bytes], stat
        return stat
