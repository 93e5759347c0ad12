"""What somebody sent, as a message about it may hold it."""

from __future__ import annotations

__all__ = ["shortened"]

_MOST_CHARACTERS = 40


def shortened(text: str, most: int = _MOST_CHARACTERS) -> str:
    """The text, if it has no more characters than ``most``; otherwise its beginning, with three dots."""
    return text if len(text) <= most else f"{text[:most]}..."
