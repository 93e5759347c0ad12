"""``/static/``: the scripts and styles of the page, as they stand in the package."""

from __future__ import annotations

from functools import cached_property
from hashlib import blake2b
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.types import Scope

from cpuwatch.web.answer import Answer
from cpuwatch.web.compression import CODINGS, SMALLEST_COMPRESSED_BYTES
from cpuwatch.web.negotiation import choose_coding
from cpuwatch.web.problem import problem
from cpuwatch.web.requested import header

__all__ = ["StaticFiles"]

_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class StaticFiles:
    """``GET /static/{name}``: each file in each coding, made once, when the first of them is asked for.

    A name is looked up among those that there are; it is never made a path.
    """

    async def __call__(self, scope: Scope) -> Answer:
        """The answer to one request."""
        codings = self._answers.get(scope["path_params"]["name"])
        if codings is None:
            return problem(404, f"there is nothing at {scope['path']}")
        accepted = (header(scope, b"accept-encoding") or b"").decode("latin-1")
        answer = codings[choose_coding(accepted, list(CODINGS))]
        return answer.unless_known(header(scope, b"if-none-match"))

    @cached_property
    def _answers(self) -> dict[str, dict[str, Answer]]:
        folder = files("cpuwatch.web") / "static"
        return {file.name: _in_each_coding(file) for file in folder.iterdir() if _suffix(file) in _MEDIA_TYPES}


def _suffix(file: Traversable) -> str:
    return file.name[file.name.rfind(".") :]


def _in_each_coding(file: Traversable) -> dict[str, Answer]:
    content = file.read_bytes()
    name = blake2b(content, digest_size=8).hexdigest()
    plain = Answer.of(content, _MEDIA_TYPES[_suffix(file)], headers=[_VARY], etag=f'"{name}"')
    answers = {"identity": plain}
    for coding, compress in CODINGS.items():
        headers = [_VARY, ("content-encoding", coding)]
        answers[coding] = (
            Answer.of(compress(content), _MEDIA_TYPES[_suffix(file)], headers=headers, etag=f'"{name}-{coding}"')
            if len(content) >= SMALLEST_COMPRESSED_BYTES
            else plain
        )
    return answers


_VARY = ("vary", "accept-encoding")
