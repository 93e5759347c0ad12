"""The server under load: started for the run, or already running."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPException

import psutil

from benchmarks.loadgen.driver import Target
from benchmarks.loadgen.placement import running_on
from benchmarks.loadgen.plan import Address, Plan
from benchmarks.servers import find_program, free_port, serving

__all__ = ["NoServerError", "Running", "body_length", "running_server"]

_HOST = "127.0.0.1"
_PATH = "/cpu_usage"
_ANSWER_SECONDS = 10


class NoServerError(Exception):
    """There is no server to measure; the message says why."""


class Running:
    """A running server: its address, and its description for the report."""

    def __init__(self, target: Target, description: str) -> None:
        self.target = target
        self.description = description

    @property
    def url(self) -> str:
        return str(Address(self.target.host, self.target.port, self.target.path))


@contextmanager
def running_server(plan: Plan, cpus: Collection[int] | None) -> Iterator[Running]:
    """The server of this plan for the time of the block. A server started here runs on these CPUs.

    Raises ``NoServerError``.
    """
    if plan.address is not None:
        found = Target(plan.address.host, plan.address.port, plan.address.path, _listeners(plan.address.port))
        body_length(found)
        pids = ", ".join(map(str, found.leaders)) or "not known"
        yield Running(found, f"was running already; PIDs that listen: {pids}")
        return
    number = plan.port or free_port()
    words = [word.replace("{port}", str(number)) for word in shlex.split(plan.server_command)]
    program = find_program(words[0])
    if program is None:
        raise NoServerError(f"there is no command {words[0]!r}, neither beside {sys.executable} nor on the PATH")
    if plan.port is not None and _listeners(plan.port):
        raise NoServerError(f"port {plan.port} is taken: something listens on it already")
    with ExitStack() as stack:
        try:
            with running_on(cpus):
                leader = stack.enter_context(serving([program, *words[1:]], number, _PATH))
        except RuntimeError as error:
            raise NoServerError(str(error).strip()) from error
        yield Running(Target(_HOST, number, _PATH, [leader]), shlex.join(words))


def _listeners(port: int) -> list[int]:
    """The processes that listen on this port, as far as visible."""
    found = psutil.net_connections(kind="tcp")
    listening = (each for each in found if each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port)
    return sorted({each.pid for each in listening if each.pid is not None})


def body_length(target: Target) -> int:
    """The length of one response body. Raises ``NoServerError`` if the status is not 200."""
    connection = HTTPConnection(target.host, target.port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", target.path)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, HTTPException) as error:
        raise NoServerError(f"nothing answers there: {error}") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise NoServerError(f"the answer there is {answer.status} {answer.reason}, not 200")
    return len(body)
