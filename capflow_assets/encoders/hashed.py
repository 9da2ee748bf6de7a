"""Words as vectors that nobody learned: each word has a direction of its own, drawn by its letters, for ever.

The direction of a word is a row of signs drawn by a hash of it: a signed random projection of the bag of words
(Achlioptas 2003), whose rows come from the words themselves and so need no vocabulary (Weinberger et al. 2009). Two
texts without a common word are ``1 / sqrt(dimensions)`` from a right angle in the mean, 0.09 at 128.
"""

from __future__ import annotations

from collections import Counter
from hashlib import shake_256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

# A change of what follows from a word, its weights or its signs, is another encoder: count this up.
RELEASE = 1


def sums_of_directions(texts: Sequence[Sequence[str]], dimensions: int, seed: int) -> np.ndarray:
    """One row per text, given as its words: ``sum over words of (1 + ln tf) x direction``; 0 without a word.

    A row depends on its own text alone, to the last bit.
    """
    import numpy as np
    from scipy.sparse import csr_matrix

    counts = [Counter(words) for words in texts]
    places = {word: place for place, word in enumerate(dict.fromkeys(word for text in counts for word in text))}
    if not places:
        return np.zeros((len(texts), dimensions))
    weights = csr_matrix(
        (
            1 + np.log([count for text in counts for count in text.values()]),
            [places[word] for text in counts for word in text],
            np.cumsum([0, *map(len, counts)]),
        ),
        shape=(len(texts), len(places)),
    )
    return np.asarray(weights @ np.stack([_direction(word, dimensions, seed) for word in places]))


def _direction(word: str, dimensions: int, seed: int) -> np.ndarray:
    """Signs from the bits of a hash of the word and the seed, the same in every process."""
    import numpy as np

    digest = shake_256(f"{seed} {word}".encode()).digest((dimensions + 7) // 8)
    return np.unpackbits(np.frombuffer(digest, dtype=np.uint8), count=dimensions) * 2.0 - 1.0
