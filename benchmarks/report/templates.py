"""The Jinja environment of the kit's pages: every value is escaped, and made safe to show, where it is printed."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from benchmarks import ROOT
from benchmarks.report import figures

__all__ = ["render"]

# HTML has no place for controls and lone surrogates, and direction overrides would turn the text around them.
_INVISIBLE = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_MAX_TEXT = 2_000


def render(template: str, **values: object) -> str:
    """The page from the template of this name, relative to ``benchmarks/``."""
    return _environment().get_template(template).render(**values)


# Compiling the templates takes ten times as long as rendering them.
@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(ROOT / "benchmarks"),
        autoescape=True,
        finalize=_readable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in figures.__all__:
        found = getattr(figures, name)
        if callable(found):
            made.filters[name] = found
    return made


def _readable(value: Any) -> Any:
    """Text from outside with its invisible characters written out, and cut if it is too long."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    if len(value) > _MAX_TEXT:
        value = f"{value[:_MAX_TEXT]}… ({len(value) - _MAX_TEXT:,} more characters)"
    return _INVISIBLE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), value)
