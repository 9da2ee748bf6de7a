"""What reviews are about: clusters of what they mean, in whatever language, each named by its words in each language.

Where an encoder places what is said alike close, whatever the language (the Universal Sentence Encoder), a topic is one
of all languages. k-means over the main directions of the vectors, to length 1; the number of topics is the largest that
is not surely worse than the best by the silhouette. Without such an encoder topics are clusters of words
(``review_topics``), and languages are apart.

P. Rousseeuw, "Silhouettes", Journal of Computational and Applied Mathematics 20 (1987).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from capflow_assets.learning.review_languages import languages_of
from capflow_assets.learning.review_topics import (
    DIRECTIONS,
    LEAST_REVIEWS,
    MOST_LEARNED,
    name_of,
    to_length_one,
    vocabulary_of,
    weighted_words,
)

# Encoders that place what is said alike in several languages close, by how their names begin.
OF_LANGUAGES = ("universal/",)
# Silhouettes are looked at for so many reviews.
MOST_COMPARED = 1_000
# Languages of fewer reviews than this share name nothing: they may be guessed wrongly.
LEAST_SHARE = 0.02
# A topic may be more than half of what is said in a language; its words name it all the same.
MOST_NAMING_SHARE = 0.7


@dataclass(frozen=True)
class Meanings:
    """Topics by their ``names``.

    A vector of the ``encoder`` is placed in ``directions`` (numbers, directions); its topic is the nearest of
    ``centres`` (topics, directions).
    """

    encoder: str = ""
    directions: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    centres: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    names: list[str] = field(default_factory=list)

    def of(self, vectors: np.ndarray) -> list[str | None]:
        """The name of each vector's topic; None where it is all 0, which is of a text that says nothing."""
        if not self.names:
            return [None] * len(vectors)
        says_something = np.abs(vectors).sum(axis=1) > 0
        places = to_length_one(vectors @ self.directions)
        nearest = (places @ self.centres.T - (self.centres**2).sum(axis=1) / 2).argmax(axis=1)
        return [self.names[topic] if says else None for topic, says in zip(nearest, says_something, strict=True)]


def meanings_of(words: Sequence[Sequence[str]], vectors: np.ndarray, encoder: str, most: int, seed: int) -> Meanings:
    """At most ``most`` topics of texts, given as their words and vectors, the largest first; none of too few.

    Of more than MOST_LEARNED the last are learned from.
    """
    from sklearn.cluster import KMeans

    says_something = np.abs(vectors).sum(axis=1) > 0
    rows = np.flatnonzero(says_something)[-MOST_LEARNED:]
    learned = vectors[rows]
    most = min(most, len(rows) // LEAST_REVIEWS)
    if most < 1:
        return Meanings()
    _, main = np.linalg.eigh(learned.T @ learned)
    directions = main[:, ::-1][:, :DIRECTIONS].round(9)
    places = to_length_one(learned @ directions)
    # Of reviews that say the same over and over there are fewer places than reviews.
    most = min(most, len(np.unique(places.round(6), axis=0)))
    fits = {count: KMeans(count, n_init=4, random_state=seed).fit(places) for count in range(min(2, most), most + 1)}
    chosen = fits[_most_that_stand_apart(places, {count: fit.labels_ for count, fit in fits.items()}, seed)]
    sizes = np.bincount(chosen.labels_)
    order = np.argsort(-sizes, kind="stable")
    names = _names([words[row] for row in rows.tolist()], [chosen.labels_ == topic for topic in order])
    return Meanings(encoder, directions, chosen.cluster_centers_[order].round(9), names)


def _most_that_stand_apart(places: np.ndarray, labels: dict[int, np.ndarray], seed: int) -> int:
    """The largest number of topics whose silhouettes are no more than a standard error below the best, row by row."""
    from sklearn.metrics import silhouette_samples

    some = np.sort(np.random.default_rng(seed).permutation(len(places))[:MOST_COMPARED])
    apart = {
        count: silhouette_samples(places[some], of[some])
        for count, of in labels.items()
        if 1 < len(np.unique(of[some])) < len(some)
    }
    if not apart:
        return max(labels)
    best = max(apart.values(), key=lambda values: float(values.mean().round(9)))
    errors = {count: (best - values).std() / np.sqrt(len(some)) for count, values in apart.items()}
    return max(count for count, values in apart.items() if (best - values).mean() <= errors[count] + 1e-9)


def _names(texts: Sequence[Sequence[str]], topics: Sequence[np.ndarray]) -> list[str]:
    """Of each topic the words that are most its own in each language: ``en: parcel, late; de: paket, bote``.

    Of reviews in one language the words alone.
    """
    languages = languages_of(texts)
    counts = sorted(Counter(languages).items(), key=lambda counted: (-counted[1], counted[0]))
    kept = [language for language, count in counts if count >= LEAST_SHARE * len(texts)]
    names: list[list[str]] = [[] for _ in topics]
    for language in kept:
        rows = np.array([row for row, other in enumerate(languages) if other == language])
        said = [texts[row] for row in rows.tolist()]
        vocabulary, rarity = vocabulary_of(said, MOST_NAMING_SHARE)
        weighted = weighted_words(said, vocabulary, rarity)
        for name, is_of in zip(names, topics, strict=True):
            if is_of[rows].sum() >= LEAST_REVIEWS and (own := name_of(weighted, is_of[rows], vocabulary)):
                name.append(f"{language}: {own}" if len(kept) > 1 else own)
    return ["; ".join(name) or f"topic {place + 1}" for place, name in enumerate(names)]
