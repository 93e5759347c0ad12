"""If a sampler fails or hangs, the service reports it, serves the last snapshot, and recovers with the sampler."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
from live_server import CPUWATCH_SERVE, HYPERCORN, Server, running_server
from plugin_package import install_plugin

from cpuwatch.tick_id import TickId

pytestmark = pytest.mark.timeout(120)

STOP_SECONDS = 3
TIMEOUT_SECONDS = 20
INTERVAL_SECONDS = 0.1


class Orders:
    """Controls the sampler of the server."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.give("work")

    @property
    def settings(self) -> dict[str, str]:
        return {"OWNPROCESS_ORDERS": str(self._file)}

    def give(self, order: str) -> None:
        # Atomically, because the sampler may read at any moment.
        new = self._file.with_suffix(".new")
        new.write_text(order, "ascii")
        new.replace(self._file)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> str:
    return install_plugin(tmp_path_factory.mktemp("plugin"))


@pytest.fixture
def orders(tmp_path: Path) -> Orders:
    return Orders(tmp_path / "orders")


@pytest.fixture(params=[CPUWATCH_SERVE, HYPERCORN], ids=["cpuwatch", "hypercorn"])
def server(request: pytest.FixtureRequest, installed: str, orders: Orders) -> Iterator[Server]:
    settings = {
        "CPUWATCH_BACKEND": "obedient",
        "CPUWATCH_INTERVAL": str(INTERVAL_SECONDS),
        "PYTHONPATH": installed,
    }
    with running_server(request.param, **settings, **orders.settings) as server:
        yield server
        orders.give("work")


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=TIMEOUT_SECONDS) as client:
        yield client


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not true():
        assert time.monotonic() < deadline, "it does not come to that"
        time.sleep(0.02)


def is_logged(server: Server, message: str) -> bool:
    return message in server.output


def age_ms(answer: httpx.Response) -> int:
    found = re.fullmatch(r"age;dur=([0-9]+)", answer.headers["server-timing"])
    assert found
    return int(found[1])


def sequence(client: httpx.Client) -> int:
    number: int = client.get("/cpu_usage").json()["sequence"]
    return number


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ("fail", r"; sampling fails: RuntimeError: the file says fail"),
        ("hang", r"; a reading has been under way for [0-9.]+ s"),
    ],
)
def test_the_last_snapshot_is_served_with_its_age_until_the_sampler_works_again(
    server: Server, client: httpx.Client, orders: Orders, order: str, reason: str
) -> None:
    orders.give(order)
    wait_until(lambda: client.get("/readyz").status_code == 503)
    began = time.monotonic()
    first = client.get("/cpu_usage")
    wait_until(lambda: age_ms(client.get("/cpu_usage")) > age_ms(first) + 500)
    last = client.get("/cpu_usage")
    ended = time.monotonic()

    unready = client.get("/readyz")
    assert unready.status_code == 503
    assert unready.headers["retry-after"] == "1"
    assert re.search(r"the newest snapshot is [0-9.]+ s old, more than 3 intervals of 0\.1 s" + reason, unready.text)
    assert client.get("/livez").status_code == 200
    assert (first.status_code, last.status_code) == (200, 200)
    assert last.content == first.content
    assert last.headers["etag"] == first.headers["etag"]
    assert age_ms(first) > 3 * INTERVAL_SECONDS * 1000
    # The age grows with time; each value is rounded to a millisecond.
    assert 500 < age_ms(last) - age_ms(first) <= (ended - began) * 1000 + 1
    known = client.get("/cpu_usage", headers={"if-none-match": last.headers["etag"]})
    assert known.status_code == 304
    assert age_ms(known) >= age_ms(last)

    orders.give("work")
    wait_until(lambda: client.get("/readyz").status_code == 200)
    assert sequence(client) > first.json()["sequence"]
    counted = "failed_ticks" if order == "fail" else "missed_ticks"
    # Ticks missed during a reading are counted after it, in the next snapshots.
    wait_until(lambda: client.get("/cpu_usage").json()["sampling"][counted] >= 3)
    messages = ["a tick failed", "sampling works again"] if order == "fail" else ["ticks were missed"]
    for message in messages:
        wait_until(partial(is_logged, server, message))
        assert server.output.count(message) == 1


def test_a_stream_continues_when_the_sampler_recovers(server: Server, client: httpx.Client, orders: Orders) -> None:
    with client.stream("GET", "/cpu_usage/stream") as stream:
        lines = (line.removeprefix("id: ") for line in stream.iter_lines() if line.startswith("id: "))
        ids = (TickId.parse(line).sequence for line in lines)
        next(ids)
        orders.give("hang")
        wait_until(lambda: httpx.get(f"{server.url}/readyz").status_code == 503)
        held_at = int(httpx.get(f"{server.url}/cpu_usage").json()["sequence"])
        orders.give("work")
        assert next(number for number in ids if number > held_at) == held_at + 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("command", [CPUWATCH_SERVE, HYPERCORN], ids=["cpuwatch", "hypercorn"])
def test_a_hanging_sampler_does_not_prevent_the_shutdown(
    installed: str, orders: Orders, command: tuple[str, ...], number: signal.Signals
) -> None:
    settings = {"CPUWATCH_BACKEND": "obedient", "CPUWATCH_INTERVAL": "0.1", "PYTHONPATH": installed}
    with running_server(command, **settings, **orders.settings) as server:
        orders.give("hang")
        with httpx.Client(base_url=server.url) as client:
            wait_until(lambda: client.get("/readyz").status_code == 503)
            assert server.stop(number, within=STOP_SECONDS) == 0
    assert server.output.count("the sampler did not return within 1 s; its thread is abandoned") == 1
    assert "Traceback" not in server.output
