"""What the live page costs the browser: ``python benchmarks/page.py`` prints its script time for each tick.

Real processes, the real server, Debian's Chromium without a screen. Script time is all JavaScript of the page's own
thread, from the message with a tick to the end of drawing; task time holds style, layout and painting too, from
Chromium's own counters (Performance.getMetrics of the DevTools protocol). Needs ``playwright`` and ``chromium``.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import time
from contextlib import ExitStack
from typing import Any

from playwright.sync_api import CDPSession, sync_playwright
from processes import count_processes, forked
from servers import free_port, serving

_SETTLING_SECONDS = 5
_WATCH = """
    window.drawn = [];
    window.longTasks = 0;
    new PerformanceObserver((list) => { longTasks += list.getEntries().length; }).observe({ type: "longtask" });
    const request = requestAnimationFrame.bind(window);
    window.requestAnimationFrame = (draw) => request((at) => {
        const begin = performance.now();
        draw(at);
        drawn.push(performance.now() - begin);
    });
"""
_VIEWS = {
    "every process": "",
    "tree": "#view=tree",
    "by name": "#view=name",
    "filtered by a regex": "#filter=%2Fa%7Ce%2F",
}


def metrics(session: CDPSession) -> dict[str, float]:
    """Chromium's counters of this page; times in seconds."""
    found: dict[str, Any] = session.send("Performance.getMetrics")
    return {metric["name"]: metric["value"] for metric in found["metrics"]}


def main() -> None:
    """See the docstring of the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=5000, help="make the machine have so many, if it has fewer")
    parser.add_argument("--seconds", type=float, default=15.0, help="for each view")
    options = parser.parse_args()

    with ExitStack() as stack:
        stack.enter_context(forked(max(0, options.processes - count_processes()), 0.05))
        port = free_port()
        stack.enter_context(serving(["cpuwatch", "serve", "--bind", f"127.0.0.1:{port}"], port, "/readyz"))
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        stack.callback(browser.close)
        print(f"{count_processes()} processes, a tick a second, {options.seconds:g} s for each view\n")
        print(
            "| view | script per tick, ms | drawing, median ms | worst ms | tasks > 50 ms | task per tick, ms "
            "| DOM rows | heap, MB |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
        )
        for name, fragment in _VIEWS.items():
            context = browser.new_context(viewport={"width": 1600, "height": 900})
            page = context.new_page()
            page.add_init_script(_WATCH)
            page.goto(f"http://127.0.0.1:{port}/{fragment}")
            page.wait_for_selector("tr:not(.spacer) .c-cpu_percent")
            time.sleep(_SETTLING_SECONDS)
            session = context.new_cdp_session(page)
            session.send("Performance.enable")
            page.evaluate("drawn.length = 0; longTasks = 0")
            before = metrics(session)
            page.wait_for_timeout(options.seconds * 1000)
            after = metrics(session)
            drawn: list[float] = page.evaluate("drawn")
            spent = {key: 1000 * (after[key] - before[key]) / len(drawn) for key in ("ScriptDuration", "TaskDuration")}
            print(
                f"| {name} | {spent['ScriptDuration']:.1f} | {statistics.median(drawn):.1f} | {max(drawn):.1f} "
                f"| {page.evaluate('longTasks')} | {spent['TaskDuration']:.1f} "
                f"| {page.locator('tbody tr').count()} | {after['JSHeapUsedSize'] / 1e6:.1f} |"
            )
            context.close()


if __name__ == "__main__":
    main()
