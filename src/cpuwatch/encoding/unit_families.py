"""The running totals by unit, and the limits of units, as metrics. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cpuwatch.encoding.openmetrics import Family, Sample
from cpuwatch.model import CgroupUsage, Snapshot
from cpuwatch.query.unit_totals import UnitSeconds, UnitTotal, UnitTotals

__all__ = ["unit_families"]


def unit_families(snapshot: Snapshot, totals: UnitTotals, known_sequence: int | None = None) -> list[Family]:
    """The seconds, the pressure and the quota of the listed units.

    ``known_sequence`` is that of :func:`~cpuwatch.encoding.metric_families.metric_families`.
    """
    known = totals.sequence if known_sequence is None else known_sequence
    return [*_counters(totals, known), *_gauges(snapshot, totals)]


def _counters(totals: UnitTotals, known_sequence: int) -> Iterator[Family]:
    units = sorted(totals.units.items())

    def of_unit(path: str, total: UnitTotal, seconds: float) -> Sample:
        value = 0.0 if total.first_sequence > known_sequence else seconds
        return Sample({"kind": "named", "unit": path}, value, total.since)

    def of_kind(kind: str, seconds: float) -> Sample:
        value = 0.0 if totals.first_sequence > known_sequence else seconds
        return Sample({"kind": kind}, value, totals.since)

    def family(name: str, text: str, seconds: Callable[[UnitSeconds], float]) -> Family:
        return Family(
            name,
            "counter",
            f"{text} by systemd unit, container or pod; leave kind retired out of rates.",
            [
                *(of_unit(path, total, seconds(total.seconds)) for path, total in units),
                of_kind("other", seconds(totals.other)),
                of_kind("retired", seconds(totals.retired)),
            ],
            "seconds",
        )

    yield family("cpuwatch_unit_cpu_seconds", "CPU time of processes,", lambda total: total.cpu)
    yield family(
        "cpuwatch_unit_wait_seconds", "Time in which threads were runnable but got no CPU,", lambda total: total.wait
    )
    yield family(
        "cpuwatch_unit_throttled_seconds",
        "Time in which threads were runnable but a quota kept them from running,",
        lambda total: total.throttled,
    )
    yield Family(
        "cpuwatch_unit_pressure_seconds",
        "counter",
        "Time in which at least one thread of the unit was runnable but got no CPU.",
        [of_unit(path, total, total.pressure_seconds) for path, total in units if total.pressure_seconds is not None],
        "seconds",
    )


def _gauges(snapshot: Snapshot, totals: UnitTotals) -> Iterator[Family]:
    rows = [row for row in snapshot.cgroups if row.path in totals.units]

    def family(name: str, text: str, value: Callable[[CgroupUsage], float | None], unit: str | None = None) -> Family:
        samples = [Sample({"unit": row.path}, number) for row in rows if (number := value(row)) is not None]
        return Family(name, "gauge", text, samples, unit)

    yield family("cpuwatch_unit_quota_cpus", "Quota of the unit, in CPUs.", lambda row: row.quota_cpus, "cpus")
    yield family(
        "cpuwatch_unit_throttled_periods_ratio",
        "Share of the quota's periods in the last interval in which the unit used it up.",
        lambda row: None if row.throttled_periods_percent is None else row.throttled_periods_percent / 100,
        "ratio",
    )
