"""A process can have any name; it is shown readable and valid everywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from live_processes import puppet
from live_server import CPUWATCH_SERVE, running_server

from cpuwatch import decode, open_sampler

pytestmark = pytest.mark.timeout(60)

# The kernel keeps 15 bytes of a name.
NAMES = [
    (b"plain", "plain"),
    (b"", ""),
    (b")", ")"),
    (b"a) R 1 2 (b", "a) R 1 2 (b"),
    (b" two  blanks ", " two  blanks "),
    (b"new\nline", "new\nline"),
    (b"tab\t\x1b[31mred", "tab\t\x1b[31mred"),
    (b"\x01\x7f", "\x01\x7f"),
    (b'"quo\'ted"\\', '"quo\'ted"\\'),
    (b"<b>&amp;</b>", "<b>&amp;</b>"),
    (b"\xff\xfe no utf", "\\xff\\xfe no utf"),
    (b"\xed\xa0\x80 surrog", "\\xed\\xa0\\x80 surrog"),
    ("\u200fright".encode(), "\u200fright"),
    ("\u202ecod.exe".encode(), "\u202ecod.exe"),
    ("schön €".encode(), "schön €"),
    ("🔥🔥".encode(), "🔥🔥"),
    # The kernel truncates it in the middle of a character.
    ("äääääääää".encode(), "äääääää\\xc3"),
]
SHOWN = [shown for _, shown in NAMES]


@pytest.fixture(scope="module")
def named_pids() -> Iterator[list[int]]:
    """A process for each name, in the same order."""
    with ExitStack() as stack:
        children = [stack.enter_context(puppet()) for _ in NAMES]
        for child, (name, _) in zip(children, NAMES, strict=True):
            child.rename(name)
        yield [child.pid for child in children]


@pytest.mark.parametrize("backend", ["procfs", "psutil"])
def test_every_name_is_read_correctly(backend: str, named_pids: list[int]) -> None:
    with open_sampler(backend) as sampler:
        processes = sampler.read().processes
    assert [processes[pid].name for pid in named_pids] == SHOWN


@pytest.mark.parametrize("backend", ["procfs", "psutil"])
def test_a_process_that_renames_itself_shows_its_new_name(backend: str) -> None:
    with puppet() as child, open_sampler(backend) as sampler:
        for raw, shown in NAMES:
            child.rename(raw)
            assert sampler.read().processes[child.pid].name == shown


def test_every_name_is_served_as_valid_json(named_pids: list[int]) -> None:
    with running_server(CPUWATCH_SERVE, CPUWATCH_INTERVAL="0.1") as server:
        answer = httpx.get(f"{server.url}/cpu_usage")
        one = [httpx.get(f"{server.url}/cpu_usage/{pid}").json()["process"]["name"] for pid in named_pids]
    # The standard library is the independent judge of valid UTF-8 and JSON.
    independent = {row["pid"]: row["name"] for row in json.loads(answer.content.decode("utf-8"))["processes"]}
    assert [independent[pid] for pid in named_pids] == SHOWN
    ours = {row.pid: row.name for row in decode(answer.content).processes}
    assert [ours[pid] for pid in named_pids] == SHOWN
    assert one == SHOWN
