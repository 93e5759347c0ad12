"""Commands start, or report the reason in one line, and stop when asked to."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import psutil
import pytest
from live_server import CPUWATCH_SERVE, HYPERCORN, SCRIPTS, Server, environment, run, running_server

from cpuwatch import decode

pytestmark = pytest.mark.timeout(60)

STOP_SECONDS = 3
SIGNALS = [signal.SIGINT, signal.SIGTERM]


@contextmanager
def idle_connection(server: Server) -> Iterator[socket.socket]:
    """Open a connection that has been answered and stays open."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        while b'"alive"}' not in answer:
            part = connection.recv(4096)
            assert part, f"the server closed the connection after {answer!r}"
            answer += part
        yield connection


def assert_one_line(text: str, *expected: str) -> None:
    assert text.count("\n") == 1, text
    for part in expected:
        assert part in text


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_stops_the_server(number: signal.Signals) -> None:
    with running_server(CPUWATCH_SERVE) as server:
        assert server.stop(number, within=STOP_SECONDS) == 0
    assert "Traceback" not in server.output


@pytest.mark.parametrize("number", SIGNALS)
def test_an_open_connection_does_not_prevent_the_shutdown(number: signal.Signals) -> None:
    with running_server(CPUWATCH_SERVE) as server, idle_connection(server) as connection:
        assert server.stop(number, within=STOP_SECONDS) == 0
        assert connection.recv(4096) == b""
    assert "Traceback" not in server.output


def test_an_unfinished_request_does_not_prevent_the_shutdown() -> None:
    with running_server(CPUWATCH_SERVE) as server:
        address = urlsplit(server.url)
        with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
            connection.sendall(b"GET /cpu_usage HTTP/1.1\r\nHost: loc")
            assert server.stop(within=STOP_SECONDS) == 0
    assert "Traceback" not in server.output


def test_a_client_that_does_not_read_does_not_prevent_the_shutdown() -> None:
    with running_server(CPUWATCH_SERVE) as server:
        address = urlsplit(server.url)
        with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
            request = b"GET /cpu_usage HTTP/1.1\r\nHost: localhost\r\n\r\n"
            # When nothing more can be sent, the server has stopped reading, because its responses are stuck.
            connection.settimeout(0.5)
            with suppress(TimeoutError):
                while True:
                    connection.sendall(request * 100)
            assert server.stop(within=STOP_SECONDS) == 0
    assert "aborted 1 connections" in server.output


def test_a_signal_stops_hypercorn() -> None:
    with running_server(HYPERCORN) as server:
        assert server.stop() == 0


@pytest.mark.parametrize("backend", ["procfs", "psutil"])
def test_flags_override_the_environment(backend: str) -> None:
    command = (*CPUWATCH_SERVE, "--interval", "0.1", "--backend", backend, "--history", "5")
    with running_server(command, CPUWATCH_BACKEND="none-such", CPUWATCH_INTERVAL="3600"):
        pass


def test_a_port_in_use_is_reported_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        place = f"127.0.0.1:{other.getsockname()[1]}"
        done = run("serve", "--bind", place)
    assert done.returncode == 1
    assert_one_line(done.stderr, place, "in use")
    assert done.stdout == ""


