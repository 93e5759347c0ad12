"""The median of some measurements, and how far they lie apart. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Spread"]


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, lowest and highest of some values."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Raises ``ValueError`` if there are none."""
        ordered = sorted(values)
        if not ordered:
            raise ValueError("no values have no median")
        return cls(statistics.median(ordered), ordered[0], ordered[-1])

    def text(self, form: str) -> str:
        """``12.4 (11.9 to 13.2)``; the form is one of ``str.format``."""
        median, low, high = (form.format(value) for value in (self.median, self.low, self.high))
        return f"{median} ({low} to {high})"
