"""Topics of meaning: as many as stand apart, named by language, and none of texts that say nothing."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from capflow_assets.learning.review_meanings import Meanings, meanings_of

SAID = (
    (0, ["the", "parcel"]),
    (0, ["das", "paket"]),
    (1, ["the", "leather"]),
    (1, ["das", "leder"]),
    (2, ["the", "queue"]),
    (2, ["das", "schlange"]),
)
ENCODER = "universal/1"


def planted(times: int = 20) -> tuple[list[list[str]], np.ndarray]:
    """Three meanings, each said in two languages, their vectors a little apart."""
    random = np.random.default_rng(5)
    places = np.array([place for place, _ in SAID] * times)
    return [words for _, words in SAID] * times, np.eye(8)[places] + 0.1 * random.normal(size=(len(places), 8))


def test_as_many_topics_as_stand_apart_each_named_in_both_languages() -> None:
    words, vectors = planted()
    topics = meanings_of(words, vectors, ENCODER, 12, seed=0)
    assert sorted(topics.names) == ["de: leder; en: leather", "de: paket; en: parcel", "de: schlange; en: queue"]
    said = topics.of(vectors)
    assert all(words[1] in str(name) for words, name in zip(words, said, strict=True))
    assert topics.of(np.zeros((2, 8))) == [None, None]
    assert len(meanings_of(words, vectors, ENCODER, 2, seed=0).names) == 2


def test_of_one_language_the_words_alone_are_the_name() -> None:
    words, vectors = planted()
    english = meanings_of(words[::2], vectors[::2], ENCODER, 12, seed=0)
    assert sorted(english.names) == ["leather", "parcel", "queue"]


@pytest.mark.parametrize("kind", ["nothing", "no letters", "four", "all the same"])
def test_too_little_makes_no_topic_or_one(kind: str) -> None:
    words, vectors = planted()
    case = {
        "nothing": (words[:0], vectors[:0]),
        "no letters": ([[]] * 60, np.zeros((60, 8))),
        "four": (words[:4], vectors[:4]),
        "all the same": (words[:1] * 60, np.repeat(vectors[:1], 60, axis=0)),
    }[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        topics = meanings_of(*case, ENCODER, 12, seed=0)
    expected = [None] if kind != "all the same" else ["topic 1"]
    assert set(topics.of(vectors[:1])) == set(expected)


def test_without_topics_nothing_is_of_one() -> None:
    assert Meanings().of(np.ones((2, 3))) == [None, None]
