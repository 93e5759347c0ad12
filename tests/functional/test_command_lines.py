"""Command lines are shown only on request, with secrets masked."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import httpx
import pytest
from live_server import CPUWATCH_SERVE, HYPERCORN, run, running_server

from cpuwatch import ProcessUsage, decode

pytestmark = pytest.mark.timeout(60)

ARGUMENTS = [b"--password", b"s3cr3t", b"\xff\x1b[31m\n<b>&'\"", b"https://bob:s3cr3t@host/"]
SHOWN = "--password *** \\xff\x1b[31m\n<b>&'\" https://bob:***@host/"


@pytest.fixture(scope="module")
def child() -> Iterator[subprocess.Popen[bytes]]:
    """Start a process with these arguments that waits."""
    with subprocess.Popen([b"sh", b"-c", b"read line", b"sh", *ARGUMENTS], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("backend", ["procfs", "psutil"])
@pytest.mark.parametrize("command", [CPUWATCH_SERVE, HYPERCORN], ids=["cpuwatch", "hypercorn"])
def test_command_lines_are_shown_on_request_with_secrets_masked(
    child: subprocess.Popen[bytes], command: tuple[str, ...], backend: str
) -> None:
    settings = {"CPUWATCH_COMMAND_LINES": "true", "CPUWATCH_BACKEND": backend, "CPUWATCH_INTERVAL": "0.2"}
    with running_server(command, **settings) as server, httpx.Client(base_url=server.url) as client:
        everything = client.get("/cpu_usage")
        row: ProcessUsage = next(row for row in decode(everything.content).processes if row.pid == child.pid)
        assert row.command_line == f"sh -c read line sh {SHOWN}"
        assert client.get(f"/cpu_usage/{child.pid}").json()["process"]["command_line"] == row.command_line
        chosen = client.get(f"/cpu_usage?pid={child.pid}&fields=pid,command_line").json()
        assert chosen["processes"] == [{"pid": child.pid, "command_line": row.command_line}]
        table = client.get(f"/cpu_usage?pid={child.pid}&fields=pid,command_line&format=text").text
        assert "\x1b" not in table
        assert "sh -c read line sh --password *** \\xff\\x1b[31m\\n<b>" in table
        lines = client.get(f"/cpu_usage?pid={child.pid}&format=ndjson").text.splitlines()
        assert json.loads(lines[1])["command_line"] == row.command_line
        for path in ("/cpu_usage", "/metrics?per_process=true", "/cpu_usage/history?seconds=60", "/"):
            assert "s3cr3t" not in client.get(path).text
    assert "s3cr3t" not in server.output


@pytest.mark.parametrize("command", [CPUWATCH_SERVE, HYPERCORN], ids=["cpuwatch", "hypercorn"])
def test_command_lines_are_not_shown_by_default(child: subprocess.Popen[bytes], command: tuple[str, ...]) -> None:
    with running_server(command, CPUWATCH_INTERVAL="0.2") as server:
        answer = httpx.get(f"{server.url}/cpu_usage")
        rows = {row.pid: row for row in decode(answer.content).processes}
    assert child.pid in rows
    assert {row.command_line for row in rows.values()} == {None}
    assert b"read line" not in answer.content


def test_sample_has_a_flag_for_command_lines(child: subprocess.Popen[bytes]) -> None:
    query = ("--interval", "0.1", "--pid", str(child.pid), "--json")
    asked, not_asked = (run("sample", *query, *flag) for flag in (["--command-lines"], []))
    assert decode(asked.stdout).processes[0].command_line == f"sh -c read line sh {SHOWN}"
    assert decode(not_asked.stdout).processes[0].command_line is None
