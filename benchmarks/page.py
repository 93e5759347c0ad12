"""The cost of the live page in the browser: ``python -m benchmarks.page`` prints it for each view.

Real processes, the real server, Debian's Chromium in headless mode. Needs ``playwright`` and ``chromium``.

- *tick to paint*: all script of the page's thread for one tick, from its message to the end of drawing.
- *script*, *style and layout*: Chromium's counters (Performance.getMetrics of the DevTools protocol), per second.
- *longest task* of that thread, and the number of tasks above 50 ms, in wall time / CPU time. They differ if the thread
  had to wait, because the browser shares the machine with all those processes. From Chromium's trace, separately for
  the start (until all rows and their history are shown) and the ticks after it.
- *heap* after garbage collection: of the page, and of the worker that reads the stream.

``--heap-minutes 10`` then watches the heap for that time, under a changing load, and prints its growth.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from benchmarks import say
from benchmarks.processes import count_processes, forked
from benchmarks.servers import exit_on_sigterm, find_program, free_port, serving
from benchmarks.tables import markdown_table

_STARTING_SECONDS = 6
_HISTORY_SECONDS = 15
_LONG_MS = 50
_BEGUN, _STARTED = "cpuwatch begun", "cpuwatch started"
_HEADINGS = (
    "view",
    "tick to paint, median ms",
    "worst ms",
    "script per second, ms",
    "style and layout, ms",
    "longest task at start, ms",
    f"> {_LONG_MS} ms",
    "longest task after, ms",
    f"> {_LONG_MS} ms",
    "DOM rows",
    "heap, MB",
)
_WATCH = """
    performance.mark("cpuwatch begun");
    window.ticks = [];
    let spent = 0;
    const { set } = Object.getOwnPropertyDescriptor(MessagePort.prototype, "onmessage");
    Object.defineProperty(MessagePort.prototype, "onmessage", { set(handler) {
        set.call(this, (event) => {
            const begin = performance.now();
            handler(event);
            spent += performance.now() - begin;
        });
    } });
    const request = requestAnimationFrame.bind(window);
    window.requestAnimationFrame = (draw) => request((at) => {
        const begin = performance.now();
        draw(at);
        if (spent > 0) ticks.push(spent + performance.now() - begin);
        spent = 0;
    });
"""
_VIEWS = {
    "every process": "",
    "tree": "#view=tree",
    "by name": "#view=name",
    "filtered by a regex": "#filter=%2Fa%7Ce%2F",
}


class Task(NamedTuple):
    """A task of the page's thread: wall and CPU time in milliseconds."""

    wall: float
    cpu: float


def metrics(session: CDPSession) -> dict[str, float]:
    """Chromium's counters of this page; times in seconds."""
    found: dict[str, Any] = session.send("Performance.getMetrics")
    return {metric["name"]: metric["value"] for metric in found["metrics"]}


def heap_mb(session: CDPSession) -> float:
    """The heap of the page's thread after garbage collection."""
    session.send("HeapProfiler.collectGarbage")
    used: float = session.send("Runtime.getHeapUsage")["usedSize"]
    return used / 1e6


class SharedWorkers:
    """The shared workers of a browser, over raw DevTools messages, because Playwright does not expose them."""

    def __init__(self, browser: Browser) -> None:
        self._session = browser.new_browser_cdp_session()
        self._responses: dict[int, dict[str, Any]] = {}
        self._requests = 0
        self._session.on("Target.receivedMessageFromTarget", self._receive)

    def heap_mb(self, page: Page) -> float:
        """The heap of all shared workers after garbage collection."""
        targets = self._session.send("Target.getTargets")["targetInfos"]
        return sum(self._heap_mb(page, one["targetId"]) for one in targets if one["type"] == "shared_worker")

    def _heap_mb(self, page: Page, target: str) -> float:
        attached = self._session.send("Target.attachToTarget", {"targetId": target, "flatten": False})["sessionId"]
        self._request(page, attached, "HeapProfiler.collectGarbage")
        used: float = self._request(page, attached, "Runtime.getHeapUsage")["usedSize"]
        self._session.send("Target.detachFromTarget", {"sessionId": attached})
        return used / 1e6

    def _request(self, page: Page, session: str, method: str) -> dict[str, Any]:
        self._requests += 1
        message = json.dumps({"id": self._requests, "method": method})
        self._session.send("Target.sendMessageToTarget", {"sessionId": session, "message": message})
        deadline = time.monotonic() + 10
        while self._requests not in self._responses:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the worker did not answer {method}")
            page.wait_for_timeout(20)
        return self._responses.pop(self._requests)

    def _receive(self, event: dict[str, Any]) -> None:
        message = json.loads(event["message"])
        if "id" in message:
            self._responses[message["id"]] = message.get("result", {})


def long_and_longest(trace: Path) -> tuple[list[Task], list[Task]]:
    """Tasks of the page's thread: during the start, and after it."""
    events = json.loads(trace.read_text("utf-8"))["traceEvents"]
    marks = {event["name"]: event for event in events if event["name"] in {_BEGUN, _STARTED}}
    thread = (marks[_STARTED]["pid"], marks[_STARTED]["tid"])
    started = marks[_STARTED]["ts"]
    tasks = [
        (event["ts"], Task(event["dur"] / 1000, event.get("tdur", 0) / 1000))
        for event in events
        if event["ph"] == "X"
        and event["name"] == "ThreadControllerImpl::RunTask"
        and (event["pid"], event["tid"]) == thread
        and event["ts"] >= marks[_BEGUN]["ts"]
    ]
    return [task for at, task in tasks if at < started], [task for at, task in tasks if at >= started]


