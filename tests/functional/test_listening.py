"""The addresses on which the server listens: both families, and no others than configured."""

from __future__ import annotations

import errno
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from live_server import CPUWATCH_SERVE, HYPERCORN, SCRIPTS, Server, run
from namespaces import unshared

pytestmark = pytest.mark.timeout(60)

TIMEOUT_SECONDS = 30
RUNNING_ON = re.compile(r"Running on http://([^ ]+):([0-9]+)[ \"]")


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as tried:
            tried.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@contextmanager
def listening(bind: str, sockets: int, prefix: tuple[str, ...] = ()) -> Iterator[list[tuple[str, str]]]:
    """Run a server, and yield the addresses and ports of this many sockets that it reports."""
    server = Server((*prefix, str(SCRIPTS / "cpuwatch"), "serve", "--open-to-everyone", "--bind", bind))
    try:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while len(found := RUNNING_ON.findall(server.output)) < sockets:
            assert time.monotonic() < deadline, server.output
            time.sleep(0.02)
        yield found
    finally:
        server.clean_up()


def answers(host: str, port: str) -> bool:
    reached = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104
    return httpx.get(f"http://{reached}:{port}/livez", timeout=TIMEOUT_SECONDS).status_code == 200


@needs_ipv6
@pytest.mark.parametrize(
    ("bind", "hosts"),
    [
        (":0", ["0.0.0.0", "[::]"]),  # noqa: S104
        ("localhost:0", ["127.0.0.1", "[::1]"]),
        ("127.0.0.1:0", ["127.0.0.1"]),
        ("[::1]:0", ["[::1]"]),
    ],
)
def test_both_families_answer_on_one_port_if_no_address_is_given(bind: str, hosts: list[str]) -> None:
    with listening(bind, len(hosts)) as found:
        assert [host for host, _ in found] == hosts
        assert len({port for _, port in found}) == 1
        assert all(answers(host, port) for host, port in found)


@needs_ipv6
def test_the_unspecified_ipv6_address_answers_on_both_families() -> None:
    with listening("[::]:0", 1) as ((host, port),):
        assert host == "[::]"
        assert answers("127.0.0.1", port)
        assert answers("[::1]", port)


def test_ipv4_answers_if_ipv6_is_not_allowed() -> None:
    # Like RestrictAddressFamilies= of systemd, or ipv6.disable=1.
    program = (
        "import errno, socket, sys\n"
        "real = socket.socket\n"
        "class IPv4Only(real):\n"
        "    def __init__(self, family=-1, *rest, **more):\n"
        "        if family == socket.AF_INET6: raise OSError(errno.EAFNOSUPPORT, 'not supported')\n"
        "        super().__init__(family, *rest, **more)\n"
        "socket.socket = IPv4Only\n"
        "from cpuwatch.commands.cli import main\n"
        "sys.argv[:] = sys.argv[sys.argv.index('serve') - 1:]\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    with listening(":0", 1, (sys.executable, "-c", program)) as ((host, port),):
        assert host == "0.0.0.0"  # noqa: S104
        assert answers(host, port)


def test_an_address_in_use_is_named_and_all_sockets_are_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run("serve", "--bind", bind)
    assert done.returncode == 1
    assert done.stderr == f"cpuwatch: cannot listen on {bind}: Address already in use\n"


@needs_ipv6
def test_a_port_that_is_in_use_on_one_family_is_in_use() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        bind = f"localhost:{taken.getsockname()[1]}"
        done = run("serve", "--bind", bind)
    assert done.returncode == 1
    assert done.stderr == f"cpuwatch: cannot listen on {bind}: Address already in use\n"


@pytest.mark.parametrize(
    ("bind", "reason"),
    [
        ("192.0.2.1:0", "Cannot assign requested address"),
        ("..:0", "not a valid host name"),
        ("unix:/none/such/socket", "No such file or directory"),
        ("unix:/tmp/" + "a" * 200, "the path is longer than 107 bytes"),
        ("fd://99", "Bad file descriptor"),
        ("fd://0", "Socket operation on non-socket"),
    ],
)
def test_an_unusable_address_is_reported_in_one_line(bind: str, reason: str) -> None:
    done = run("serve", "--open-to-everyone", "--bind", bind)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"cpuwatch: cannot listen on {bind}: ")
    assert reason in line


def test_without_a_writable_shared_memory_hypercorn_fails_and_cpuwatch_serves() -> None:
    """As documented in docs/operations.md."""
    read_only = 'mount -t tmpfs -o ro none /dev/shm && exec "$@"'
    prefix = (*unshared("--mount"), "sh", "-c", read_only, "sh")
    failing = subprocess.run([*prefix, *HYPERCORN], capture_output=True, text=True, check=False, timeout=60)
    assert failing.stderr.endswith(f"OSError: [Errno {errno.EROFS}] Read-only file system\n")
    serving = Server((*prefix, *CPUWATCH_SERVE))
    try:
        with httpx.Client(base_url=serving.url) as client:
            serving.wait_until_ready(client)
    finally:
        serving.clean_up()
