"""The parts of the page below the verdict, each from what it is about."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from xml.etree.ElementTree import Element

from benchmarks.loadgen.results import FailureKind, FixedRate, Results
from benchmarks.loadgen.validity import MAX_CLIENT_CPU_PERCENT, MAX_SHARE_OF_CEILING
from benchmarks.report import figures
from benchmarks.report.axes import Axis, by_value, rarity
from benchmarks.report.charts import Line, figure, line_chart
from benchmarks.report.comparison import cpu_per_request_us
from benchmarks.report.distribution import histogram, percentile_curve, percentile_names, summaries
from benchmarks.report.markup import Content, data_table, element, paragraph, table
from benchmarks.report.timeline import timeline

__all__ = [
    "client",
    "closed_loop",
    "environment",
    "errors",
    "freshness",
    "latency",
    "sampler",
    "server",
    "time_lines",
]

_MOST_KINDS = 20
_MOST_EXAMPLES = 3
_LONGEST_EXAMPLE = 300
_SLICES = 20
_SLICE_MS = 50
_STALL_SECONDS = 0.1


def latency(results: Results) -> list[Element | None]:
    """Percentiles and distribution."""
    columns = {"answered": results.latency}
    if results.failed_latency.count:
        columns["failed"] = results.failed_latency
    return [
        paragraph("From sending a request to the last byte of its answer, over a connection that is open."),
        element("div", summaries(columns), histogram(results.latency), class_="beside"),
    ]


def time_lines(results: Results) -> list[Element | None]:
    """Requests, latency, CPU and memory over time."""
    charts = timeline(results.seconds_log)
    if not charts:
        return [paragraph("The run was over before its first second was.")]
    return [element("div", *charts, class_="charts")]


def errors(results: Results) -> list[Element | None]:
    """Each kind with its first examples."""
    found = [_failures(results.failures)]
    if results.fixed_rate and results.fixed_rate.failures:
        found += [element("h3", "At the fixed rate"), _failures(results.fixed_rate.failures)]
    checks = (
        f"Status and length of each answer were checked, and the bodies of {figures.count(results.checked_bodies)}: "
        f"{figures.count(results.decoded_bodies)} different ones were decoded, the others are the same byte by byte. "
        "No sequence may go back on a connection. "
        f"{figures.count(results.reconnects)} times the server closed a connection in good order and it was opened "
        "again, which is no error."
    )
    return [*found, paragraph(checks)]


def _failures(kinds: Sequence[FailureKind]) -> Element:
    if not kinds:
        return paragraph("None: no request failed.")
    rows: list[list[Content]] = []
    for kind in kinds[:_MOST_KINDS]:
        examples = [_shortened(example) for example in kind.examples[:_MOST_EXAMPLES]]
        listed = element("ul", *(element("li", element("code", example)) for example in examples))
        rows.append([_shortened(kind.kind), figures.count(kind.count), listed])
    if len(kinds) > _MOST_KINDS:
        left_out = kinds[_MOST_KINDS:]
        rows.append([f"{len(left_out):,} more kinds", figures.count(sum(kind.count for kind in left_out)), ""])
    return table(["kind", "requests", "the first ones"], rows, numbers=False)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_EXAMPLE else f"{text[:_LONGEST_EXAMPLE]}…"


def freshness(results: Results) -> list[Element | None]:
    """How old the data was that clients got."""
    found = results.freshness
    if not found.checked:
        return [paragraph("No answer was checked for its age.")]
    rows = {"p50": found.p50_seconds, "p99": found.p99_seconds, "max": found.max_seconds}
    return [
        paragraph(
            f"Age of the data in {figures.count(found.checked)} checked answers, by the server's own clock. With a new "
            "snapshot each second it lies between 0 and a little more than 1 s, half of the answers below 0.5 s."
        ),
        table(["age", "s"], [[name, _seconds(value)] for name, value in rows.items()]),
    ]


def _seconds(value: float | None) -> str:
    return figures.UNKNOWN if value is None else f"{value:,.3f}"


def sampler(results: Results) -> list[Element | None]:
    """Whether ticks delay requests, and requests delay ticks."""
    # One tick a second: of 300, p99.9 would be the max by another name.
    names = [
        name
        for name in dict.fromkeys([*results.tick_lateness_ms, *results.sweep_ms])
        if (rarity(name) or 0) <= results.seconds
    ]
    rows: list[list[Content]] = [
        [
            name,
            figures.milliseconds(results.tick_lateness_ms.get(name)),
            figures.milliseconds(results.sweep_ms.get(name)),
        ]
        for name in names
    ]
    own = table(["under load", "lateness of the tick, ms", "length of a sweep, ms"], rows) if rows else None
    if not results.tick_positions:
        return [paragraph("When in the sampling second requests were sent was not recorded."), own]
    return [_tick_conclusion(results), _tick_chart(results), own]


def _tick_conclusion(results: Results) -> Element | None:
    """The requests next to a tick: those sent just after it, and those on their way when it came, sent just before."""
    p99_ms = {part.slice: part.p99_ms for part in results.tick_positions}
    before, after = p99_ms.pop(_SLICES - 1, None), p99_ms.pop(0, None)
    others = [value for value in p99_ms.values() if value is not None]
    if before is None or after is None or not others:
        return None
    return paragraph(
        f"Of the requests that were sent in the last {_SLICE_MS} ms before a tick, and so may have been on their way "
        "when it came, p99 is ",
        element("b", figures.milliseconds(before, " ms")),
        f"; of those in the {_SLICE_MS} ms after it, ",
        element("b", figures.milliseconds(after, " ms")),
        "; in the other slices of the second it is ",
        element("b", figures.milliseconds(median(others), " ms")),
        f" (median; {figures.milliseconds(min(others))} to {figures.milliseconds(max(others))}). "
        f"So the tick's two slices differ from that median by {figures.change(before, median(others))} and "
        f"{figures.change(after, median(others))}.",
    )


def _tick_chart(results: Results) -> Element:
    parts = sorted(results.tick_positions, key=lambda part: part.slice)[:_SLICES]
    lines = [
        Line("p50", [((part.slice + 0.5) * _SLICE_MS, part.p50_ms) for part in parts], dots=True),
        Line("p99", [((part.slice + 0.5) * _SLICE_MS, part.p99_ms) for part in parts], dots=True),
    ]
    end = _SLICES * _SLICE_MS
    across = Axis("ms since the tick", 0, end, [(at, f"{at:,}") for at in range(0, end + 1, 200)])
    axes = (across, by_value("ms", [value for line in lines for _, value in line.points]))
    title = "Latency against the position inside the sampling second"
    known = [part.p99_ms for part in parts if part.p99_ms is not None]
    extent = f"from {figures.milliseconds(min(known))} to {figures.milliseconds(max(known))} ms" if known else "unknown"
    text = f"p50 and p99 of requests by the time since the last tick of the sampler, in 20 slices; p99 {extent}."
    rows: list[list[Content]] = [
        [
            f"{part.slice * _SLICE_MS} to {(part.slice + 1) * _SLICE_MS}",
            figures.count(part.requests),
            figures.milliseconds(part.p50_ms),
            figures.milliseconds(part.p99_ms),
        ]
        for part in parts
    ]
    data = data_table(["ms since the tick", "requests", "p50, ms", "p99, ms"], rows)
    return figure(title, line_chart("tick", title, text, axes, lines), data, lines)


def closed_loop(results: Results) -> list[Element | None]:
    """What the loop hides, and what a fixed rate shows of it."""
    due = results.requests_per_second * _STALL_SECONDS
    stall = figures.milliseconds(1000 * _STALL_SECONDS).partition(".")[0]
    explanation = paragraph(
        f"Each of the {results.connections} clients sends its next request when the answer to the one before is "
        f"there. While the server stalls nothing is sent: a stall of {stall} ms shows as {results.connections} slow "
        f"requests, though {due:,.0f} would have come in that time from clients that do not wait (coordinated "
        "omission). The latencies above are true for clients that wait, and too kind for others."
    )
    return [explanation, *_fixed_rate(results), element("h3", "Little's law"), _littles_law(results)]


def _fixed_rate(results: Results) -> list[Element]:
    fixed = results.fixed_rate
    if fixed is None:
        return [paragraph("There was no phase at a fixed rate in this run, so how much is hidden was not measured.")]
    return [
        paragraph(
            f"So a second phase of {figures.duration(fixed.seconds)} sent {figures.rate(fixed.wanted_per_second)} "
            "requests per second by the clock, whether answers had come or not; "
            f"{figures.rate(fixed.reached_per_second)} per second were answered. Counted from when a request was to be "
            "sent, its time holds the waiting that the closed loop hides; the difference to the time from when it was "
            "sent is that waiting alone."
        ),
        element(
            "div",
            _fixed_rate_table(results, fixed),
            percentile_curve(
                {
                    "closed loop": results.latency,
                    "fixed rate, from sent": fixed.from_sent,
                    "fixed rate, from intended": fixed.from_intended,
                }
            ),
            class_="beside",
        ),
    ]


def _fixed_rate_table(results: Results, fixed: FixedRate) -> Element:
    columns = (results.latency, fixed.from_sent, fixed.from_intended)
    rows: list[list[Content]] = [["requests", *(figures.count(column.count) for column in columns), ""]]
    values: dict[str, list[float | None]] = {"average": [column.mean_ms for column in columns]}
    for name in percentile_names(columns):
        values[name] = [column.percentiles_ms.get(name) for column in columns]
    values["max"] = [column.max_ms for column in columns]
    for name, (closed, sent, intended) in values.items():
        hidden = None if sent is None or intended is None else intended - sent
        rows.append([name, *map(figures.milliseconds, (closed, sent, intended, hidden))])
    return table(["ms", "closed loop", "fixed rate, from sent", "from intended", "difference"], rows)


def _littles_law(results: Results) -> Element:
    mean_ms, overhead = results.latency.mean_ms, results.client_overhead_connections
    if mean_ms is None or overhead is None:
        return paragraph("Without an answer there is nothing to check.")
    busy = results.requests_per_second * mean_ms / 1000
    share = 100 * overhead / results.connections if results.connections else None
    return paragraph(
        "Connections = rate · mean time. "
        f"{figures.rate(results.requests_per_second)} / s · {figures.milliseconds(mean_ms, ' ms')} = {busy:,.3f} "
        f"connections that waited for the server, of {results.connections}. The shortfall of ",
        element("b", f"{overhead:,.3f}"),
        f" ({figures.percent(share)}) is the client's own work between an answer and the next request.",
    )


def client(results: Results) -> list[Element | None]:
    """Whether the server was measured, not the client."""
    ceiling = results.calibration.requests_per_second
    share = 100 * results.requests_per_second / ceiling if ceiling else None
    rows: list[list[Content]] = [
        ["rate against a server that does nothing", f"{figures.rate(ceiling)} / s", ""],
        ["rate of this run", f"{figures.rate(results.requests_per_second)} / s", ""],
        ["share of the ceiling", figures.percent(share), f"below {figures.percent(100 * MAX_SHARE_OF_CEILING)}"],
        [
            "CPU of the client in this run",
            figures.percent(results.client_cpu_percent),
            f"up to {figures.percent(MAX_CLIENT_CPU_PERCENT)} of a core",
        ],
        ["CPU of the client at its ceiling", figures.percent(results.calibration.client_cpu_percent), ""],
    ]
    return [
        paragraph(
            f"Just before the run the client was driven against a null server for "
            f"{figures.duration(results.calibration.seconds)}. A run that comes near to that ceiling, or fills the "
            "client's core, measures the client and is INVALID."
        ),
        table(["", "found", "allowed"], rows),
    ]


def server(results: Results) -> list[Element | None]:
    """What a request cost, and whether memory grew."""
    cost = cpu_per_request_us(results)
    rows: list[list[Content]] = [["CPU time per request", f"{figures.rate(cost)} µs" if cost else figures.UNKNOWN]]
    memory = results.memory
    if memory is not None:
        growth = figures.change(memory.at_end_bytes, memory.after_warm_up_bytes)
        rows += [
            ["resident memory after the warm-up", figures.mebibytes(memory.after_warm_up_bytes)],
            ["at the end", f"{figures.mebibytes(memory.at_end_bytes)} ({growth})"],
            ["highest", figures.mebibytes(memory.highest_bytes)],
        ]
    return [paragraph("All processes of the server together."), table(["", ""], rows)]


def environment(results: Results) -> list[Element | None]:
    """Where it ran."""
    found = results.environment
    body = (
        figures.bytes_exact(found.shortest_body_bytes)
        if found.shortest_body_bytes == found.longest_body_bytes
        else f"{found.shortest_body_bytes:,} to {figures.bytes_exact(found.longest_body_bytes)}"
    )
    rows = {
        **found.rows,
        "git revision": found.git_revision or figures.UNKNOWN,
        "processes watched": figures.count(found.processes_watched),
        "body of an answer": body,
        "URL": results.url,
        "connections": figures.count(results.connections),
        "started": results.started,
        "warm-up, not counted": figures.duration(results.warm_up_seconds),
        "measured": f"{results.seconds:,.3f} s",
    }
    return [table(["", ""], list(rows.items()), numbers=False)]
