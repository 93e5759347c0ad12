"""The keys of the terminal and of the page: one table (terminal/model/keys.py)."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import cpuwatch
from cpuwatch.terminal.model.keys import BINDINGS, action_of
from cpuwatch.terminal.model.panels import help_lines
from cpuwatch.terminal.model.state import ViewState
from cpuwatch.terminal.model.text import Screen
from cpuwatch.terminal.model.update import Shown, pressed

WEB = Path(cpuwatch.__file__).parent / "web"
PAGE_KEYS = {binding.page_key for binding in BINDINGS if binding.page_key is not None}
SHOWN = {" ": "space", "Escape": "Esc", "-": "−"}  # noqa: RUF001  a minus sign, as the page has it


def test_the_page_has_the_keys_of_the_table() -> None:
    body = re.search(
        r"\n  actions\(\) \{\n    return \{\n(.*?)\n    \};", (WEB / "static/app.js").read_text(), re.DOTALL
    )
    assert body is not None
    keys = {quoted or plain for quoted, plain in re.findall(r'^      (?:"(.+?)"|(\w+)): \(', body[1], re.MULTILINE)}
    assert keys == PAGE_KEYS


def test_the_help_of_the_page_names_the_keys_of_the_table() -> None:
    help_text = (WEB / "page.html").read_text().partition('id="help-title"')[2]
    named = set(re.findall(r"<kbd>(.+?)</kbd>", help_text.partition("</dl>")[0]))
    assert {SHOWN.get(key, key) for key in PAGE_KEYS} <= named


def test_a_key_of_the_page_does_the_same_in_the_terminal() -> None:
    for binding in BINDINGS:
        if binding.page_key is not None and binding.keys:
            assert action_of("esc" if binding.page_key == "Escape" else binding.page_key) == binding.action


def test_no_key_has_two_actions() -> None:
    counts = Counter(key for binding in BINDINGS for key in (*binding.keys, *binding.more))
    assert max(counts.values()) == 1


def test_every_action_does_something_without_rows() -> None:
    for binding in filter(lambda binding: binding.keys, BINDINGS):
        state, effect = pressed(ViewState(view="tree", cursor="gone"), binding.keys[0], Shown([], 10, 80))
        assert isinstance(state, ViewState)
        assert isinstance(effect, str)


def test_the_help_shows_every_key() -> None:
    text = "\n".join("".join(part for _, part in line) for line in help_lines(Screen(200, 60)))
    for binding in BINDINGS:
        assert (binding.text in text) == bool(binding.keys)
