"""Parses the output of ``top -b``. Pure."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["begins_screen", "percent_by_user"]


def begins_screen(line: str) -> bool:
    """Whether this line begins a new screen."""
    return line.startswith("top - ")


def percent_by_user(lines: Iterable[str]) -> list[dict[str, float]]:
    """The sum of ``%CPU`` (of one CPU) by user, for each screen. top cuts long user names to 7 characters and ``+``.

    Raises ``ValueError`` if the lines do not have top's columns ``USER``, ``%CPU`` and ``COMMAND``.
    """
    screens: list[dict[str, float]] = []
    columns: list[str] = []
    for line in lines:
        words = line.split()
        if begins_screen(line):
            screens.append({})
            columns = []
        elif columns and words:
            _add(screens[-1], columns, words)
        elif screens and "PID" in words:
            columns = words
    return screens


def _add(sums: dict[str, float], columns: list[str], words: list[str]) -> None:
    # The command is the last column and may contain blanks.
    cells = dict(zip(columns, words, strict=False))
    try:
        user, percent = cells["USER"], float(cells["%CPU"])
    except (KeyError, ValueError):
        raise ValueError(f"top's columns are {' '.join(columns)!r}, and a row is {' '.join(words)!r}") from None
    sums[user] = sums.get(user, 0.0) + percent
