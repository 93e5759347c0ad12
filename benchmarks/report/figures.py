"""Numbers as people read them: thousands separators, units, only significant digits. The templates' filters."""

from __future__ import annotations

from math import isfinite, log10

__all__ = [
    "UNKNOWN",
    "change",
    "count",
    "duration",
    "in_mebibytes",
    "mebibytes",
    "percent",
    "rate",
    "short",
    "tenths",
    "thousandths",
]

UNKNOWN = "–"  # noqa: RUF001 (as wide as a digit, so that columns keep their shape)
_MEBIBYTE = 1 << 20


def count(value: int | None) -> str:
    """``1,173,402``."""
    return UNKNOWN if value is None else f"{value:,}"


def rate(value: float | None) -> str:
    """``3,911``, ``39.1``, ``3.91``: at least three digits."""
    if value is None or not isfinite(value):
        return UNKNOWN
    return f"{value:,.{_decimals(value, digits=3)}f}"


def thousandths(value: float | None) -> str:
    """``1.275``."""
    return UNKNOWN if value is None or not isfinite(value) else f"{value:,.3f}"


def tenths(value: float | None) -> str:
    """``96.4``."""
    return UNKNOWN if value is None or not isfinite(value) else f"{value:,.1f}"


def percent(value: float | None) -> str:
    """``96.4 %``."""
    return UNKNOWN if value is None else f"{tenths(value)} %"


def change(now: float, before: float) -> str:
    """``+1.2 %``, with a true minus sign."""
    if not before or not isfinite(now / before):
        return UNKNOWN
    return f"{100 * (now / before - 1):+,.1f} %".replace("-", "−")  # noqa: RUF001


def mebibytes(value: float | None) -> str:
    """``41.3 MiB``."""
    return f"{tenths(in_mebibytes(value))} MiB"


def in_mebibytes(value: float | None) -> float | None:
    """The number alone."""
    return None if value is None else value / _MEBIBYTE


def duration(seconds: float) -> str:
    """``5 minutes``, ``2 min 3 s``, ``12.5 seconds``."""
    if not isfinite(seconds):
        return UNKNOWN
    whole = round(seconds)
    if abs(seconds) < 60 and abs(seconds - whole) >= 0.05:
        return f"{seconds:.1f} seconds"
    minutes, rest = divmod(whole, 60)
    if minutes <= 0:
        return "1 second" if whole == 1 else f"{whole:,} seconds"
    if rest:
        return f"{minutes:,} min {rest} s"
    return "1 minute" if minutes == 1 else f"{minutes:,} minutes"


def short(value: float) -> str:
    """For the ticks of an axis: ``0.25``, ``1,500``."""
    return (
        f"{value:,.{_decimals(value, digits=2)}f}".rstrip("0").rstrip(".") if 0 < abs(value) < 10 else f"{value:,.0f}"
    )


def _decimals(value: float, digits: int) -> int:
    if not value:
        return 0
    return min(max(digits - 1 - int(log10(abs(value)) // 1), 0), 9)
