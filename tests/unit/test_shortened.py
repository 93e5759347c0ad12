from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cpuwatch.text import shortened


@given(st.text(), st.integers(1, 50))
def test_it_is_the_text_or_its_beginning_and_no_longer_than_asked_for(text: str, most: int) -> None:
    short = shortened(text, most)
    assert short == text if len(text) <= most else short == text[:most] + "..."
