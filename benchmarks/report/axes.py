"""The axes of charts: the position of a value, from 0 to 1, and the round values of the ticks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil, floor, isfinite, log10
from typing import NamedTuple

from benchmarks.report import figures

__all__ = ["Axis", "by_value", "clock", "linear", "logarithmic"]

_ROUND_SECONDS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 14_400)
_SMALLEST = 1e-6
"""Smaller values cannot be seen, and their steps would vanish in rounding."""


class Axis(NamedTuple):
    """From ``low`` to ``high``, linear or in decades; ``ticks`` are values with their labels."""

    title: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    in_decades: bool = False

    def position(self, value: float) -> float:
        """From 0 to 1. Values outside the axis are at its edge."""
        low, high = self.low, self.high
        if self.in_decades:
            low, high, value = log10(low), log10(high), log10(max(value, self.low))
        return min(max((value - low) / (high - low), 0.0), 1.0)


def linear(title: str, values: Iterable[float | None]) -> Axis:
    """From 0 to the next round value above all values."""
    highest = max((value for value in _usable(values) if value > _SMALLEST), default=1.0)
    step = _round_up(highest / 4)
    steps = ceil(highest / step - 1e-9)
    return Axis(title, 0.0, steps * step, [(i * step, figures.short(i * step)) for i in range(steps + 1)])


def logarithmic(title: str, values: Iterable[float | None]) -> Axis:
    """Around all values above 0, with ticks at 1, 2 and 5 in each decade, or only at 1 if there are many decades."""
    above_zero = [value for value in _usable(values) if value > _SMALLEST] or [1.0]
    low, high = min(above_zero) / 1.05, max(above_zero) * 1.05
    decades = range(floor(log10(low)), ceil(log10(high)) + 1)
    digits = (1,) if len(decades) > 5 else (1, 2, 5)
    round_values = [digit * 10.0**decade for decade in decades for digit in digits]
    ticks = [(value, figures.short(value)) for value in round_values if low <= value <= high]
    return Axis(title, low, high, ticks[:: ceil(len(ticks) / 12) or 1], in_decades=True)


def by_value(title: str, values: Iterable[float | None]) -> Axis:
    """Linear, or logarithmic if outliers would flatten everything else on a linear axis."""
    ordered = sorted(value for value in _usable(values) if value > 0)
    if ordered and ordered[-1] > 25 * ordered[len(ordered) // 2]:
        return logarithmic(f"{title}, logarithmic", ordered)
    return linear(title, ordered)


def clock(title: str, seconds: float) -> Axis:
    """The time since the start of something, as min:s."""
    high = max(seconds, 1.0)
    step = next((step for step in _ROUND_SECONDS if high / step <= 7), _ROUND_SECONDS[-1])
    step *= ceil(high / step / 12)
    return Axis(title, 0.0, high, [(at, f"{at // 60}:{at % 60:02}") for at in range(0, int(high) + 1, step)])


def _usable(values: Iterable[float | None]) -> list[float]:
    """The known values that can be drawn: not negative, and low enough that sums do not overflow."""
    return [value for value in values if value is not None and isfinite(value) and 0 <= value < 1e15]


def _round_up(value: float) -> float:
    """The next 1, 2, 2.5 or 5 times a power of ten."""
    power = 10.0 ** floor(log10(max(value, 1e-9)))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10, 20) if factor * power >= value)
