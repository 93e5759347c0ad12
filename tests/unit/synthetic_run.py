"""Synthetic data of a performance run: reproducible, without a server."""

from __future__ import annotations

from random import Random

from benchmarks.loadgen.results import (
    FORMAT,
    Calibration,
    Environment,
    FixedRate,
    LatencySummary,
    Memory,
    Results,
    Second,
    Threshold,
)

_PERCENTILES = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999, "p99.99": 0.9999}


def synthetic_run(seconds: int = 300, *, seed: int = 1, rate: float = 3_900.0) -> Results:
    """Return a run without failures."""
    random = Random(seed)  # noqa: S311  reproducible
    speed = rate * random.uniform(0.98, 1.02)
    log_of_seconds = [_second(random, second, speed) for second in range(seconds)]
    requests = sum(second.requests for second in log_of_seconds)
    reached = requests / seconds
    latency = _latency(random, requests, 5_000 / reached * 0.985)
    return Results(
        format=FORMAT,
        started="2026-03-14T15:09:26+00:00",
        url="http://127.0.0.1:8845/cpu_usage",
        connections=5,
        wanted_seconds=float(seconds),
        seconds=seconds + 0.0008,
        warm_up_seconds=3.0,
        partial=False,
        invalid=None,
        requests=requests,
        requests_per_second=reached,
        reconnects=requests // 1_000,
        latency=latency,
        failed_latency=LatencySummary(0, None, None, None, None, dict.fromkeys(_PERCENTILES)),
        failures=[],
        seconds_log=log_of_seconds,
        calibration=Calibration(2.0, 17_400 * random.uniform(0.98, 1.02), 99.1),
        client_cpu_percent=31.4,
        fixed_rate=FixedRate(
            seconds=30.0,
            wanted_per_second=0.7 * reached,
            reached_per_second=0.6998 * reached,
            from_intended=_latency(random, int(21 * reached), 1.02),
            from_sent=_latency(random, int(21 * reached), 0.78),
            failures=[],
        ),
        age_ms={"p50": 502.1, "p99": 996.3, "max": 1_013.2},
        tick_lateness_ms={"p50": 0.112, "p99": 3.871, "max": 9.204},
        sweep_ms={"p50": 1.94, "p99": 4.41, "max": 8.02},
        memory=Memory(43_118_592, 43_352_064, 43_401_216),
        thresholds=[
            Threshold("failed requests", "0", "0", passed=True),
            Threshold("stale or backward data", "0", "0", passed=True),
            Threshold("growth of server memory after the warm-up", "≤ 5 %", "+0.5 %", passed=True),
            Threshold("tick lateness p99 under load", "≤ 20 ms", "3.87 ms", passed=True),
        ],
        environment=Environment(
            rows={
                "CPU": "AMD EPYC 7B13, 2 logical CPUs, 1 thread per core",
                "kernel": "Linux 6.1.0-18-amd64",
                "Python": "CPython 3.11.7",
                "packages": "cpuwatch 0.1.0, hypercorn 0.18.0, h11 0.16.0, starlette 1.0.0, msgspec 0.22.0",
                "server": "hypercorn cpuwatch.web:app --bind 127.0.0.1:8845",
            },
            git_revision="5779aab4e1c2",
            processes_watched=104,
            shortest_body_bytes=16_204,
            longest_body_bytes=16_391,
        ),
        decoded_bodies=seconds + 1,
    )


def _second(random: Random, second: int, speed: float) -> Second:
    pace = random.gauss(1, 0.012) * (0.8 if random.random() < 0.02 else 1)
    p50 = 1.21 / pace * random.gauss(1, 0.004)
    return Second(
        second=second,
        requests=round(speed * pace),
        errors=0,
        p50_ms=p50,
        p95_ms=p50 * random.uniform(1.4, 1.5),
        p99_ms=p50 * random.lognormvariate(0.75, 0.12),
        server_cpu_percent=96 + random.gauss(0, 1.2),
        server_rss_bytes=43_118_592 + min(second, 120) * 1_900,
        client_cpu_percent=31 + random.gauss(0, 0.8),
        client_rss_bytes=24_100_000 + second * 62_400,
    )


def _latency(random: Random, count: int, mean_ms: float) -> LatencySummary:
    """Summarize a sample of 20,000, scaled to this mean."""
    drawn = sorted(
        random.lognormvariate(0, 0.16) * (random.uniform(1, 6) if random.random() < 0.02 else 1) for _ in range(20_000)
    )
    scale = mean_ms / (sum(drawn) / len(drawn))
    drawn = [value * scale for value in drawn]
    return LatencySummary(
        count=count,
        mean_ms=mean_ms,
        stddev_ms=0.21 * mean_ms,
        min_ms=drawn[0],
        max_ms=drawn[-1],
        percentiles_ms={name: drawn[int(part * len(drawn))] for name, part in _PERCENTILES.items()},
    )