def task_cells(tasks: list[Task]) -> tuple[str, str]:
    """The longest task and the number of long tasks, each in wall and CPU time."""
    times = list(zip(*tasks, strict=True))
    longest = " / ".join(f"{max(milliseconds):.0f}" for milliseconds in times)
    long = " / ".join(str(sum(one > _LONG_MS for one in milliseconds)) for milliseconds in times)
    return longest, long


@contextmanager
def opened(browser: Browser, url: str) -> Iterator[tuple[Page, CDPSession]]:
    """The page in a new window."""
    context = browser.new_context(viewport={"width": 1600, "height": 900})
    page = context.new_page()
    page.add_init_script(_WATCH)
    page.goto(url)
    page.wait_for_selector("tr:not(.spacer) .c-cpu_percent")
    session = context.new_cdp_session(page)
    session.send("Performance.enable")
    yield page, session
    context.close()


def measure_view(browser: Browser, workers: SharedWorkers, url: str, name: str, seconds: float) -> Sequence[str]:
    """The cells of one view."""
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        browser.start_tracing(path=trace, categories=["toplevel", "blink.user_timing"])
        with opened(browser, url) as (page, session):
            page.wait_for_timeout(_STARTING_SECONDS * 1000)
            page.evaluate(f"performance.mark('{_STARTED}'); ticks.length = 0")
            before = metrics(session)
            page.wait_for_timeout(seconds * 1000)
            after = metrics(session)
            browser.stop_tracing()
            spent = {key: 1000 * (after[key] - before[key]) / seconds for key in after if key.endswith("Duration")}
            ticks: list[float] = page.evaluate("ticks")
            start, rest = long_and_longest(trace)
            return (
                name,
                f"{statistics.median(ticks):.1f}",
                f"{max(ticks):.1f}",
                f"{spent['ScriptDuration']:.1f}",
                f"{spent['RecalcStyleDuration'] + spent['LayoutDuration']:.1f}",
                *task_cells(start),
                *task_cells(rest),
                str(page.locator("tbody tr").count()),
                f"{heap_mb(session):.1f} + {workers.heap_mb(page):.1f}",
            )


def watch_heap(browser: Browser, workers: SharedWorkers, url: str, minutes: float) -> None:
    """Measure the heap every half minute, and print it with its growth in the second half of the time."""
    seen: list[tuple[float, float, float]] = []
    rows: list[list[str]] = []
    with (
        opened(browser, url) as (page, session),
        subprocess.Popen(["sh", "-c", "while :; do /bin/true; sleep 0.02; done"]) as storm,
    ):
        try:
            begin = time.monotonic()
            while not seen or seen[-1][0] < minutes:
                page.wait_for_timeout(min(30.0, 60 * minutes / 8) * 1000)
                minute, of_page, of_worker = (time.monotonic() - begin) / 60, heap_mb(session), workers.heap_mb(page)
                counted = metrics(session)
                seen.append((minute, of_page, of_worker))
                counts = (f"{counted[name]:.0f}" for name in ("Nodes", "JSEventListeners"))
                rows.append([f"{minute:.1f}", f"{of_page:.2f}", f"{of_worker:.2f}", *counts])
                say(f"heap after {minute:.1f} of {minutes:g} minutes")
        finally:
            storm.kill()
    print(f"\nheap over {minutes:g} minutes, with a shell that starts processes continuously, MB after collection\n")
    print(markdown_table(["minute", "page", "worker", "DOM nodes", "listeners"], rows))
    later = seen[len(seen) // 2 :]
    if len(later) > 1:
        at = [minute for minute, _, _ in later]
        growth = [statistics.linear_regression(at, [row[which] for row in later]).slope for which in (1, 2)]
        print(f"\nsecond half: page {growth[0]:+.3f} MB a minute, worker {growth[1]:+.3f}")


def main() -> None:
    """See the docstring of the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=5000, help="start processes until the machine has this number")
    parser.add_argument("--seconds", type=float, default=15.0, help="for each view; 0 leaves them out")
    parser.add_argument("--heap-minutes", type=float, default=0.5, help="for the heap; 0 leaves it out")
    options = parser.parse_args()
    exit_on_sigterm()
    program = find_program("cpuwatch")
    if program is None:
        parser.error("cpuwatch: command not found")

    with ExitStack() as stack:
        stack.enter_context(forked(max(0, options.processes - count_processes()), 0.05))
        port = free_port()
        stack.enter_context(serving([program, "serve", "--bind", f"127.0.0.1:{port}"], port, "/readyz"))
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        stack.callback(browser.close)
        workers = SharedWorkers(browser)
        print(f"{count_processes()} processes, a tick a second, {options.seconds:g} s for each view\n")
        # Gives the page a history to fetch, as on a service that has run for a while.
        time.sleep(_HISTORY_SECONDS)
        url = f"http://127.0.0.1:{port}/"
        if options.seconds:
            rows = []
            for name, fragment in _VIEWS.items():
                say(name)
                rows.append(measure_view(browser, workers, url + fragment, name, options.seconds))
            print(markdown_table(_HEADINGS, rows))
        if options.heap_minutes:
            watch_heap(browser, workers, url, options.heap_minutes)


if __name__ == "__main__":
    main()
