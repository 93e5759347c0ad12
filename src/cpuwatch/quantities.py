"""Sizes and durations as people type them: ``500MB``, ``1GiB``, ``90s``, ``36h``, ``30d``. Pure."""

from __future__ import annotations

import re

from cpuwatch.parse import invalid

__all__ = ["parse_duration", "parse_size"]

_SIZE = re.compile(r"(?P<number>[0-9]{1,18}) ?(?P<unit>[kKMGT]i?B|B)?", re.ASCII)
_DURATION = re.compile(r"(?P<number>[0-9]{1,12}) ?(?P<unit>[smhdw])?", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def parse_size(what: str, text: str, low: int, high: int) -> int:
    """Bytes, with or without a unit: kB is 1000 of them, KiB 1024. Raises ``ValueError``."""
    match = _SIZE.fullmatch(text)
    if match is not None:
        size = int(match["number"]) * _factor(match["unit"] or "B")
        if low <= size <= high:
            return size
    raise ValueError(invalid(what, text, f"must be a number of bytes such as 500MB or 2GiB, at least {low}"))


def parse_duration(what: str, text: str, low: int, high: int) -> int:
    """Seconds, with or without a unit: s, m, h, d or w. Raises ``ValueError``."""
    match = _DURATION.fullmatch(text)
    if match is not None:
        seconds = int(match["number"]) * _SECONDS[match["unit"] or "s"]
        if low <= seconds <= high:
            return seconds
    raise ValueError(invalid(what, text, f"must be a duration such as 90s, 36h, 30d or 8w, at least {low} s"))


def _factor(unit: str) -> int:
    base = 1024 if unit.endswith("iB") else 1000
    return int(base ** "BKMGT".index(unit[0].upper()))
