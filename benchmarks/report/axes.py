"""The axes of charts: where a value lies, from 0 to 1, and the round values that are written beside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil, floor, isfinite, log10
from typing import NamedTuple

from benchmarks.report import figures

__all__ = ["Axis", "by_value", "clock", "linear", "logarithmic", "of_percentiles", "rarity", "usable"]

_ROUND_SECONDS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 14_400)
_SMALLEST = 1e-6
"""Below that there is nothing to be seen, and steps would vanish in rounding."""


class Axis(NamedTuple):
    """From ``low`` to ``high``, linear or in decades; ``ticks`` are values with what is written at them."""

    title: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    in_decades: bool = False

    def position(self, value: float) -> float:
        """From 0 to 1; what lies outside is at the edge."""
        low, high = self.low, self.high
        if self.in_decades:
            low, high, value = log10(low), log10(high), log10(max(value, self.low))
        return min(max((value - low) / (high - low), 0.0), 1.0)


def linear(title: str, values: Iterable[float | None]) -> Axis:
    """From 0 to the next round value above all values."""
    highest = max((value for value in usable(values) if value > _SMALLEST), default=1.0)
    step = _round_up(highest / 4)
    steps = ceil(highest / step - 1e-9)
    return Axis(title, 0.0, steps * step, [(i * step, figures.short(i * step)) for i in range(steps + 1)])


def logarithmic(title: str, values: Iterable[float | None]) -> Axis:
    """Around all values above 0, with ticks at 1, 2 and 5 in each decade, or at 1 only where there are many."""
    above_zero = [value for value in usable(values) if value > _SMALLEST] or [1.0]
    low, high = min(above_zero) / 1.05, max(above_zero) * 1.05
    decades = range(floor(log10(low)), ceil(log10(high)) + 1)
    digits = (1,) if len(decades) > 5 else (1, 2, 5)
    round_values = [digit * 10.0**decade for decade in decades for digit in digits]
    ticks = [(value, figures.short(value)) for value in round_values if low <= value <= high]
    return Axis(title, low, high, ticks[:: ceil(len(ticks) / 12) or 1], in_decades=True)


def by_value(title: str, values: Iterable[float | None]) -> Axis:
    """Linear, or logarithmic if a linear axis would press all but the outliers to the ground."""
    ordered = sorted(value for value in usable(values) if value > 0)
    if ordered and ordered[-1] > 25 * ordered[len(ordered) // 2]:
        return logarithmic(f"{title}, logarithmic", ordered)
    return linear(title, ordered)


def clock(title: str, seconds: float) -> Axis:
    """The time since the start of something, as min:s."""
    high = max(seconds, 1.0)
    step = next((step for step in _ROUND_SECONDS if high / step <= 7), _ROUND_SECONDS[-1])
    step *= ceil(high / step / 12)
    return Axis(title, 0.0, high, [(at, f"{at // 60}:{at % 60:02}") for at in range(0, int(high) + 1, step)])


def of_percentiles(title: str, names: Iterable[str]) -> Axis:
    """For 1 / (1 - p): each step to the right is ten times as rare."""
    inverses = {inverse: name for name in names if (inverse := rarity(name)) is not None}
    ticks: list[tuple[float, str]] = []
    for inverse, name in sorted(inverses.items()):
        # Half a decade is what their names need on a phone.
        if not ticks or inverse > 3 * ticks[-1][0]:
            ticks.append((inverse, name))
    return Axis(title, 1.6, max(inverses, default=100.0) * 1.15, ticks, in_decades=True)


def rarity(name: str) -> float | None:
    """One in how many is above this percentile: 100 for ``"p99"``; None if it is the name of none."""
    try:
        above = 100 - float(name.removeprefix("p"))
    except ValueError:
        return None
    return 100 / above if name.startswith("p") and 1e-6 < above <= 50 else None


def usable(values: Iterable[float | None]) -> list[float]:
    """Those that are known and can be drawn and compared: no measure is below 0, or so high that sums overflow."""
    return [value for value in values if value is not None and isfinite(value) and 0 <= value < 1e15]


def _round_up(value: float) -> float:
    """The next 1, 2, 2.5 or 5 times a power of ten."""
    power = 10.0 ** floor(log10(max(value, 1e-9)))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10, 20) if factor * power >= value)
