"""docs/http-api.md compared with the real server: each command is run, and its output compared with the document."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from live_server import CPUWATCH_SERVE, Server, environment, running_server

pytestmark = pytest.mark.timeout(60)

DOCUMENT = (Path(__file__).parents[2] / "docs" / "http-api.md").read_text("utf-8")
BLOCK = re.compile(r"^(?P<indent> *)```(?P<language>\w+)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
ADDRESS = "localhost:8845"

# An error response is also an error of the shell, unless the document shows an error.
STRICT = 'curl() { command curl --max-time 20 --fail-with-body "$@"; }\n'
LENIENT = 'curl() { command curl --max-time 20 "$@"; }\n'


class Example(NamedTuple):
    commands: str
    language: str | None
    shown: str

    @property
    def shows_an_error(self) -> bool:
        return bool(re.match(r"HTTP/1.1 [45]", self.shown) or '"status": 4' in self.shown)


def examples() -> Iterator[Example]:
    """Find each block of commands, with the following block if that is a response."""
    blocks = list(BLOCK.finditer(DOCUMENT))
    for block, following in zip(blocks, [*blocks[1:], None], strict=True):
        if block["language"] != "sh":
            continue
        stands_beside = following is not None and not DOCUMENT[block.end() : following.start()].strip()
        if following is not None and stands_beside and following["language"] in {"json", "text", "http"}:
            yield Example(block["body"], following["language"], following["body"])
        else:
            yield Example(block["body"], None, "")


EXAMPLES = list(examples())


def assert_like(shown: Any, answered: Any, where: str = "the response") -> None:
    """Check that the response has the documented fields with the same types. Null matches anything."""
    match shown, answered:
        case (None, _) | (_, None):
            return
        case dict(), dict():
            assert shown.keys() <= answered.keys(), where
            for name, value in shown.items():
                assert_like(value, answered[name], f"{where}.{name}")
        case list(), list():
            for one in answered:
                assert_like(shown[0], one, f"an item of {where}")
        case ((int() | float()), (int() | float())):
            return
        case _:
            assert type(shown) is type(answered), where


def test_the_document_has_commands_with_responses_of_each_kind() -> None:
    assert {example.language for example in EXAMPLES} == {None, "json", "text", "http"}
    assert all(ADDRESS in example.commands for example in EXAMPLES)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = str(tmp_path_factory.mktemp("recording"))
    with running_server(CPUWATCH_SERVE, CPUWATCH_INTERVAL="0.2", CPUWATCH_RECORD=directory) as running:
        yield running


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.commands.split("\n")[0][:70] for example in EXAMPLES])
def test_a_command_has_the_documented_response(example: Example, server: Server) -> None:
    prelude = LENIENT if example.shows_an_error else STRICT
    commands = example.commands.replace(ADDRESS, server.url.removeprefix("http://"))
    done = subprocess.run(
        ["sh", "-eu", "-c", prelude + commands],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
        env=environment(),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout
    match example.language:
        case "json":
            answered = json.loads(done.stdout)
            assert_like(json.loads(example.shown), answered)
            if example.shows_an_error:
                assert answered == json.loads(example.shown)
        case "text":
            headings = [line for line in example.shown.splitlines() if "PID" in line]
            assert [line.split() for line in headings] == [
                line.split() for line in done.stdout.splitlines() if line.split()[:1] == ["PID"]
            ]
        case "http":
            status, *fields = example.shown.splitlines()
            head = done.stdout.partition("\n\n")[0].splitlines()
            assert head[0].split()[:2] == status.split()[:2]
            names = {line.partition(":")[0].lower() for line in head[1:]}
            assert names >= {line.partition(":")[0] for line in fields}


def test_every_path_parameter_and_status_is_documented(server: Server) -> None:
    description = httpx.get(f"{server.url}/openapi.json").json()
    paths = {path.replace("%20", " ") for path in description["paths"]} - {"/static/{name}"}
    assert {path for path in paths if f"`{path}`" not in DOCUMENT} == set()
    parameters = [one for item in description["paths"].values() for one in item["get"]["parameters"]]
    assert {one["name"] for one in parameters if f"`{one['name']}`" not in DOCUMENT and one["in"] == "query"} <= {
        "per_process"  # documented with its value
    }
    statuses = {status for item in description["paths"].values() for status in item["get"]["responses"]}
    assert {status for status in statuses if not re.search(rf"\b{status}\b", DOCUMENT)} == set()
