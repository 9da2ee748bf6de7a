from __future__ import annotations

import numpy as np

from capflow_assets.learning.review_words import KIND, UNKIND, balances, kindness, tokens


def test_words_and_signs_of_any_script_are_tokens() -> None:
    assert tokens("It’s ÜBER-good 5/5 👍👍") == ["it", "s", "über", "good", "👍", "👍"]
    # Scripts without spaces are read in pairs of signs.
    assert tokens("とても良い") == ["とて", "ても", "も良", "良い"]
    assert tokens("") == tokens("12 / 5 !!") == []


def test_no_word_is_kind_and_unkind() -> None:
    assert not set(KIND.split()) & set(UNKIND.split())
    assert set(kindness().values()) == {1, -1}


def test_a_negation_turns_the_next_words_round_and_no_others() -> None:
    texts = ["great", "not great", "not a very great one", "nicht gut, aber schnell", "schlecht 👎", "blue shoes"]
    expected = [(1, 0), (0, 1), (1, 0), (1, 1), (0, 2), (0, 0)]
    np.testing.assert_array_equal(balances([tokens(text) for text in texts]), expected)
    assert balances([]).shape == (0, 2)
