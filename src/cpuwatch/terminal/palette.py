"""The colours of each style: for 256 and more colours, for 16, and for a monochrome terminal."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

__all__ = ["THEMES", "Paint", "Theme"]

Theme = Literal["dark", "light"]


class Paint(Struct, frozen=True):
    """A style in urwid's words. ``high`` is the foreground on terminals with 256 or more colours."""

    foreground: str
    mono: str = ""
    background: str = "default"
    high: str = ""
    high_background: str = ""


_COMMON = {
    "bold": Paint("bold", "bold"),
    "title": Paint("bold", "bold"),
    "key": Paint("bold", "bold"),
    "name": Paint("default"),
    "marked": Paint("default,standout", "standout"),
}

THEMES: dict[Theme, dict[str, Paint]] = {
    "dark": _COMMON
    | {
        "dim": Paint("dark gray", high="#888"),
        "rail": Paint("dark gray", high="#444"),
        "own": Paint("light green", high="#5c8"),
        "cool": Paint("dark green", high="#5c8"),
        "busy": Paint("light green", "bold", high="#8e8"),
        "warm": Paint("yellow", "bold", high="#fc4"),
        "hot": Paint("light red", "bold", high="#f64"),
        "exited": Paint("light magenta", high="#c8f"),
        "fading": Paint("dark magenta", high="#86a"),
        "faded": Paint("dark gray", high="#646"),
        "unattributed": Paint("brown", high="#a84"),
        "heading": Paint("black", "standout", "dark cyan", "#fff", "#246"),
        "sorted": Paint("white,bold", "standout,bold", "dark cyan", "#fff,bold", "#48a"),
        "cursor": Paint("black", "standout", "light gray", "#fff", "#468"),
        "live": Paint("black", "standout", "dark green", "#dfd", "#063"),
        "recorded": Paint("black", "standout", "dark cyan", "#dff", "#046"),
        "frozen": Paint("white", "standout", "dark blue", "#fff", "#06a"),
        "stale": Paint("white", "standout,bold", "dark red", "#fff", "#a00"),
        "connecting": Paint("black", "standout", "brown", "#fff", "#860"),
    },
    "light": _COMMON
    | {
        "dim": Paint("dark gray", high="#666"),
        "rail": Paint("light gray", high="#aaa"),
        "own": Paint("dark green", high="#060"),
        "cool": Paint("dark green", high="#060"),
        "busy": Paint("dark green", "bold", high="#060"),
        "warm": Paint("brown", "bold", high="#840"),
        "hot": Paint("dark red", "bold", high="#a00"),
        "exited": Paint("dark magenta", high="#808"),
        "fading": Paint("dark magenta", high="#a6a"),
        "faded": Paint("dark gray", high="#a8a"),
        "unattributed": Paint("brown", high="#860"),
        "heading": Paint("white", "standout", "dark blue", "#000", "#acf"),
        "sorted": Paint("white,bold", "standout,bold", "dark blue", "#000,bold", "#8ae"),
        "cursor": Paint("white", "standout", "black", "#000", "#ccc"),
        "live": Paint("white", "standout", "dark green", "#040", "#afa"),
        "recorded": Paint("white", "standout", "dark cyan", "#046", "#aef"),
        "frozen": Paint("white", "standout", "dark blue", "#fff", "#06a"),
        "stale": Paint("white", "standout,bold", "dark red", "#fff", "#a00"),
        "connecting": Paint("white", "standout", "brown", "#fff", "#860"),
    },
}
