"""Real stores receive what cpuwatch pushes, and it equals what the kernel and the processes themselves count."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from live_processes import CHILDREN, puppet
from live_server import SCRIPTS, environment
from metric_stores import Store, prometheus_store, victoria_metrics_receives_otlp, victoria_metrics_store

from benchmarks.accounting_group import AccountingGroup, NoGroupError, accounting_group, used_ns
from cpuwatch.push.payload import MAX_SERIES

TICKS_OFF_SECONDS = 2 / os.sysconf("SC_CLK_TCK")
"""``cutime`` and ``cstime`` are each rounded down to a tick (proc_pid_stat(5))."""

pytestmark = [
    pytest.mark.any_python,
    pytest.mark.timeout(180),
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs prometheus (Debian's package prometheus)"),
]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Store]]:
    """Prometheus with remote write, and VictoriaMetrics with OTLP: Debian 13's; that of Debian 12 does not know it."""
    with ExitStack() as running:
        stores = [running.enter_context(prometheus_store(tmp_path_factory.mktemp("prometheus")))]
        if victoria_metrics_receives_otlp():
            stores.append(running.enter_context(victoria_metrics_store(tmp_path_factory.mktemp("victoria"))))
        yield stores


@pytest.fixture
def group() -> Iterator[AccountingGroup]:
    try:
        # A scope is a unit, so no unit around it counts in its place.
        with accounting_group(".scope") as made:
            yield made
    except NoGroupError as error:
        pytest.skip(str(error))


@contextmanager
def pushing(stores: list[Store], instance: str) -> Iterator[None]:
    """Push to all stores until the end of the block; each has data when it begins."""
    flags = [flag for store in stores for flag in store.flags]
    command = [str(SCRIPTS / "cpuwatch"), "push", "--push-interval", "1s", "--interval", "0.2", *flags]
    settings = environment(OTEL_RESOURCE_ATTRIBUTES=f"service.instance.id={instance}")
    before = [store.value(ticks(instance)) for store in stores]
    with ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=settings)
        )
        stack.callback(process.kill)
        for store, taken in zip(stores, before, strict=True):
            store.wait_for(ticks(instance), taken + 1)
        yield
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=30)
        assert process.returncode == 0, output
        assert output.count("dropped 0, rejected 0") == len(stores), output


def ticks(instance: str) -> str:
    return f'sum(increase(cpuwatch_ticks_total{{state="taken", INSTANCE="{instance}"}}[1h]))'


def increase(metric: str, instance: str, **labels: str) -> str:
    matchers = ", ".join(f'{name}="{value}"' for name, value in {"INSTANCE": instance, **labels}.items())
    return f"sum(increase({metric}{{{matchers}}}[1h]))"


def by_name(instance: str, name: str) -> str:
    return increase("cpuwatch_cpu_time_by_name_seconds_total", instance, name=name)


def assert_stored(
    stores: list[Store], query: str, seconds: float, slack_seconds: float = 0.0, extra_seconds: float = 0.0
) -> None:
    """Check that each store has this increase, as soon as it has all of it.

    It may differ by 1 % or the slack, and may include up to ``extra_seconds`` more.
    """
    allowed = max(0.01 * seconds, slack_seconds)
    for store in stores:
        store.wait_for(query, seconds - allowed)
        assert store.value(query) <= seconds + allowed + extra_seconds


@pytest.mark.parametrize(("load", "seconds"), [("job", "3"), ("forks", "8")])
def test_the_cpu_time_of_a_cgroup_is_stored(
    stores: list[Store], group: AccountingGroup, load: str, seconds: str
) -> None:
    command = [sys.executable, "-I", "-S", str(CHILDREN / "workloads.py"), load, seconds]
    enter = f'echo $$ > "{group.folder}/cgroup.procs" && exec "$@"'
    with (
        pushing(stores, load),
        subprocess.Popen(["sh", "-c", enter, "sh", *command], stdout=subprocess.PIPE) as process,
    ):
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"done\n"
            used_seconds = used_ns(group.counter) / 1e9
            assert used_seconds > 1, "the load used too little CPU for a comparison"
            query = increase("cpuwatch_cpu_time_by_cgroup_seconds_total", load, cgroup=group.path)
            assert_stored(stores, query, used_seconds, TICKS_OFF_SECONDS)
        finally:
            process.kill()


def test_a_renamed_worker_counts_for_each_name(stores: list[Store]) -> None:
    with pushing(stores, "renamed"), puppet() as child:
        start_seconds = child.clock().cpu_ns / 1e9
        for name, milliseconds in (("worker-one", 1000), ("worker-two", 2000)):
            child.rename(name.encode())
            before_ns = child.clock().cpu_ns
            used_seconds = (child.spend(milliseconds).cpu_ns - before_ns) / 1e9
            # The name at the end of a tick counts for all of it, so the start of the process may be included.
            assert_stored(stores, by_name("renamed", name), used_seconds, extra_seconds=start_seconds)


def test_a_restart_neither_loses_nor_repeats_cpu_time(stores: list[Store]) -> None:
    used_seconds = 0.0
    # The counter is higher after the restart than before, so its values do not show the reset.
    with puppet() as child:
        child.rename(b"restarted")
        for milliseconds in (500, 1500):
            with pushing(stores, "restart"):
                before_ns = child.clock().cpu_ns
                used_seconds += (child.spend(milliseconds).cpu_ns - before_ns) / 1e9
                assert_stored(stores, by_name("restart", "restarted"), used_seconds, 0.02)


def test_the_series_of_a_host_are_few_and_add_up_to_its_busy_time(stores: list[Store]) -> None:
    with pushing(stores, "sum"), puppet() as child:
        child.spend(2000)
        for store in stores:
            assert 40 < store.count('{INSTANCE="sum"}') <= MAX_SERIES
    # These counters do not begin at 0, so Prometheus would extrapolate their increase.
    modes = 'system_cpu_time_seconds_total{INSTANCE="sum", cpu_mode!~"idle|iowait"}[1h]'
    excess = increase("cpuwatch_cpu_time_excess_seconds_total", "sum")
    for store in stores:
        busy = f"sum(max_over_time({modes}) - min_over_time({modes}))"
        store.wait_for(busy, 1)
        for metric in ("cpuwatch_cpu_time_by_name_seconds_total", "cpuwatch_cpu_time_by_cgroup_seconds_total"):
            # VictoriaMetrics may show the last samples of one series a moment before those of another.
            store.wait_for(f"({increase(metric, 'sum')} - {excess}) / {busy}", 0.99)
            assert store.value(f"({increase(metric, 'sum')} - {excess}) / {busy}") <= 1.01


def test_without_a_receiver_the_error_says_what_to_give() -> None:
    refused = subprocess.run(
        [str(SCRIPTS / "cpuwatch"), "push"], capture_output=True, text=True, check=False, timeout=60, env=environment()
    )
    assert refused.returncode == 2
    assert refused.stderr == ("cpuwatch: no receiver is named: use --otlp-endpoint URL or --remote-write-url URL\n")
