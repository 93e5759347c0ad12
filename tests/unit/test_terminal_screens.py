from __future__ import annotations

import pytest
from terminal_screens import FOLDER, SCREENS, screen_text


@pytest.mark.parametrize("name", list(SCREENS))
def test_a_screen_looks_as_it_did(name: str) -> None:
    screen, state = SCREENS[name]
    assert screen_text(screen, state) == (FOLDER / f"{name}.txt").read_text()
