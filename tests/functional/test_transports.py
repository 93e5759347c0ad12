"""The service over a unix socket, an inherited descriptor, TLS and HTTP/2, below a prefix, and with several workers."""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from live_server import CPUWATCH_SERVE, HYPERCORN, SCRIPTS, Server

from cpuwatch import decode

pytestmark = pytest.mark.timeout(60)

WITH_SOCKET = (sys.executable, str(Path(__file__).parent / "children" / "with_socket.py"))
BASES = {
    "hypercorn": (str(SCRIPTS / "hypercorn"), "cpuwatch.web:app", "-b"),
    "cpuwatch-serve": (str(SCRIPTS / "cpuwatch"), "serve", "--bind"),
}
WHOLE = {"hypercorn": HYPERCORN, "cpuwatch-serve": CPUWATCH_SERVE}
TOKEN = "0123456789abcdef"  # noqa: S105  a token for this test only
SHOWN = {"authorization": f"Bearer {TOKEN}"}
BOTH = pytest.mark.parametrize("name", list(BASES))


@contextmanager
def serving(
    command: tuple[str, ...], connect: Callable[[str], httpx.Client], **settings: str
) -> Iterator[tuple[Server, httpx.Client]]:
    """Run the server with this command, and a client connected to it."""
    server = Server(command, **settings)
    try:
        with connect(server.url) as client:
            server.wait_until_ready(client)
            yield server, client
        server.stop()
    finally:
        server.clean_up()
    assert "Traceback" not in server.output


def plain(url: str) -> httpx.Client:
    return httpx.Client(base_url=url)


@BOTH
def test_the_service_answers_over_a_unix_socket(name: str, tmp_path: Path) -> None:
    path = str(tmp_path / "cpuwatch.sock")

    def connect(_: str) -> httpx.Client:
        return httpx.Client(transport=httpx.HTTPTransport(uds=path), base_url="http://localhost")

    with serving((*BASES[name], f"unix:{path}", *(["--access-log"] if "serve" in name else [])), connect) as (
        _,
        client,
    ):
        assert decode(client.get("/cpu_usage").content).sequence >= 1
        assert client.get("/cpu_usage", headers={"host": "evil.example"}).status_code == 421


@BOTH
def test_the_service_answers_over_an_inherited_descriptor(name: str) -> None:
    with serving((*WITH_SOCKET, *BASES[name], "fd://3"), plain) as (_, client):
        assert decode(client.get("/cpu_usage").content).sequence >= 1


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    directory = tmp_path_factory.mktemp("tls")
    cert, key = str(directory / "cert.pem"), str(directory / "key.pem")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command.split(), *names, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


@BOTH
@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
def test_the_service_answers_over_tls(name: str, version: str, certificate: tuple[str, str]) -> None:
    cert, key = certificate

    def connect(url: str) -> httpx.Client:
        trust = ssl.create_default_context(cafile=cert)
        return httpx.Client(base_url=url, verify=trust, http2=version == "HTTP/2")

    command = (*WHOLE[name], "--certfile", cert, "--keyfile", key)
    with serving(command, connect, CPUWATCH_TOKEN=TOKEN, CPUWATCH_ACCESS_LOG="1") as (server, client):
        assert server.url.startswith("https://")
        answer = client.get("/cpu_usage", headers=SHOWN)
        assert answer.http_version == version
        assert decode(answer.content).sequence >= 1
        assert client.get("/cpu_usage").status_code == 401
        assert client.get("/livez", headers={"host": "evil.example"}).status_code == 421
        assert client.request("GET", "/livez", content=b"a" * 10_000).status_code == 200
        assert client.post("/livez", content=b"a" * 50_000).status_code == 413
        if version == "HTTP/2":
            # Other streams of the connection continue.
            assert client.post("/livez", content=b"a" * 5_000_000).status_code == 413
        assert client.head("/livez").status_code == 200


@BOTH
def test_the_service_answers_below_a_prefix(name: str) -> None:
    command = (*WHOLE[name], "--root-path", "/metrics/cpu")
    with serving(command, plain, CPUWATCH_TOKEN=TOKEN) as (_, client):
        # A proxy may keep the prefix or strip it.
        for prefix in ("/metrics/cpu", ""):
            assert client.get(f"{prefix}/livez").status_code == 200
            assert client.get(f"{prefix}/cpu_usage").status_code == 401
            assert decode(client.get(f"{prefix}/cpu_usage", headers=SHOWN).content).sequence >= 1
            answer = client.get(f"{prefix}/cpu%20usage", headers=SHOWN)
            assert answer.headers["location"] == "/metrics/cpu/cpu_usage"


def test_each_of_several_workers_samples() -> None:
    with serving((*HYPERCORN, "-w", "2"), plain) as (server, client):
        # A connection stays with one worker; a new one may reach another.
        runs = {httpx.get(f"{server.url}/cpu_usage?top=1").json()["sampling"]["run"] for _ in range(200)}
        assert len(runs) == 2
        assert decode(client.get("/cpu_usage").content).sequence >= 1
        workers = [
            child for child in psutil.Process(server.pid).children() if "spawn_main" in " ".join(child.cmdline())
        ]
        assert len(workers) == 2
    assert server.output.count("no token is set") == 2


def test_an_invalid_certificate_is_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "cert").write_text("nothing")
    command = [*CPUWATCH_SERVE, "--certfile", str(tmp_path / "cert")]
    for extra, expected in (([], "--keyfile"), (["--keyfile", str(tmp_path / "cert")], "cannot use")):
        done = subprocess.run([*command, *extra], capture_output=True, text=True, check=False, timeout=30)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert expected in done.stderr


def test_the_server_refuses_a_request_without_host_unless_it_is_http_1_0() -> None:
    with serving(CPUWATCH_SERVE, plain) as (server, _):
        host, _, port = server.url.removeprefix("http://").partition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        connection.putrequest("GET", "/livez", skip_host=True)
        connection.endheaders()
        assert connection.getresponse().status == 400
        connection.close()
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        connection._http_vsn, connection._http_vsn_str = 10, "HTTP/1.0"  # type: ignore[attr-defined]
        connection.putrequest("GET", "/livez", skip_host=True)
        connection.endheaders()
        assert json.loads(connection.getresponse().read()) == {"status": "alive"}
        connection.close()
