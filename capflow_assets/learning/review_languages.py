"""Which language reviews are in, by the words that hold their sentences together; no customer has to say.

A review's joining words name its language, a word is of the language of most reviews that use it, and a review without
a joining word is of the language of most of its words. Five languages are known (``review_words.JOINING``); what is in
none of them is ``OTHER``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from capflow_assets.learning.review_words import JOINING

OTHER = "other"


def languages_of(texts: Sequence[Sequence[str]]) -> list[str]:
    """The language of each text, given as its words; ``OTHER`` where nothing tells.

    >>> languages_of([["the", "parcel"], ["das", "paket"], ["paket", "kaputt"], ["посылка"]])
    ['en', 'de', 'de', 'other']
    """
    joined = [_joined(words) for words in texts]
    votes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for words, language in zip(texts, joined, strict=True):
        if language != OTHER:
            for word in set(words):
                votes[word][language] += 1
    owners = {word: _commonest(counts) for word, counts in votes.items()}
    return [
        language if language != OTHER else _commonest(Counter(owners[word] for word in words if word in owners))
        for words, language in zip(texts, joined, strict=True)
    ]


def _joined(words: Sequence[str]) -> str:
    return _commonest(Counter(_OWNERS[word] for word in words if word in _OWNERS))


def _commonest(counts: Counter[str]) -> str:
    """The first in the order of the alphabet of those that are counted most often."""
    return min(counts, key=lambda language: (-counts[language], language)) if counts else OTHER


# A word of several languages tells none.
_OF_LANGUAGES = Counter(word for words in JOINING.values() for word in set(words.split()))
_OWNERS = {word: language for language, words in JOINING.items() for word in words.split() if _OF_LANGUAGES[word] == 1}
