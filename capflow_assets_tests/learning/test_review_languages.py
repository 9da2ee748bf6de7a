"""The language of a review follows from its joining words, or from the words that it shares with others."""

from __future__ import annotations

import numpy as np

from capflow_assets.learning.review_languages import languages_of
from capflow_assets.learning.sentiment import tokens_of
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.world import simulate


def test_planted_languages_are_recovered() -> None:
    shop = simulate(tiny("shop", seed=4, users=200, reviews=400))
    truth = shop.reviews.merge(shop.truth.reviews, on="review_id")["language"]
    assert (np.array(languages_of(tokens_of(shop.reviews["text"].tolist()))) == truth).mean() > 0.9


def test_words_of_several_languages_and_other_scripts_tell_nothing() -> None:
    assert languages_of([["de"], ["очень", "хорошо"], [], ["👍"]]) == ["other"] * 4
    assert languages_of([]) == []
