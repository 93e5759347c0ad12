"""A snapshot and the running totals as metrics. Pure.

Names follow OpenTelemetry's semantic conventions for ``system.*`` and ``process.*`` if these have a name, translated by
its compatibility rules for Prometheus: ``system.cpu.utilization`` is ``system_cpu_utilization_ratio``, and its
attribute ``cpu.mode`` is the label ``cpu_mode``. All other names begin with ``cpuwatch_``. Ratios are 0..1. Unknown
values have no sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from cpuwatch.accounting.totals import CpuTotals, percent_by_mode
from cpuwatch.encoding.openmetrics import Family, Sample
from cpuwatch.model import ProcessUsage, Sampling, Snapshot

__all__ = ["metric_families", "process_families", "recording_families"]


def metric_families(snapshot: Snapshot, totals: CpuTotals, known_sequence: int | None = None) -> list[Family]:
    """The machine, the attribution, the totals by name, and the state of the sampling.

    ``known_sequence`` is the last snapshot whose totals the reader has scraped. A series that started later has the
    value 0 here: the first value of a series gives no rate, as it may be years old, so the CPU time before it would be
    lost to the reader (prometheus.io/docs/prometheus/latest/querying/functions/#increase). With None, all series have
    their values.
    """
    return [
        *_host(snapshot),
        *_machine(snapshot),
        *_processes(snapshot),
        *_cpu_seconds(totals, totals.sequence if known_sequence is None else known_sequence),
        *_sampling(snapshot, totals.since),
    ]


def process_families(rows: Sequence[ProcessUsage]) -> list[Family]:
    """Two series for each of these processes."""
    labels = [{"pid": str(row.pid), "name": row.name, "user": row.user or ""} for row in rows]
    return [
        Family(
            "process_cpu_time_seconds",
            "counter",
            "CPU time of the process since it started.",
            [Sample(who, row.cpu_seconds, row.start_time) for who, row in zip(labels, rows, strict=True)],
            "seconds",
        ),
        Family(
            "process_cpu_utilization_ratio",
            "gauge",
            "CPU time of the process in the last interval, over that of all CPUs.",
            [
                Sample(who, row.machine_percent / 100)
                for who, row in zip(labels, rows, strict=True)
                if row.machine_percent is not None
            ],
            "ratio",
        ),
    ]


def recording_families(recorded_ticks: int, lost_ticks: int, used_bytes: int, *, is_failing: bool) -> list[Family]:
    """How the recording of this service is going."""
    return [
        Family("cpuwatch_recorded_ticks", "counter", "Ticks written to the recording.", [Sample({}, recorded_ticks)]),
        Family(
            "cpuwatch_lost_recording_ticks",
            "counter",
            "Ticks missing from the recording because the disk failed or was too slow.",
            [Sample({}, lost_ticks)],
        ),
        _gauge("cpuwatch_recording_size_bytes", "Size of the recording.", used_bytes, unit="bytes"),
        _gauge("cpuwatch_recording_failing", "1 while the recording cannot be written.", int(is_failing)),
    ]


def _host(snapshot: Snapshot) -> Iterator[Family]:
    host = snapshot.host
    labels = {"host_name": host.name, "boot_id": host.boot_id, "backend": host.backend}
    yield Family("cpuwatch_host", "info", "The machine, and the backend that reads it.", [Sample(labels, 1)])
    yield _gauge("cpuwatch_logical_cpus", "Logical CPUs.", host.logical_cpus)
    yield _gauge(
        "cpuwatch_clock_resolution_seconds", "Step of the CPU clock.", host.clock_resolution_seconds, unit="seconds"
    )


def _machine(snapshot: Snapshot) -> Iterator[Family]:
    machine = snapshot.machine
    yield _ratios(
        "system_cpu_utilization_ratio",
        "CPU time by mode in the last interval, over that of all CPUs; user includes nice and guest.",
        "cpu_mode",
        percent_by_mode(machine),
    )
    yield _ratios(
        "cpuwatch_logical_cpu_utilization_ratio",
        "CPU time of a logical CPU in the last interval that was neither idle nor iowait.",
        "cpu_logical_number",
        {str(number): percent for number, percent in enumerate(machine.per_cpu_percent)},
    )
    if machine.pressure_percent is not None:
        yield _gauge(
            "cpuwatch_cpu_pressure_ratio",
            "Time of the last interval in which at least one thread was runnable but got no CPU.",
            machine.pressure_percent / 100,
            unit="ratio",
        )
    if machine.waiting_threads is not None:
        yield _gauge(
            "cpuwatch_waiting_threads",
            "Average number of threads in the last interval that were runnable but got no CPU.",
            machine.waiting_threads,
        )
    for minutes, load in zip((1, 5, 15), machine.load_average or (), strict=False):
        yield _gauge(f"system_cpu_load_average_{minutes}m", f"Load average over {minutes} min.", load)


def _processes(snapshot: Snapshot) -> Iterator[Family]:
    attribution = snapshot.attribution
    yield _gauge("cpuwatch_processes", "Processes.", len(snapshot.processes))
    yield _ratios(
        "cpuwatch_attribution_ratio",
        "Where the machine's busy time of the last interval went, over the time of all CPUs.",
        "to",
        {
            "processes": attribution.processes_percent,
            "exited": attribution.exited_percent,
            "unattributed": attribution.unattributed_percent,
        },
    )
    if attribution.excess_percent is not None:
        yield _gauge(
            "cpuwatch_attribution_excess_ratio",
            "How far the CPU time of processes exceeds that of the machine's counters.",
            attribution.excess_percent / 100,
            unit="ratio",
        )


def _cpu_seconds(totals: CpuTotals, known_sequence: int) -> Iterator[Family]:
    def sample(labels: dict[str, str], seconds: float, since: datetime, first_sequence: int) -> Sample:
        return Sample(labels, 0.0 if first_sequence > known_sequence else seconds, since)

    def machine_sample(labels: dict[str, str], seconds: float) -> Sample:
        return sample(labels, seconds, totals.since, totals.first_sequence)

    def by_name(named: Mapping[str, float], unlisted: Mapping[str, float]) -> list[Sample]:
        return [
            *(
                sample({"kind": "named", "name": name}, named[name], total.since, total.first_sequence)
                for name, total in totals.named.items()
            ),
            *(machine_sample({"kind": kind}, seconds) for kind, seconds in unlisted.items()),
        ]

    used = {name: total.seconds for name, total in totals.named.items()}
    used_unlisted = {
        "unnamed": totals.unnamed_seconds,
        "other": totals.other_seconds,
        "retired": totals.retired_seconds,
        "unattributed": totals.unattributed_seconds,
    }
    yield Family(
        "cpuwatch_cpu_seconds",
        "counter",
        "Busy time of the machine by process name since cpuwatch started; leave kind retired out of rates.",
        by_name(used, used_unlisted),
        "seconds",
    )
    yield Family(
        "cpuwatch_excess_cpu_seconds",
        "counter",
        "How far the CPU time of processes exceeds the busy time of the machine.",
        [machine_sample({}, totals.excess_seconds)],
        "seconds",
    )
    yield Family(
        "system_cpu_time_seconds",
        "counter",
        "Time of all CPUs by mode since cpuwatch started; user includes nice and guest.",
        [machine_sample({"cpu_mode": mode}, seconds) for mode, seconds in totals.mode_seconds.items()],
        "seconds",
    )
    waited = {name: total.wait_seconds for name, total in totals.named.items()}
    yield Family(
        "cpuwatch_wait_seconds",
        "counter",
        "Time in which threads were runnable but got no CPU, by process name; leave kind retired out of rates.",
        by_name(waited, {"other": totals.other_wait_seconds, "retired": totals.retired_wait_seconds}),
        "seconds",
    )


def _sampling(snapshot: Snapshot, since: datetime) -> Iterator[Family]:
    sampling = snapshot.sampling
    # The time rather than the age, which the reader can compute: time() - cpuwatch_snapshot_timestamp_seconds.
    taken = snapshot.time.timestamp()
    yield _gauge("cpuwatch_snapshot_timestamp_seconds", "When the last interval ended.", taken, unit="seconds")
    yield _gauge("cpuwatch_interval_seconds", "Length of the last interval.", snapshot.interval_seconds, unit="seconds")
    yield _gauge("cpuwatch_sweep_seconds", "Duration of the last reading.", snapshot.sweep_seconds, unit="seconds")
    if sampling.lateness_seconds is not None:
        yield _gauge(
            "cpuwatch_lateness_seconds",
            "How late the last reading began.",
            sampling.lateness_seconds,
            unit="seconds",
        )
    yield from _tick_counters(snapshot.sequence, sampling, since)


def _tick_counters(sequence: int, sampling: Sampling, since: datetime) -> Iterator[Family]:
    yield _counter("cpuwatch_ticks", "Snapshots taken.", sequence, since)
    yield _counter("cpuwatch_missed_ticks", "Ticks that were missed.", sampling.missed_ticks, since)
    yield _counter("cpuwatch_failed_ticks", "Ticks in which sampling failed.", sampling.failed_ticks, since)
    yield _counter("cpuwatch_lost_exits", "Messages about exited processes that were lost.", sampling.lost_exits, since)
    yield Family(
        "cpuwatch_unreadable_processes",
        "gauge",
        "Processes that could not be read in the last interval, by reason.",
        [Sample({"reason": reason}, count) for reason, count in sampling.unreadable.items()],
    )


def _gauge(name: str, text: str, value: float, unit: str | None = None) -> Family:
    return Family(name, "gauge", text, [Sample({}, value)], unit)


def _counter(name: str, text: str, value: float, since: datetime) -> Family:
    return Family(name, "counter", text, [Sample({}, value, since)])


def _ratios(name: str, text: str, label: str, percents: Mapping[str, float | None]) -> Family:
    samples = [Sample({label: key}, percent / 100) for key, percent in percents.items() if percent is not None]
    return Family(name, "gauge", text, samples, "ratio")
