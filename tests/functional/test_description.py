"""The OpenAPI document compared with the service, by Schemathesis (schemathesis.io)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import httpx
import pytest
from live_server import CPUWATCH_SERVE, HYPERCORN, SCRIPTS, environment, running_server

pytestmark = [pytest.mark.timeout(150), pytest.mark.any_python]

HERE = Path(__file__).parent
TOKEN = "a-token-for-the-tests-0123456789"  # noqa: S105
BUDGET_SECONDS = 25


@pytest.mark.parametrize(
    ("command", "token"),
    [(CPUWATCH_SERVE, TOKEN), (HYPERCORN, None)],
    ids=["cpuwatch-serve-token-recording", "hypercorn-open"],
)
def test_every_response_is_as_described(command: tuple[str, ...], token: str | None, tmp_path: Path) -> None:
    settings = {"CPUWATCH_INTERVAL": "0.2"}
    if token is not None:
        settings |= {"CPUWATCH_TOKEN": token, "CPUWATCH_RECORD": str(tmp_path / "recording")}
    with running_server(command, **settings) as server:
        done = subprocess.run(
            [
                str(SCRIPTS / "schemathesis"),
                f"--config-file={HERE / 'schemathesis.toml'}",
                "run",
                f"{server.url}/openapi.json",
                *([] if token is None else ["--header", f"Authorization: Bearer {token}"]),
                "--checks=all",
                # Schemathesis would wait for the end of the stream. HEAD takes the same parameters and is tested.
                "--exclude-operation-id=stream",
                f"--max-time={BUDGET_SECONDS}",
                "--seed=1",
                "--generation-database=none",
                "--request-timeout=10",
                "--no-color",
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            cwd=tmp_path,
            env=environment(PYTHONPATH=str(HERE)),
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in server.output


def test_responses_are_as_described_under_a_prefix() -> None:
    with running_server((*HYPERCORN, "--root-path", "/watch/cpu")) as server:
        answer = httpx.get(f"{server.url}/watch/cpu/openapi.json")
    servers = json.loads(answer.content)["servers"]
    assert httpx.URL(f"{server.url}/watch/cpu/openapi.json").join(servers[0]["url"]).path == "/watch/cpu/"
