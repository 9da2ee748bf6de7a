"""Reviews without a word that says anything: stars are given, and nothing is written."""

from __future__ import annotations

import numpy as np
import pytest

from capflow_assets.learning.sentiment import fitted_list, fitted_words

PRAISE = np.array([1.0] * 30 + [0.0] * 10)


@pytest.mark.parametrize("vectors", [None, np.zeros((40, 0))], ids=["words", "vectors of no encoder"])
@pytest.mark.parametrize("words", [[], ["牛奶"]], ids=["no text", "words of no list"])
def test_of_each_the_share_of_praise_is_known_and_no_more(words: list[str], vectors: np.ndarray | None) -> None:
    model = fitted_words([words] * 40, vectors, PRAISE)
    chances = model.chances([words] * 40, vectors)
    assert len(set(chances)) == 1
    assert chances[0] == pytest.approx(0.75, abs=0.06)
    _, intercept = fitted_list([words] * 40, PRAISE)
    assert 1 / (1 + np.exp(-intercept)) == pytest.approx(0.75, abs=0.06)
