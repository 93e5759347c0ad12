"""``/``: the page, which works without scripts; ``/static/``: its scripts and styles, as they are in the package."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from string import Template
from typing import ClassVar

import msgspec
from msgspec import Struct
from starlette.types import Scope

from cpuwatch.encoding.html import headings, page_texts
from cpuwatch.fields import FIELDS
from cpuwatch.model import Snapshot
from cpuwatch.query.parameters import Parameter
from cpuwatch.web.http.request import headers
from cpuwatch.web.http.response import Answer, FixedContent, problem
from cpuwatch.web.openapi.operation import TEXT, Operation
from cpuwatch.web.state import Live, live

__all__ = ["PAGE", "STATIC", "PageResponse", "StaticFiles", "fields_module", "page"]

_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

_LINK_TO_MACHINES = '<a href="machines">Machines</a>'

PAGE = Operation(
    path="/",
    name="page",
    summary="The page for the browser.",
    content={"text/html": TEXT},
    problems=(404,),
    is_open=True,
)
STATIC = Operation(
    path="/static/{name:path}",
    name="static",
    summary="The scripts and styles of the page.",
    content={content_type.partition(";")[0]: TEXT for content_type in _MEDIA_TYPES.values()},
    problems=(404,),
    in_path={
        "name": Parameter(
            "name",
            "The name of the file.",
            {"type": "string", "minLength": 1, "examples": ["page.css"]},
            lambda _name, text: text,
        )
    },
    is_conditional=True,
    is_open=True,
)


class PageResponse(Struct, frozen=True):
    """The page with the busiest processes (:class:`~cpuwatch.web.response_cache.Representation`).

    ``past`` tells its scripts where the past is: in ``memory``, in a ``recording``, or in a recording without a
    present, ``playback``. If it ``has_peers``, it links to the page of machines.
    """

    past: str
    has_peers: bool
    is_made_ahead: ClassVar[bool] = False

    def make(self, snapshot: Snapshot) -> Answer:
        """The page for this snapshot."""
        return _page(self, **page_texts(snapshot))


async def page(scope: Scope) -> Answer:
    """``GET /``: the busiest processes as a table, and the scripts that turn it into the live page.

    If a token is set, a browser cannot send it when it opens an address. It gets the page without data, and the scripts
    ask for the token.
    """
    state = live(scope)
    if not state.settings.page:
        return problem(404, "the page is disabled (CPUWATCH_PAGE)")
    token, wanted = state.settings.token, PageResponse(_past_of(state), state.peers is not None)
    if token is not None and not token.matches(headers(scope).get(b"authorization")):
        return _page(wanted, summary="this server requires a token")
    return await state.cache.get(wanted) or _page(wanted, summary="no data yet")


def _past_of(state: Live) -> str:
    if state.recording is None:
        return "memory"
    return "playback" if state.recorder is None else "recording"


def _page(wanted: PageResponse, **shown: str) -> Answer:
    empty = {"host": "", "summary": "", "footer": "", "missing": "", "rows": ""}
    fixed = {"headings": headings(), "past": wanted.past, "machines": _LINK_TO_MACHINES if wanted.has_peers else ""}
    html = _template().substitute(empty | fixed | shown)
    return Answer.of(html.encode(), "text/html; charset=utf-8")


@cache
def _template() -> Template:
    return Template((files("cpuwatch.web") / "page.html").read_text("utf-8"))


class StaticFiles:
    """``GET /static/{name}``: each file in each coding, encoded once, at the first request for any of them.

    The name is a key in a dict of the files in the package. It never becomes a path, so it cannot leave the folder.
    """

    async def __call__(self, scope: Scope) -> Answer:
        """Return the response."""
        content = self._contents.get(scope["path_params"]["name"])
        if content is None:
            return problem(404, f"unknown file {scope['path']}")
        return content.answer(scope)

    @cached_property
    def _contents(self) -> dict[str, FixedContent]:
        contents = {
            name: FixedContent(file.read_bytes(), _MEDIA_TYPES[_suffix(file)])
            for name, file in _files_in(files("cpuwatch.web") / "static")
            if _suffix(file) in _MEDIA_TYPES
        }
        return contents | {"model/fields.js": FixedContent(fields_module(), _MEDIA_TYPES[".js"])}


def fields_module() -> bytes:
    """``model/fields.js``: the table of row fields, as a module that the page's scripts import.

    A module, because all of them need it before the first row. The page's content security policy allows no inline
    script, and not every browser imports JSON.
    """
    fields = [msgspec.to_builtins(field) | {"descends": field.descends} for field in FIELDS.values()]
    return b"export const FIELDS = " + msgspec.json.encode(fields) + b";\n"


def _files_in(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    """Each file below a folder, with its name relative to it."""
    for entry in folder.iterdir():
        name = prefix + entry.name
        if entry.is_dir():
            yield from _files_in(entry, f"{name}/")
        else:
            yield name, entry


def _suffix(file: Traversable) -> str:
    return file.name[file.name.rfind(".") :]
