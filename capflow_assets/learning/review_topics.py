"""What reviews are about: clusters of their words, each named by the words that are most its own.

k-means over the directions in which words occur together (TF-IDF and its singular vectors, to length 1). A topic keeps
only words that several reviews use, and none that hold sentences together or say how kind a review is. Reviews of two
languages share few words, so a topic is one of one language; where an encoder knows languages see ``review_meanings``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from capflow_assets.learning.review_words import joining, kindness, negations

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# A word of fewer reviews may be a name; one of more than this share tells nothing apart.
LEAST_REVIEWS, MOST_SHARE = 5, 0.25
LEAST_LETTERS = 3
MOST_WORDS = 2_000
MOST_LEARNED = 20_000
DIRECTIONS = 40
NAMED_BY = 3


@dataclass(frozen=True)
class Topics:
    """Topics by their ``names``.

    A text is its words of the ``vocabulary``, weighted by ``rarity``, in ``directions`` (words, directions); its topic
    is the nearest of ``centres`` (topics, directions).
    """

    vocabulary: list[str] = field(default_factory=list)
    rarity: np.ndarray = field(default_factory=lambda: np.empty(0))
    directions: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    centres: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    names: list[str] = field(default_factory=list)

    def of(self, words: Sequence[Sequence[str]]) -> list[str | None]:
        """The name of each text's topic; None where it has no word of the vocabulary."""
        if not self.names:
            return [None] * len(words)
        weighted = weighted_words(words, self.vocabulary, self.rarity)
        places = to_length_one(weighted @ self.directions)
        # Of centres of one length the nearest would be that of the smallest angle; they are not.
        nearest = (places @ self.centres.T - (self.centres**2).sum(axis=1) / 2).argmax(axis=1)
        has_words = np.diff(weighted.indptr) > 0
        return [self.names[topic] if has else None for topic, has in zip(nearest, has_words, strict=True)]


def topics_of(words: Sequence[Sequence[str]], count: int, seed: int) -> Topics:
    """At most ``count`` topics of texts, in an order that is not by chance; none where too little is said.

    Of more than MOST_LEARNED the last are learned from.
    """
    from sklearn.cluster import KMeans
    from sklearn.decomposition import TruncatedSVD

    learned = words[-MOST_LEARNED:]
    vocabulary, rarity = vocabulary_of(learned)
    weighted = weighted_words(learned, vocabulary, rarity)
    weighted = weighted[np.diff(weighted.indptr) > 0]
    count = min(count, weighted.shape[0] // LEAST_REVIEWS, len(vocabulary) - 1)
    if count < 1:
        return Topics()
    decomposed = TruncatedSVD(min(DIRECTIONS, len(vocabulary) - 1), random_state=seed).fit(weighted)
    directions = decomposed.components_.T.round(9)
    places = to_length_one(weighted @ directions)
    # Of reviews that say the same over and over there are fewer places than reviews.
    count = min(count, len(np.unique(places.round(9), axis=0)))
    clusters = KMeans(count, n_init=4, random_state=seed).fit(places)
    sizes = np.bincount(clusters.labels_, minlength=count)
    order = [topic for topic in np.argsort(-sizes, kind="stable") if sizes[topic]]
    names = [name_of(weighted, clusters.labels_ == topic, vocabulary) for topic in order]
    return Topics(vocabulary, rarity, directions, clusters.cluster_centers_[order].round(9), names)


def name_of(weighted: csr_matrix, is_of: np.ndarray, vocabulary: Sequence[str]) -> str:
    """The words that are heavier in some texts than in all."""
    own = np.asarray(weighted[is_of].mean(axis=0)).ravel()
    lead = (own - np.asarray(weighted.mean(axis=0)).ravel()).round(9)
    best = np.argsort(-lead, kind="stable")[:NAMED_BY]
    return ", ".join(vocabulary[place] for place in best if own[place] > 0)


def to_length_one(rows: np.ndarray) -> np.ndarray:
    """Each row at length 1; one of 0 stays."""
    lengths = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    return np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 1e-9)


def vocabulary_of(words: Sequence[Sequence[str]], most_share: float = MOST_SHARE) -> tuple[list[str], np.ndarray]:
    """The words that tell texts apart, in the order of the alphabet, and how rare each is.

    A word of more than ``most_share`` of the texts tells nothing apart.
    """
    said = Counter(word for of_text in words for word in set(of_text))
    aside = {*kindness(), *negations(), *joining()}
    most = max(LEAST_REVIEWS, most_share * len(words))
    usable = [
        word for word, count in said.items() if LEAST_REVIEWS <= count <= most and _may_name(word) and word not in aside
    ]
    kept = sorted(sorted(usable, key=lambda word: (-said[word], word))[:MOST_WORDS])
    return kept, np.array([np.log(len(words) / said[word]) for word in kept])


def _may_name(word: str) -> bool:
    # Pairs of letters are words in scripts without spaces.
    return len(word) >= LEAST_LETTERS or not word.isascii()


def weighted_words(words: Sequence[Sequence[str]], vocabulary: Sequence[str], rarity: np.ndarray) -> csr_matrix:
    """Of each text the words of a vocabulary by their rarity, at length 1: (texts, vocabulary)."""
    from scipy.sparse import csr_matrix

    places = {word: place for place, word in enumerate(vocabulary)}
    rows = [sorted({places[word] for word in of_text if word in places}) for of_text in words]
    ends = np.cumsum([0, *map(len, rows)])
    column = np.array([place for row in rows for place in row], dtype=np.int64)
    weights = csr_matrix((rarity[column], column, ends), shape=(len(rows), len(vocabulary)))
    lengths = np.sqrt(np.asarray(weights.multiply(weights).sum(axis=1)).ravel())
    weights.data /= np.repeat(np.where(lengths > 0, lengths, 1.0), np.diff(ends))
    return weights
