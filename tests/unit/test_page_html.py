"""The server side of the page: the table without scripts, and the static files."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from functools import cache
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import httpx
import pytest
import zstandard
from asgi_client import state_of
from hypothesis import given
from hypothesis import strategies as st
from readings import HOSTILE_NAMES, SECOND, process, reading
from starlette.types import ASGIApp, Receive, Scope, Send

from cpuwatch import Monitor, ScriptedSampler
from cpuwatch.settings import Settings
from cpuwatch.text import printable
from cpuwatch.token_file import parse_token
from cpuwatch.web import create_app
from cpuwatch.web.state import Live

STATIC = Path(str(files("cpuwatch.web") / "static"))
FILES = sorted(str(file.relative_to(STATIC)) for file in STATIC.rglob("*.*"))
ONLY_OF_MACHINES = ["machines.css", "machines.js", "model/machines.js", "view/machine_grid.js"]
TOKEN = "a-token-of-the-tests"  # noqa: S105


@cache
def app(settings: Settings) -> ASGIApp:
    return create_app(settings)


def get(path: str, settings: Settings | None = None, *names: str, **headers: str) -> httpx.Response:
    """Request a path while processes of these names run."""
    chosen = settings or Settings()
    earlier = [process(10 + index, name=name) for index, name in enumerate(names)]
    later = [process(10 + index, name=name, cpu_ns=SECOND // 10) for index, name in enumerate(names)]
    script = [reading(*earlier), reading(*later, at_ns=101 * SECOND)]
    with Monitor(0.001, sampler=ScriptedSampler(script)) as monitor:
        assert monitor.wait(after=0, timeout=30)

    async def running(scope: Scope, receive: Receive, send: Send) -> None:
        state = state_of(Live(monitor), chosen)
        await app(chosen)({**scope, "state": state}, receive, send)

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(running)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            sent = {"accept-encoding": "identity"} | {name.replace("_", "-"): value for name, value in headers.items()}
            return await client.get(path, headers=sent)

    return asyncio.run(send())


class Cells(HTMLParser):
    """Collects the text of the cells, by row, and all tags."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self._rows: list[list[str]] = []
        self._in_cell = False
        self.tags: set[str] = set()
        self.feed(page)

    @property
    def names(self) -> list[str]:
        return [row[1] for row in self._rows if row]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(f"{tag} {[name for name, _ in attrs]}")
        if tag == "tr":
            self._rows.append([])
        elif tag == "td":
            self._rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        self._in_cell = self._in_cell and tag != "td"

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self._rows[-1][-1] += data


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=15), min_size=1, max_size=5))
def test_any_name_is_text_in_the_page(names: list[str]) -> None:
    plain, named = Cells(get("/", None, "plain").text), Cells(get("/", None, *names).text)
    assert sorted(named.names) == sorted(map(printable, names))
    assert named.tags == plain.tags


def test_hostile_names_create_no_markup() -> None:
    names = [name.decode("utf-8", "backslashreplace") for name in HOSTILE_NAMES]
    page = Cells(get("/", None, *names).text)
    assert sorted(page.names) == sorted(map(printable, names))


def test_the_page_has_at_most_fifty_rows() -> None:
    assert len(Cells(get("/", None, *map(str, range(80))).text).names) == 50


def test_without_the_token_the_page_has_no_data() -> None:
    closed = Settings(token=parse_token(TOKEN))
    assert Cells(get("/", closed, "secret").text).names == []
    assert Cells(get("/", closed, "secret", authorization=f"Bearer {TOKEN}").text).names == ["secret"]
    assert get("/static/app.js", closed).status_code == 200


def test_the_page_can_be_disabled() -> None:
    response = get("/", Settings(page=False))
    assert response.status_code == 404
    assert "CPUWATCH_PAGE" in response.json()["detail"]


@pytest.mark.parametrize("name", FILES)
def test_each_file_is_served_with_its_type_in_each_coding(name: str) -> None:
    content = (STATIC / name).read_bytes()
    plain = get(f"/static/{name}")
    kinds = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
    assert plain.headers["content-type"].split(";")[0] == kinds[name.rpartition(".")[2]]
    assert plain.content == content
    for coding in ("gzip", "zstd"):
        coded = get(f"/static/{name}", accept_encoding=coding)
        assert coded.content == content
        assert get(f"/static/{name}", accept_encoding=coding, if_none_match=coded.headers["etag"]).status_code == 304
    assert len({coded.headers["etag"], plain.headers["etag"]}) == (1 if len(content) < 1024 else 2)


@pytest.mark.parametrize(
    "path",
    [
        "/static/",
        "/static/no.js",
        "/static/view",
        "/static/view/",
        "/static/view/no.js",
        "/static//app.js",
        "/static/view//dom.js",
        "/static/%2e/app.js",
        "/static/view/%2e%2e/app.js",
        "/static/../page.py",
        "/static/..%2fpage.py",
        "/static/%2e%2e/page.html",
        "/static/view/../../page.html",
        "/static//etc/passwd",
    ],
)
def test_other_paths_are_404(path: str) -> None:
    assert get(path).status_code == 404


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_all_files_together_are_small(compress: Callable[[bytes], bytes]) -> None:
    sizes = {name: len(compress((STATIC / name).read_bytes())) for name in FILES}
    assert sum(size for name, size in sizes.items() if name not in ONLY_OF_MACHINES) < 76_000
    assert sum(sizes[name] for name in ONLY_OF_MACHINES) < 6_000


def test_the_page_has_no_inline_scripts_or_styles() -> None:
    page = get("/").text
    assert page.count("<script") == page.count('<script type="module" src=') == 1
    assert "<style" not in page
    assert " style=" not in page
