"""The demo opens with what it will do, and how long that takes by the processes that there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from capflow_assets.demo.opening import opening


@pytest.mark.parametrize(
    ("processes", "words"), [(1, "about 16 minutes in 1 process "), (2, "about 8 minutes in 2 processes ")]
)
def test_how_long_it_takes_follows_from_what_there_is_to_do(processes: int, words: str) -> None:
    text = opening(("grocer", "records"), ("boots", "cafe"), 748, processes, Path("home"))
    assert words in text
    assert "748 assets" in text
    assert "grocer and records with real data, boots and cafe simulated" in text
