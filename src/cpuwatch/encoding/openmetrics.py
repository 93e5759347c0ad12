"""Metric families as text: OpenMetrics 1.0, and the older Prometheus text format 0.0.4. Pure.

prometheus.io/docs/specs/om/open_metrics_spec and prometheus.io/docs/instrumenting/exposition_formats. Labels are
escaped in the same way. The older format declares counters with their suffix, and has no units, no ``_created``
times, no infos and no ``# EOF``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from msgspec import Struct

from cpuwatch.text import printable, text_without_surrogates

__all__ = ["EXPOSITIONS", "Exposition", "Family", "Sample", "openmetrics_text", "prometheus_text"]

_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})
"""For the older format; OpenMetrics also escapes quotation marks in help texts."""
_SUFFIXES = {"gauge": "", "counter": "_total", "info": "_info"}


class Sample(NamedTuple):
    """A value for a set of labels; ``since`` is when a counter was 0, if known."""

    labels: Mapping[str, str]
    value: float
    since: datetime | None = None


class Family(Struct, frozen=True, gc=False):
    """A metric: its name without the suffix of its kind, its help text, and a value for each set of labels.

    The name ends in its ``unit``, if it has one. The value of an ``info`` is always 1: its labels are the information.
    """

    name: str
    kind: Literal["gauge", "counter", "info"]
    help: str
    samples: Sequence[Sample]
    unit: str | None = None


def openmetrics_text(families: Iterable[Family]) -> bytes:
    """OpenMetrics 1.0, with the start time of each counter. Families without samples are left out."""
    lines: list[str] = []
    for family in filter(lambda family: family.samples, families):
        lines.append(f"# TYPE {family.name} {family.kind}\n")
        if family.unit is not None:
            lines.append(f"# UNIT {family.name} {family.unit}\n")
        lines.append(f"# HELP {family.name} {family.help.translate(_ESCAPES)}\n")
        name = family.name + _SUFFIXES[family.kind]
        for labels, sample in _series(family).items():
            lines.append(_line(name, labels, _value(family, sample)))
            if family.kind == "counter" and sample.since is not None:
                lines.append(_line(f"{family.name}_created", labels, sample.since.timestamp()))
    return "".join([*lines, "# EOF\n"]).encode()


def prometheus_text(families: Iterable[Family]) -> bytes:
    """Text format 0.0.4: no units, no times, and an ``info`` is a gauge. Families without samples are left out."""
    lines: list[str] = []
    for family in filter(lambda family: family.samples, families):
        name = family.name + _SUFFIXES[family.kind]
        kind = "gauge" if family.kind == "info" else family.kind
        lines.append(f"# HELP {name} {family.help.translate(_HELP_ESCAPES)}\n")
        lines.append(f"# TYPE {name} {kind}\n")
        lines += (_line(name, labels, _value(family, sample)) for labels, sample in _series(family).items())
    return "".join(lines).encode()


def _series(family: Family) -> dict[str, Sample]:
    """One sample for each set of escaped labels, because a reader rejects duplicate series.

    Different names can be equal once escaped: one with a byte, and one that spells out the escape of that byte.
    """
    series: dict[str, Sample] = {}
    for sample in family.samples:
        text = ",".join(f'{name}="{_escaped(label)}"' for name, label in sample.labels.items())
        duplicate = series.get(text)
        series[text] = sample if duplicate is None else _sum(duplicate, sample)
    return series


def _sum(one: Sample, other: Sample) -> Sample:
    starts = [since for since in (one.since, other.since) if since is not None]
    return Sample(one.labels, one.value + other.value, min(starts, default=None))


def _line(name: str, labels: str, value: float) -> str:
    return f"{name}{{{labels}}} {value!r}\n" if labels else f"{name} {value!r}\n"


def _value(family: Family, sample: Sample) -> float:
    return 1 if family.kind == "info" else sample.value


def _escaped(label: str) -> str:
    """Escape any text for use as the value of a label.

    Lone surrogates are not valid Unicode, so the bytes that they stand for are shown. Control characters are shown as
    escapes, as in the table, because labels are displayed in terminals and pages. The format has its own escape for a
    line feed.
    """
    lines = text_without_surrogates(label).split("\n")
    return "\n".join(map(printable, lines)).translate(_ESCAPES)


class Exposition(Struct, frozen=True):
    """A text format with its media type."""

    media_type: str
    content_type: str
    encode: Callable[[Iterable[Family]], bytes]


EXPOSITIONS = {
    exposition.media_type: exposition
    for exposition in (
        # Plain text first, for browsers and curl, which name neither; scrapers ask for the format that they support.
        Exposition("text/plain", "text/plain; version=0.0.4; charset=utf-8", prometheus_text),
        Exposition(
            "application/openmetrics-text",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            openmetrics_text,
        ),
    )
}
"""By media type, in order of preference."""
