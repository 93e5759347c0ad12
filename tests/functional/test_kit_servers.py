"""The servers that the benchmarks start end with the benchmark."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent

BENCHMARK = """
import sys, time
from benchmarks.servers import exit_on_sigterm, free_port, serving

exit_on_sigterm()
port = free_port()
with serving([sys.executable, "-m", "http.server", "-b", "127.0.0.1", str(port)], port, "/") as pid:
    print(pid, flush=True)
    time.sleep(60)
"""


def test_sigterm_to_a_benchmark_ends_its_server() -> None:
    with subprocess.Popen([sys.executable, "-c", BENCHMARK], stdout=subprocess.PIPE, text=True, cwd=ROOT) as benchmark:
        try:
            assert benchmark.stdout is not None
            server = Path("/proc", benchmark.stdout.readline().strip())
            assert server.exists()
            benchmark.send_signal(signal.SIGTERM)
            assert benchmark.wait(30) == 128 + signal.SIGTERM
        finally:
            benchmark.kill()

    assert not server.exists()
