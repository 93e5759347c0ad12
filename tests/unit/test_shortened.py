from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cpuwatch.text import shortened


@given(st.text(), st.integers(1, 50))
def test_long_text_is_truncated_to_the_limit(text: str, most: int) -> None:
    short = shortened(text, most)
    assert short == text if len(text) <= most else short == text[:most] + "..."
