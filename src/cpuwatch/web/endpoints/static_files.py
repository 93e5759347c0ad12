"""``/static/``: the scripts and styles of the page, as they stand in the package."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable

import msgspec
from starlette.types import Scope

from cpuwatch.fields import FIELDS
from cpuwatch.query.parameters import Parameter
from cpuwatch.web.http.response import Answer, FixedContent, problem
from cpuwatch.web.openapi.operation import TEXT, Operation

__all__ = ["STATIC", "StaticFiles", "fields_module"]

_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


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


class StaticFiles:
    """``GET /static/{name}``: each file in each coding, encoded once, at the first request for any of them.

    The name is a key in a dict of the files in the package. It never becomes a path, so it cannot leave the folder.
    """

    async def __call__(self, scope: Scope) -> Answer:
        """The answer to one request."""
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