def test_an_address_of_another_machine_is_reported_in_one_line() -> None:
    # 192.0.2.0/24 is reserved for documentation (RFC 5737).
    done = run("serve", "--bind", "192.0.2.1:8845", "--open-to-everyone")
    assert done.returncode == 1
    assert_one_line(done.stderr, "192.0.2.1:8845")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "COMMAND"),
        (["--nonsense"], "COMMAND"),
        (["bake"], "bake"),
        (["serve", "--nonsense"], "--nonsense"),
        (["serve", "--bind", "nowhere"], "HOST:PORT"),
        (["serve", "--bind", "127.0.0.1:70000"], "HOST:PORT"),
        (["serve", "--interval", "0"], "0.05"),
        (["serve", "--interval", "nan"], "0.05"),
        (["serve", "--history", "many"], "86400"),
        (["serve", "--backend", "none-such"], "procfs"),
        (["sample", "--interval", "soon"], "seconds"),
        (["sample", "--top", "0"], "--top"),
        (["sample", "--backend", "none-such"], "psutil"),
    ],
)
def test_invalid_flags_and_values_are_reported_in_one_line(arguments: list[str], expected: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert_one_line(done.stderr, expected)
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("CPUWATCH_INTERVAL", "0", "0.05"),
        ("CPUWATCH_HISTORY", "-1", "86400"),
        ("CPUWATCH_BACKEND", "none-such", "procfs"),
        ("CPUWATCH_TOKEN_FIEL", "/run/token", "CPUWATCH_TOKEN_FILE"),
    ],
)
def test_an_invalid_setting_is_reported_in_one_line(setting: str, value: str, expected: str) -> None:
    done = run("serve", "--bind", "127.0.0.1:0", **{setting: value})
    assert done.returncode == 2
    assert_one_line(done.stderr, expected)
    assert value in done.stderr or setting in done.stderr


def test_hypercorn_does_not_start_with_an_invalid_setting_and_names_it() -> None:
    done = subprocess.run(
        HYPERCORN,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
        env=environment(CPUWATCH_INTERVAL="never"),
    )
    # Hypercorn 0.18 has no exit code for a failed worker.
    assert "CPUWATCH_INTERVAL: invalid interval 'never': must be a number of seconds" in done.stderr
    assert "Running on" not in done.stderr


def test_the_version_is_printed() -> None:
    done = run("--version")
    assert done.returncode == 0
    assert_one_line(done.stdout, "cpuwatch ")


def test_a_sample_as_json_is_a_snapshot() -> None:
    done = run("sample", "--json", "--interval", "0.1")
    assert (done.returncode, done.stderr) == (0, "")
    snapshot = decode(done.stdout)
    assert os.getpid() in {row.pid for row in snapshot.processes}
    assert json.loads(done.stdout)["sequence"] == snapshot.sequence


def test_a_sample_shows_at_most_the_given_number_of_processes() -> None:
    done = run("sample", "--json", "--interval", "0.1", "--top", "3")
    assert len(decode(done.stdout).processes) == 3


def test_a_sample_is_a_table_by_default() -> None:
    done = run("sample", "--interval", "0.1", "--top", "2")
    assert (done.returncode, done.stderr) == (0, "")
    heading, *rows, left_out = done.stdout.split("\n\n")[1].splitlines()
    assert heading.split()[0] == "PID"
    assert len(rows) == 2
    assert left_out.endswith(" more (--all shows them)")


def test_the_module_is_the_command() -> None:
    command = [sys.executable, "-m", "cpuwatch", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=50)
    assert done.stdout == run("--version").stdout


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_reader_that_closes_the_pipe_is_not_an_error(form: list[str]) -> None:
    command = [str(SCRIPTS / "cpuwatch"), "sample", "--interval", "0.1", *form]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        # Before anything is written, as `| head -1` may do.
        process.stdout.close()
        complaint = process.stderr.read()
    assert (process.returncode, complaint) == (0, "")


def wait_until_it_samples(pid: int) -> None:
    """Wait until the command sleeps between two readings, with files of /proc open.

    An interrupt during an import can be lost, in a callback that cannot raise.
    """
    deadline = time.monotonic() + 20
    process = psutil.Process(pid)
    before = None
    while "/proc/stat" not in {file.path for file in process.open_files()} or process.cpu_times() != before:
        assert time.monotonic() < deadline, "it does not sample"
        before = process.cpu_times()
        time.sleep(0.1)


def test_control_c_stops_a_sample_at_once() -> None:
    command = [str(SCRIPTS / "cpuwatch"), "sample", "--interval", "30", "--backend", "procfs"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        try:
            wait_until_it_samples(process.pid)
            process.send_signal(signal.SIGINT)
            output, complaint = process.communicate(timeout=STOP_SECONDS)
        finally:
            process.kill()
    assert process.returncode == 130
    assert (output, complaint) == ("", "")
