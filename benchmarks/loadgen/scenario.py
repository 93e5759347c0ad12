"""N clients in a closed loop against the real server, then a shorter time at a fixed rate: from a plan to results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

from benchmarks import ROOT
from benchmarks.loadgen import latency
from benchmarks.loadgen.driver import Driven, drive, serving_null
from benchmarks.loadgen.environment import git_revision, machine_rows
from benchmarks.loadgen.outcome import Progress
from benchmarks.loadgen.placement import Placement, available_placement
from benchmarks.loadgen.plan import Plan
from benchmarks.loadgen.resources import Use, memory_of
from benchmarks.loadgen.results import (
    FORMAT,
    Calibration,
    Environment,
    FailureKind,
    FixedRate,
    Memory,
    Results,
    Second,
    Threshold,
)
from benchmarks.loadgen.target_server import Running, body_length, running_server
from benchmarks.loadgen.validity import Extent, changed_machine, client_bound
from benchmarks.processes import forked

__all__ = ["Judge", "Show", "measure"]

SHARE_AT_FIXED_RATE = 0.7

_CALIBRATION_SECONDS = 3.0
_SETTLING_SECONDS = 1.0

Show = Callable[[str, float, Progress], None]
"""Shows the progress: the name of the phase, its length in seconds, and its latest figures."""


Judge = Callable[[int, Iterable[FailureKind], Memory | None, float | None, bool], list[Threshold]]
"""Compares requests, failures, memory, p99 of the tick's lateness, and a change of the machine with the limits."""


