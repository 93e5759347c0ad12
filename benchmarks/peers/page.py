"""The page with all tables of :mod:`benchmarks.peers`: one file that needs neither network nor script. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.report import templates
from benchmarks.tables import Section

__all__ = ["render"]


def render(title: str, under_title: str, sections: Sequence[Section], environment: Mapping[str, str]) -> str:
    """The page as text."""
    return templates.render(
        "peers/page.html.j2", title=title, under_title=under_title, parts=sections, environment=environment
    )
