"""A third-party sampler is found by its name once its package is installed."""

from __future__ import annotations

import os
import subprocess
import sys

import httpx
import pytest
from live_processes import CHILDREN
from live_server import CPUWATCH_SERVE, Server, environment, run
from plugin_package import install_plugin, search_path

from cpuwatch import decode

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a PYTHONPATH with the sampler."""
    return install_plugin(tmp_path_factory.mktemp("plugin"))


def sampled(backend: str, path: str) -> str:
    command = [sys.executable, str(CHILDREN / "plugin_sampler.py"), backend]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=50, env=environment(PYTHONPATH=path)
    )
    return done.stdout


def test_an_installed_sampler_is_opened_by_its_name(installed: str) -> None:
    snapshot = decode(sampled("ownprocess", installed))
    assert snapshot.host.backend == "ownprocess"
    assert [row.name for row in snapshot.processes] == ["own"]


def test_the_error_for_an_unknown_name_lists_the_installed_samplers(installed: str) -> None:
    output = sampled("none-such", installed)
    assert output.startswith("UnknownSamplerError: ")
    for name in ("'none-such'", "auto", "procfs", "psutil", "ownprocess", "broken"):
        assert name in output


def test_a_sampler_is_unknown_without_its_package() -> None:
    output = sampled("ownprocess", os.pathsep.join(search_path()))
    assert output.startswith("UnknownSamplerError: ")
    assert output.endswith("auto, procfs, psutil")


def test_an_installed_sampler_can_be_named_on_the_command_line(installed: str) -> None:
    done = run("sample", "--json", "--interval", "0.1", "--backend", "ownprocess", PYTHONPATH=installed)
    assert done.returncode == 0
    assert decode(done.stdout).host.backend == "ownprocess"


def test_readyz_gives_the_reason_if_the_sampler_fails(installed: str) -> None:
    server = Server(
        (*CPUWATCH_SERVE, "--backend", "broken", "--interval", "0.1"),
        PYTHONPATH=installed,
    )
    try:
        ready = httpx.get(f"{server.url}/readyz", timeout=10)
        assert ready.status_code == 503
        assert ready.headers["content-type"] == "application/problem+json"
        assert "RuntimeError: this backend is broken on purpose" in ready.json()["detail"]
        assert httpx.get(f"{server.url}/livez").status_code == 200
        assert httpx.get(f"{server.url}/cpu_usage").status_code == 503
        assert server.stop(within=3) == 0
    finally:
        server.clean_up()
    # Logged once, regardless of the number of failed ticks.
    assert server.output.count("a tick failed") == 1


def test_a_sampler_without_command_lines_reports_that_when_they_are_requested(installed: str) -> None:
    done = run("sample", "--backend", "ownprocess", "--command-lines", PYTHONPATH=installed)
    assert done.returncode == 1
    assert done.stderr == "cpuwatch: the sampler 'ownprocess' cannot read command lines: only procfs and psutil can\n"
