"""Topics of reviews: what is said over and over makes as many topics as there are things said."""

from __future__ import annotations

import warnings

from capflow_assets.learning.review_topics import topics_of


def test_ten_texts_said_over_and_over_are_no_more_topics_than_they_are() -> None:
    said = [["shoe", "leather"], ["milk", "bottle"], ["parcel", "courier"], ["queue", "till"], ["zip", "jacket"]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        topics = topics_of(said * 20, 12, seed=0)
    named = topics.of(said)
    assert len(set(named)) == len(said)
    assert all(set(words) <= set(str(name).split(", ")) for words, name in zip(said, named, strict=True))