def measure(plan: Plan, judge: Judge, show: Show) -> Results:
    """Run the plan. Ctrl-C while the client runs gives the results so far, marked as partial.

    Raises ``NoServerError`` if there is nothing to measure.
    """
    placement = available_placement()
    with ExitStack() as stack:
        stack.enter_context(forked(plan.extra_processes))
        server = stack.enter_context(running_server(plan, placement.server))
        calibration = _calibrate(plan, body_length(server.target), placement, show)
        rows = machine_rows()
        started = datetime.now(UTC)
        closed = drive(
            server.target,
            connections=plan.connections,
            seconds=plan.duration_seconds,
            warm_up=plan.warm_up_seconds,
            cpus=placement.client,
            show=lambda news: show("measuring", plan.duration_seconds, news),
        )
        fixed_rate, interrupted = _at_fixed_rate(plan, server, closed, placement, show)
    return _results(Run(plan, server, placement, started, rows, calibration, closed, fixed_rate, interrupted), judge)


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that a run produced."""

    plan: Plan
    server: Running
    placement: Placement
    started: datetime
    rows: Mapping[str, str]
    calibration: Calibration
    closed: Driven
    fixed_rate: FixedRate | None
    interrupted: bool


def _calibrate(plan: Plan, length: int, placement: Placement, show: Show) -> Calibration:
    with serving_null(length, placement.server) as target:
        driven = drive(
            target,
            connections=plan.connections,
            seconds=_CALIBRATION_SECONDS,
            warm_up=_SETTLING_SECONDS,
            cpus=placement.client,
            show=lambda news: show("calibrating the client", _CALIBRATION_SECONDS, news),
        )
    if driven.interrupted:
        raise KeyboardInterrupt
    if driven.outcome.failures:
        raise RuntimeError(f"requests to the null server failed: {driven.outcome.failures}")
    return Calibration(_CALIBRATION_SECONDS, _per_second(driven), _client_cpu_percent(driven))


def _at_fixed_rate(
    plan: Plan, server: Running, closed: Driven, placement: Placement, show: Show
) -> tuple[FixedRate | None, bool]:
    """The second phase, and whether Ctrl-C came so far."""
    seconds = plan.seconds_at_fixed_rate
    wanted = _per_second(closed) * SHARE_AT_FIXED_RATE
    if closed.interrupted or not seconds or not wanted:
        return None, closed.interrupted
    driven = drive(
        server.target,
        connections=plan.connections,
        seconds=seconds,
        warm_up=_SETTLING_SECONDS,
        rate=wanted,
        cpus=placement.client,
        show=lambda news: show("at a fixed rate", seconds, news),
    )
    samples = driven.samples
    found = FixedRate(
        seconds=driven.outcome.elapsed_ns / 1e9,
        wanted_per_second=wanted,
        reached_per_second=_per_second(driven),
        from_intended=latency.summarise(map(sum, zip(samples.late_ns, samples.latency_ns, strict=True))),
        from_sent=latency.summarise(samples.latency_ns),
        failures=driven.outcome.failures,
    )
    return found, driven.interrupted


def _results(run: Run, judge: Judge) -> Results:
    closed, plan = run.closed, run.plan
    outcome, samples = closed.outcome, closed.samples
    per_second = _per_second(closed)
    client_cpu_percent = _client_cpu_percent(closed)
    memory = memory_of(closed.server)
    lateness = latency.percentiles_ms(
        tick.lateness_ms for tick in outcome.ticks if tick.at_ns >= 0 and tick.lateness_ms is not None
    )
    processes = None if outcome.processes is None else Extent(outcome.fewest_processes, outcome.most_processes)
    changed = changed_machine(processes, Extent(outcome.shortest_body, outcome.longest_body))
    fixed_failures = run.fixed_rate.failures if run.fixed_rate else []
    return Results(
        format=FORMAT,
        started=run.started.isoformat(timespec="seconds"),
        url=run.server.url,
        connections=plan.connections,
        wanted_seconds=plan.duration_seconds,
        seconds=outcome.elapsed_ns / 1e9,
        warm_up_seconds=plan.warm_up_seconds,
        partial=run.interrupted,
        invalid=changed or client_bound(client_cpu_percent, per_second, run.calibration.requests_per_second),
        requests=outcome.requests,
        requests_per_second=per_second,
        reconnects=outcome.reconnects,
        latency=latency.summarise(samples.latency_ns),
        failed_latency=latency.summarise(samples.failed_latency_ns),
        failures=outcome.failures,
        seconds_log=_seconds_log(closed),
        calibration=run.calibration,
        client_cpu_percent=client_cpu_percent,
        fixed_rate=run.fixed_rate,
        age_ms=latency.percentiles_ms(age_ns / 1e6 for age_ns in samples.age_ns),
        tick_lateness_ms=lateness,
        sweep_ms=latency.percentiles_ms(tick.sweep_ms for tick in outcome.ticks if tick.at_ns >= 0),
        memory=memory,
        thresholds=judge(
            outcome.requests,
            [*outcome.failures, *fixed_failures],
            memory,
            lateness["p99"],
            changed is not None,
        ),
        environment=Environment(
            rows={
                **run.rows,
                "server": run.server.description,
                "placement": str(run.placement) if plan.address is None else "chosen by who started the server",
                "processes made to be watched": f"{plan.extra_processes:,}",
            },
            git_revision=git_revision(ROOT),
            processes_watched=outcome.processes,
            shortest_body_bytes=outcome.shortest_body,
            longest_body_bytes=outcome.longest_body,
        ),
        decoded_bodies=outcome.decoded_bodies,
    )


def _per_second(driven: Driven) -> float:
    outcome = driven.outcome
    return outcome.requests * 1e9 / outcome.elapsed_ns if outcome.elapsed_ns else 0.0


def _client_cpu_percent(driven: Driven) -> float:
    outcome = driven.outcome
    return 100 * outcome.client_cpu_ns / outcome.elapsed_ns if outcome.elapsed_ns else 0.0


def _seconds_log(driven: Driven) -> list[Second]:
    """Whole seconds only: the rate of a partial second would look like a drop."""
    samples = driven.samples
    whole = driven.outcome.elapsed_ns // latency.SECOND_NS
    answered = latency.by_second(samples.sent_ns, samples.latency_ns, whole)
    failed = latency.by_second(samples.failed_sent_ns, samples.failed_latency_ns, whole)
    p50, p95, p99 = (latency.PERCENTILES[name] for name in ("p50", "p95", "p99"))
    log = []
    for second, latencies in enumerate(answered):
        server, client = _use_in(driven.server, second), _use_in(driven.client, second)
        log.append(
            Second(
                second=second,
                requests=len(latencies),
                errors=len(failed[second]),
                p50_ms=latency.percentile_ms(latencies, p50),
                p95_ms=latency.percentile_ms(latencies, p95),
                p99_ms=latency.percentile_ms(latencies, p99),
                server_cpu_percent=server.cpu_percent,
                server_rss_bytes=server.rss_bytes,
                client_cpu_percent=client.cpu_percent,
                client_rss_bytes=client.rss_bytes,
            )
        )
    return log


def _use_in(uses: Sequence[Use], second: int) -> Use:
    return uses[second] if second < len(uses) else Use()
