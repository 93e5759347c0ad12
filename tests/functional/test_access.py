"""Access control: closed by default, with both commands that run the server."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from hostile_clients import exchange, statuses
from live_server import CPUWATCH_SERVE, HYPERCORN, Server, environment, run, running_server

pytestmark = pytest.mark.timeout(60)

COMMANDS = pytest.mark.parametrize("command", [HYPERCORN, CPUWATCH_SERVE], ids=["hypercorn", "cpuwatch-serve"])
TOKEN = "correct-horse-battery-staple"  # noqa: S105  a token for this test only
SHOWN = {"authorization": f"Bearer {TOKEN}"}
ORIGIN = "https://grafana.example"
MAX_BODY_BYTES = 16_384


@pytest.fixture(scope="module", params=[HYPERCORN, CPUWATCH_SERVE], ids=["hypercorn", "cpuwatch-serve"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with running_server(request.param, CPUWATCH_CORS_ORIGINS=ORIGIN, CPUWATCH_ACCESS_LOG="1") as running:
        yield running


@pytest.fixture(scope="module")
def closed_server() -> Iterator[Server]:
    with running_server(CPUWATCH_SERVE, CPUWATCH_TOKEN=TOKEN) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=10) as opened:
        yield opened


@pytest.fixture
def connection(server: Server) -> Iterator[socket.socket]:
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as opened:
        yield opened


def status_of(server: Server, request_line: str, *fields: str) -> int:
    head = "\r\n".join([f"{request_line} HTTP/1.1", "Connection: close", *fields, "", ""])
    (answer,) = exchange(server, [head.encode()], min_responses=1)
    return statuses(answer)[0]


def read_to_end(connection: socket.socket) -> bytes:
    data = b""
    while part := connection.recv(65_536):
        data += part
    return data


# Target and Host


@pytest.mark.parametrize(
    ("request_line", "host", "status"),
    [
        # The authority in the URL overrides Host (RFC 9112, 3.2.2).
        ("GET http://localhost/cpu_usage?top=1", "evil.example", 200),
        ("GET HTTP://127.0.0.1:8845/livez", "evil.example", 200),
        ("GET https://localhost", "localhost", 200),
        ("GET http://localhost/nothing", "localhost", 404),
        ("GET http://evil.example/cpu_usage", "localhost", 421),
        ("GET http://localhost%2Fx/cpu_usage", "localhost", 421),
        ("GET http://user@localhost/cpu_usage", "localhost", 400),
        ("GET http:///cpu_usage", "localhost", 400),
        ("GET ftp://localhost/cpu_usage", "localhost", 400),
        ("GET cpu_usage", "localhost", 400),
        ("GET *", "localhost", 400),
        ("OPTIONS *", "localhost", 204),
        ("OPTIONS *", "evil.example", 421),
        ("OPTIONS http://localhost", "localhost", 204),
        ("CONNECT localhost:8845", "localhost:8845", 405),
        ("CONNECT evil.example:443", "localhost", 421),
    ],
)
def test_every_form_of_request_target_is_accepted(server: Server, request_line: str, host: str, status: int) -> None:
    assert status_of(server, request_line, f"Host: {host}") == status


@pytest.mark.parametrize("prefix", ["", "http://localhost", "http://127.0.0.1:8845"])
@pytest.mark.parametrize("path", ["/cpu_usage", "/cpu_usage/1", "/metrics", "/static/../metrics", "/%2e/cpu_usage"])
def test_no_form_of_request_target_bypasses_the_token(closed_server: Server, prefix: str, path: str) -> None:
    assert status_of(closed_server, f"GET {prefix}{path}", "Host: localhost") in {401, 404}
    assert status_of(closed_server, f"GET {prefix}/livez", "Host: localhost") == 200
    shown = f"Authorization: Bearer {TOKEN}"
    assert status_of(closed_server, f"GET {prefix}/cpu_usage", "Host: localhost", shown) == 200


# Names


@pytest.mark.parametrize("host", [None, "localhost", "127.0.0.1:1", "[::1]", socket.gethostname(), "192.0.2.1:8845"])
def test_clients_that_use_an_address_or_name_of_the_machine_are_served(client: httpx.Client, host: str | None) -> None:
    answer = client.get("/cpu_usage", headers={} if host is None else {"host": host})
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/cpu_usage", "/cpu_usage?top=1", "/livez", "/cpu%20usage", "/nothing"])
def test_a_page_whose_name_was_rebound_to_this_address_reads_nothing(client: httpx.Client, path: str) -> None:
    answer = client.get(path, headers={"host": "rebound.evil.example"})
    assert answer.status_code == 421
    assert "rebound.evil.example" in answer.json()["detail"]


def test_configured_hosts_are_served() -> None:
    with running_server(CPUWATCH_SERVE, CPUWATCH_ALLOWED_HOSTS="watch.example") as server:
        assert httpx.get(f"{server.url}/livez", headers={"host": "watch.example:80"}).status_code == 200
        assert httpx.get(f"{server.url}/livez", headers={"host": "other.example"}).status_code == 421


# Token


@COMMANDS
def test_with_a_token_only_health_checks_are_open(command: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    with running_server(command, CPUWATCH_TOKEN_FILE=str(path), CPUWATCH_ACCESS_LOG="true") as server:
        with httpx.Client(base_url=server.url) as client:
            for closed in ("/cpu_usage", "/cpu_usage/1", "/nothing", "/cpu%20usage"):
                answer = client.get(closed)
                assert answer.status_code == 401
                assert answer.headers["www-authenticate"].startswith("Bearer")
            assert client.get("/cpu_usage", headers={"authorization": f"Bearer {TOKEN}x"}).status_code == 401
            assert client.get("/cpu_usage", headers=SHOWN).status_code == 200
            assert client.get("/livez").status_code == client.get("/readyz").status_code == 200
        server.stop()
    assert "no token is set" not in server.output
    assert TOKEN not in server.output


def test_hypercorn_warns_once_if_no_token_is_set() -> None:
    with running_server(HYPERCORN) as server:
        assert httpx.get(f"{server.url}/cpu_usage").status_code == 200
    assert server.output.count("no token is set") == 1


def test_a_local_address_causes_no_warning() -> None:
    with running_server(CPUWATCH_SERVE) as server:
        pass
    assert "level=warning" not in server.output


@pytest.mark.parametrize("bind", [":0", "0.0.0.0:0", "[::]:0"])
def test_a_public_address_is_refused_in_one_line_with_both_remedies(bind: str) -> None:
    done = run("serve", "--bind", bind)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "--token-file" in done.stderr
    assert "--open-to-everyone" in done.stderr


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("CPUWATCH_TOKEN", "hunter2", "too short"),
        ("CPUWATCH_TOKEN_FILE", "/none/such", "/none/such"),
        ("CPUWATCH_TOKEN_FILE", "/dev/null", "empty"),
        ("CPUWATCH_CORS_ORIGINS", "*", "CPUWATCH_CORS_ORIGINS"),
        ("CPUWATCH_LOG_FORMAT", "xml", "text or json"),
    ],
)
def test_an_invalid_setting_is_reported_in_one_line_without_the_token(setting: str, value: str, expected: str) -> None:
    done = run("serve", "--bind", "127.0.0.1:0", **{setting: value})
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert expected in done.stderr
    assert "hunter2" not in done.stderr


@COMMANDS
def test_kubernetes_service_variables_do_not_prevent_the_start(command: tuple[str, ...]) -> None:
    links = {
        "CPUWATCH_SERVICE_HOST": "10.96.3.7",
        "CPUWATCH_SERVICE_PORT": "8845",
        "CPUWATCH_SERVICE_PORT_HTTP": "8845",
        "CPUWATCH_PORT": "tcp://10.96.3.7:8845",
        "CPUWATCH_PORT_8845_TCP": "tcp://10.96.3.7:8845",
        "CPUWATCH_PORT_8845_TCP_PROTO": "tcp",
        "CPUWATCH_PORT_8845_TCP_PORT": "8845",
        "CPUWATCH_PORT_8845_TCP_ADDR": "10.96.3.7",
    }
    with running_server(command, **links, CPUWATCH_INTERVALL="1") as server:
        assert httpx.get(f"{server.url}/cpu_usage").status_code == 200
        server.stop()
    assert server.output.count("CPUWATCH_") - server.output.count("CPUWATCH_TOKEN_FILE") == 2
    assert "CPUWATCH_INTERVALL is not a setting and is ignored; did you mean CPUWATCH_INTERVAL?" in server.output


@COMMANDS
@pytest.mark.parametrize(("variable", "text"), [("CPUWATCH_TOKEN_FIEL", "/run/token"), ("CPUWATCH_TOKEN", "")])
def test_a_token_in_an_unknown_variable_prevents_the_start(command: tuple[str, ...], variable: str, text: str) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, env=environment(**{variable: text})
    )
    # Hypercorn exits with tracebacks that contain the message.
    assert f"{variable} is " in "".join(done.stderr.splitlines()[-2:])
    assert "Running on" not in done.stderr


# Browsers


@pytest.mark.parametrize(
    "path", ["/cpu_usage", "/cpu_usage?top=0", "/cpu_usage/1", "/cpu_usage/0", "/cpu_usage/", "/livez", "/nothing"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
def test_every_response_has_security_headers(client: httpx.Client, path: str, method: str) -> None:
    headers = client.request(method, path).headers
    assert headers.get_list("x-content-type-options") == ["nosniff"]
    assert headers.get_list("referrer-policy") == ["no-referrer"]
    assert headers.get_list("x-frame-options") == ["DENY"]
    (policy,) = headers.get_list("content-security-policy")
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy


def test_a_304_has_the_same_security_headers(client: httpx.Client) -> None:
    for _ in range(20):
        first = client.get("/cpu_usage")
        answer = client.get("/cpu_usage", headers={"if-none-match": first.headers["etag"]})
        if answer.status_code == 304:
            break
    assert answer.status_code == 304
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_only_pages_of_configured_origins_can_read_responses(client: httpx.Client) -> None:
    allowed = client.get("/cpu_usage", headers={"origin": ORIGIN})
    assert allowed.headers["access-control-allow-origin"] == ORIGIN
    other = client.get("/cpu_usage", headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers
    for answer in (allowed, other, client.get("/nothing")):
        assert "origin" in answer.headers["vary"].lower()
    question = {"origin": ORIGIN, "access-control-request-method": "GET"}
    assert client.options("/cpu_usage", headers=question).headers["access-control-allow-origin"] == ORIGIN


# Size


def test_long_urls_and_headers_are_refused(client: httpx.Client) -> None:
    assert client.get("/cpu_usage?" + "a" * 9_000).status_code == 414
    assert client.get("/livez", headers={"x-long": "a" * 8_000}).status_code == 200
    assert client.get("/livez", headers={"x-long": "a" * 200_000}).status_code in {400, 431}
    assert client.get("/livez").status_code == 200


@pytest.mark.parametrize("method", ["GET", "OPTIONS", "POST"])
@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_the_connection_is_usable_after_a_small_body(connection: socket.socket, method: str, framing: str) -> None:
    if framing == "length":
        head, body = f"Content-Length: {MAX_BODY_BYTES}", b"a" * MAX_BODY_BYTES
    else:
        # More chunks than any queue on the way can hold.
        head, body = "Transfer-Encoding: chunked", b"1\r\na\r\n" * 1000 + b"0\r\n\r\n"
    request = f"{method} /livez HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n".encode() + body
    last = b"GET /cpu_usage/0 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    connection.sendall(request * 3 + last)
    answers = read_to_end(connection)
    assert answers.count(b"HTTP/1.1 ") == 4
    assert answers.count(b"HTTP/1.1 400 ") == 1


@pytest.mark.parametrize(
    "head", ["Content-Length: 20000", "Content-Length: 999999999999", "Transfer-Encoding: chunked"]
)
def test_a_larger_body_is_413_and_closes_the_connection(connection: socket.socket, head: str) -> None:
    body = b"4e20\r\n" + b"a" * 20_000 + b"\r\n" if "chunked" in head else b"a" * 20_000
    connection.sendall(f"POST /cpu_usage HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n".encode() + body)
    answer = read_to_end(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"\r\nconnection: close\r\n" in answer.lower()
    assert b"16384" in answer


def test_a_client_that_never_ends_its_body_is_disconnected(server: Server, connection: socket.socket) -> None:
    connection.sendall(b"GET /cpu_usage HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")

    def send_forever() -> None:
        while True:
            connection.sendall(b"10000\r\n" + b"a" * 65_536 + b"\r\n")

    with pytest.raises(OSError, match=r"reset|Broken pipe"):
        send_forever()
    assert httpx.get(f"{server.url}/livez").status_code == 200
    assert "Traceback" not in server.output


# The log


def test_any_request_is_one_line_of_the_access_log(server: Server, client: httpx.Client) -> None:
    client.get("/nothing%0Alevel=error?a=%1b[31m")
    line = line_with(server, "%0Alevel=error")
    assert "status=404" in line
    assert "method=GET" in line
    assert "logger=cpuwatch.access" in line


def line_with(server: Server, text: str) -> str:
    deadline = time.monotonic() + 10
    while not (found := [line for line in server.output.splitlines() if text in line]):
        assert time.monotonic() < deadline, f"{text!r} is not in the log:\n{server.output}"
        time.sleep(0.01)
    return found[0]


def test_by_default_nothing_is_written_to_an_access_log() -> None:
    with running_server(CPUWATCH_SERVE) as server:
        httpx.get(f"{server.url}/cpu_usage?top=7")
    assert "top=7" not in server.output


def test_the_log_can_be_json() -> None:
    with running_server((*CPUWATCH_SERVE, "--log-format", "json", "--access-log")) as server:
        httpx.get(f"{server.url}/cpu_usage?top=7")
    events = [json.loads(line) for line in server.output.splitlines()]
    assert any(event["logger"] == "hypercorn.error" and "Running on" in event["message"] for event in events)
    (event,) = [event for event in events if event.get("target") == "/cpu_usage?top=7"]
    assert (event["status"], event["method"], event["client"]) == (200, "GET", "127.0.0.1")
