"""Texts for an encoder that is slow to load come in stretches: memory is that of one, whatever the number of texts."""

from __future__ import annotations

from itertools import pairwise

import pandas as pd
import pytest

from capflow_assets.encoders.kept import in_stretches


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [([3, 3, 3, 3, 1], [6, 6, 1]), ([9], [9]), ([1, 1], [2]), ([], [])],
    ids=["many", "one large", "few", "none"],
)
def test_as_few_batches_are_put_together_as_make_a_stretch(sizes: list[int], expected: list[int]) -> None:
    ends = pd.Series([0, *sizes]).cumsum().tolist()
    batches = [pd.DataFrame({"text": range(first, last)}) for first, last in pairwise(ends)]
    stretches = list(in_stretches(batches, least=5))
    assert [len(stretch) for stretch in stretches] == expected
    assert [text for stretch in stretches for text in stretch["text"]] == list(range(ends[-1]))
