"""What ``top -b`` writes, as values. Pure."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["begins_screen", "percent_by_user"]


def begins_screen(line: str) -> bool:
    """Whether a new screen begins with this line."""
    return line.startswith("top - ")


def percent_by_user(lines: Iterable[str]) -> list[dict[str, float]]:
    """For each screen the sum of ``%CPU`` (of one CPU) of each user's processes; top cuts long user names to 7 + ``+``.

    Raises ``ValueError`` for lines that are not those of top with the columns ``USER``, ``%CPU`` and ``COMMAND``.
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
    # The command stands last and may hold blanks.
    cells = dict(zip(columns, words, strict=False))
    try:
        user, percent = cells["USER"], float(cells["%CPU"])
    except (KeyError, ValueError):
        raise ValueError(f"top's columns are {' '.join(columns)!r}, and a row is {' '.join(words)!r}") from None
    sums[user] = sums.get(user, 0.0) + percent
