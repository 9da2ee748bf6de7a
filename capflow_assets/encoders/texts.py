"""Texts as vectors, by the encoder that a customer chose. Pure but for the encoder's files.

Belongs here: what makes vectors of the texts that it is handed. Does not belong here: which texts, and what is known of
them when.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from capflow_assets.errors import SourceError, TableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from scipy.sparse import csr_matrix

# Digits alone are sizes and numbers, not words.
WORD = r"[^\W\d_]{2,}"
DECIMALS = 6


class Params(BaseModel):
    """What a customer may set for texts: how they are encoded."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    encoder: Literal["tfidf", "glove", "sentence"] = Field("tfidf", description="tfidf needs no download.")
    path: str | None = Field(None, description="The GloVe text file, or the folder of the sentence encoder.")
    dimensions: int = Field(32, ge=1, le=1024, description="Length of a tfidf vector; a file's own otherwise.")
    vocabulary: int = Field(20_000, ge=1, description="The most frequent words that tfidf and glove keep.")
    seed: int = Field(0, ge=0, description="Seed of the decomposition.")

    @model_validator(mode="after")
    def _has_path(self) -> Params:
        if self.encoder != "tfidf" and not self.path:
            raise ValueError(f"path is missing: the encoder {self.encoder} is read from there")
        return self


def vectors_of(texts: Sequence[str | None], params: Params) -> tuple[np.ndarray, np.ndarray]:
    """How many words each text has, and its vector of length 1 (all 0 where no word is known), to six decimals.

    Texts are read in lower case (Unicode NFKC); a word has at least two letters.

    - ``tfidf``: (1 + ln tf) x idf, rows of length 1, projected on the first ``dimensions`` singular vectors (latent
      semantic analysis). Each singular vector has its largest component above 0. Where there are fewer independent
      texts than dimensions, the rest is 0.
    - ``glove``: the vectors of the words from a text file (``word v1 v2 …`` a line), weighted by TF-IDF.
    - ``sentence``: a sentence encoder from a folder, by the library sentence-transformers.

    Raises:
        SourceError: the file at ``Params.path`` does not hold vectors.

    Reference: S. Deerwester et al., "Indexing by Latent Semantic Analysis", JASIS 41 (1990); J. Pennington, R. Socher,
    C. Manning, "GloVe: Global Vectors for Word Representation", EMNLP (2014).
    """
    import re
    import unicodedata

    import numpy as np

    normalized = [unicodedata.normalize("NFKC", text or "").lower() for text in texts]
    vectors = {"tfidf": _tfidf, "glove": _glove, "sentence": _sentence}[params.encoder](normalized, params)
    words = np.array([len(re.findall(WORD, text)) for text in normalized], dtype="int32")
    # Adding 0 makes a 0 of a -0.
    return words, vectors.astype(float).round(DECIMALS) + 0.0


def demand(params: Params, block: str) -> None:
    """Refuse an encoder that is missing before any worker starts.

    Raises:
        SourceError: there is nothing at ``Params.path``.
        TableError: the encoder's library is not installed.
    """
    from importlib.util import find_spec

    if params.encoder == "tfidf" or params.path is None:
        return
    if not Path(params.path).is_absolute():
        raise SourceError("An encoder is read from a disk", expected="a path that every worker has", came=params.path)
    if not Path(params.path).exists():
        raise SourceError("There is no encoder", where=params.path, do=f"check path in [features.{block}]")
    if params.encoder == "sentence" and find_spec("sentence_transformers") is None:
        raise TableError(
            "Texts cannot be encoded",
            expected="the library sentence-transformers",
            came="none",
            do=f"pip install 'capflow-assets[encoder]' beside the engine, or encoder = 'tfidf' in [features.{block}]",
        )


def _weights(texts: list[str], params: Params) -> tuple[csr_matrix, list[str]]:
    """The TF-IDF weight of each word in each text, and the words; none where no text has a word."""
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(lowercase=False, token_pattern=WORD, sublinear_tf=True, max_features=params.vocabulary)
    try:
        weights = vectorizer.fit_transform(texts)
    except ValueError:  # how the library reports an empty vocabulary
        return csr_matrix((len(texts), 0)), []
    return weights, list(vectorizer.get_feature_names_out())


def _tfidf(texts: list[str], params: Params) -> np.ndarray:
    import numpy as np
    from sklearn.decomposition import TruncatedSVD

    weights, words = _weights(texts, params)
    vectors = np.zeros((len(texts), params.dimensions))
    dimensions = min(params.dimensions, *weights.shape)
    if not words:
        return vectors
    if dimensions == 1 and weights.shape[1] == 1:
        vectors[:, 0] = weights.toarray()[:, 0]
        return vectors
    svd = TruncatedSVD(dimensions, n_iter=7, random_state=params.seed)
    projected = svd.fit_transform(weights)
    directions = svd.components_
    largest = np.abs(directions).argmax(axis=1)
    signs = np.where(directions[np.arange(dimensions), largest] < 0, -1.0, 1.0)
    # A direction without weight is noise of the last bits.
    has_weight = svd.singular_values_ > 1e-6 * svd.singular_values_[0]
    vectors[:, :dimensions] = projected * signs * has_weight
    return _of_length_one(vectors)


def _of_length_one(vectors: np.ndarray) -> np.ndarray:
    import numpy as np

    lengths = np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 1e-9)


def _glove(texts: list[str], params: Params) -> np.ndarray:
    import numpy as np

    weights, words = _weights(texts, params)
    vectors, length = _word_vectors(Path(params.path or ""), frozenset(words))
    if not words:
        return np.zeros((len(texts), length))
    nothing = np.zeros(length)
    return _of_length_one(np.asarray(weights @ np.stack([vectors.get(word, nothing) for word in words])))


def _word_vectors(path: Path, vocabulary: frozenset[str]) -> tuple[dict[str, np.ndarray], int]:
    """The vectors of the words of the ``vocabulary``, and how long a vector is. The file is read line by line."""
    import numpy as np

    vectors: dict[str, np.ndarray] = {}
    length = 0
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            word, *values = line.rstrip().split(" ")
            length = length or len(values)
            if len(values) != length:
                expected = f"a word and {length} numbers in every line"
                raise SourceError("This is no GloVe file", expected=expected, came=line[:80], where=f"{path}:{number}")
            if word in vocabulary:
                vectors[word] = np.asarray(values, dtype=float)
    if not length:
        raise SourceError("This is no GloVe file", expected="a word and its numbers", came="nothing", where=str(path))
    return vectors, length


def _sentence(texts: list[str], params: Params) -> np.ndarray:
    import numpy as np
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(params.path, device="cpu")
    vectors = np.asarray(model.encode(texts, normalize_embeddings=True, show_progress_bar=False), dtype=float)
    empty = np.asarray([not text.strip(" .") for text in texts])
    vectors[empty] = 0.0
    return vectors
