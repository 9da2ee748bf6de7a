"""How kind reviews are and what they are about, by what customers said of earlier ones, or by a list of words.

What a customer said of the newest ``horizon_days`` is never learned from: it is what a model is judged by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from capflow_assets.contract import Examples, Horizon
from capflow_assets.errors import EvidenceError
from capflow_assets.learning.review_vectors import OF_ONE_RUN, encoder_of, known_vectors, matrix_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from capflow_assets.learning.review_meanings import Meanings
    from capflow_assets.learning.review_topics import Topics
    from capflow_assets.learning.sentiment import LinearWords

REVIEWS = "raw/reviews"
REVIEW_COLUMNS = ("review_id", "text", "written_at", "rating", "sentiment")
LABELS, LEXICON = "labels", "lexicon"
LEAST_OF_EACH = 10
NO_WORD = "no word that tells"
LIKE_EARLIER = "by what reviews like it said"
# Chances nearer to a half than this say neither.
UNSURE = 0.15
TOPIC_TYPES = (
    "capflow_assets.learning.review_topics.Topics",
    "capflow_assets.learning.review_meanings.Meanings",
)


class ReviewSentimentParams(Horizon):
    """What a person may set for reviews."""

    horizon_days: int = Field(28, ge=1, le=365, description="Local days whose newest labels judge and teach nothing.")
    moments: int = Field(3, ge=1, le=24, description="How many past as-of moments candidates are chosen by.")
    topics: int = Field(12, ge=1, le=100, description="How many topics reviews are grouped into at most.")


class ReviewWords:
    """The words of reviews, or their vectors, where there are labels; else the list of words.

    Both are held beside the kind and unkind words of the list. Vectors of an encoder that knows languages carry what
    was learned in one over to others.
    """

    saved_types: ClassVar[tuple[str, ...]] = (
        "capflow_assets.learning.sentiment.LinearWords",
        "capflow_assets.learning.calibration.Calibrator",
        *TOPIC_TYPES,
    )

    def __init__(self, params: ReviewSentimentParams, reads: Literal["words", "vectors"] = "words") -> None:
        self.params = params
        self.reads = reads
        self.model: LinearWords | None = None
        self.topics: Topics | Meanings | None = None
        self.encoder = ""
        self.counts: dict[str, int] = {}

    def fit(self, examples: Examples) -> ReviewWords:
        """Learn from the reviews with labels or stars that are older than the horizon; with too few, from none."""
        from capflow_assets.learning.sentiment import fitted_words, tokens_of

        rows = _reviews(examples)
        self.topics = _topics(examples, rows, self.params)
        learned = _learned(examples, rows, self.params.horizon_days)
        praise = learned["praise"].to_numpy(dtype=float)
        self.counts = {"praise": int(praise.sum()), "complaints": int((1 - praise).sum())}
        self.model = None
        if min(self.counts.values()) >= LEAST_OF_EACH:
            vectors = None
            if self.reads == "vectors":
                self.encoder = encoder_of(examples)
                vectors = self._matrix(examples, learned["review_id"])
            self.model = fitted_words(tokens_of(learned["text"].tolist()), vectors, praise)
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """Of each review: ``score`` (chance of praise), ``sentiment``, ``topic``, ``source``, ``reasons``."""
        from capflow_assets.learning.sentiment import kind_chances, listed_telling, tokens_of

        ids = examples.columns.index
        words = tokens_of(_reviews(examples).set_index("review_id")["text"].reindex(ids).tolist())
        topics = _topics_of(examples, words, self.topics)
        if self.model is None:
            return _answers(ids, words, kind_chances(words), topics, LEXICON, listed_telling)
        vectors = self._matrix(examples, ids) if self.reads == "vectors" else None
        chances = self.model.chances(words, vectors)
        if self.reads == "vectors":
            return _answers(ids, words, chances, topics, LABELS, listed_telling, LIKE_EARLIER)
        model = self.model
        return _answers(ids, words, chances, topics, LABELS, lambda said: model.telling(said, 4))

    def parameters(self) -> dict[str, Any]:
        """What it learned from, by which encoder, how chances are calibrated, and the topics."""
        return {
            **self.params.model_dump(),
            **self.counts,
            "source": LABELS if self.model else LEXICON,
            "encoder": self.encoder,
            "calibration": self.model.calibrator.describe() if self.model else None,
            **_told(self.topics),
        }

    def _matrix(self, examples: Examples, ids: Any) -> np.ndarray:
        """The vectors of some reviews, zeros for those without one; no column where no encoder is comparable."""
        import numpy as np

        if not self.encoder or self.encoder.startswith(OF_ONE_RUN):
            return np.zeros((len(ids), 0))
        return matrix_of(
            known_vectors(examples), ids, self.encoder, len(self.model.weights) - 2 if self.model else None
        )


class ListedWords:
    """The baseline: kind and unkind words of a list, their worth and the share of praise by the customer's labels."""

    saved_types: ClassVar[tuple[str, ...]] = TOPIC_TYPES

    def __init__(self, params: ReviewSentimentParams) -> None:
        self.params = params
        self.topics: Topics | Meanings | None = None
        self.worth: tuple[float, float] | None = None

    def fit(self, examples: Examples) -> ListedWords:
        """How much a word of the list is worth, by the labels older than the horizon; one, where there are too few."""
        from capflow_assets.learning.sentiment import WORD_WORTH, fitted_list, tokens_of

        rows = _reviews(examples)
        self.topics = _topics(examples, rows, self.params)
        learned = _learned(examples, rows, self.params.horizon_days)
        praise = learned["praise"].to_numpy(dtype=float)
        self.worth = (WORD_WORTH, 0.0)
        if min(praise.sum(), (1 - praise).sum()) >= LEAST_OF_EACH:
            self.worth = fitted_list(tokens_of(learned["text"].tolist()), praise)
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """As the model's; the ``source`` is the lexicon."""
        from capflow_assets.learning.frames import fitted
        from capflow_assets.learning.sentiment import kind_chances, listed_telling, tokens_of

        ids = examples.columns.index
        words = tokens_of(_reviews(examples).set_index("review_id")["text"].reindex(ids).tolist())
        topics = _topics_of(examples, words, self.topics)
        chances = kind_chances(words, *fitted(self.worth, "review_sentiment"))
        return _answers(ids, words, chances, topics, LEXICON, listed_telling)

    def parameters(self) -> dict[str, Any]:
        """What a kind word adds to the log-odds, and where they begin; the topics."""
        return {"worth": self.worth, **_told(self.topics)}


def _answers(
    ids: Any,
    words: list[list[str]],
    chances: np.ndarray,
    topics: list[str | None],
    source: str,
    telling: Any,
    otherwise: str = NO_WORD,
) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    from capflow_assets.learning.sentiment import reason

    sure = np.where(chances >= 0.5, "positive", "negative")
    columns = {
        "score": chances,
        "sentiment": np.where(np.abs(chances - 0.5) < UNSURE, "unsure", sure).astype(object),
        "topic": pd.array(topics, dtype=object),
        "source": source,
        "reasons": [reason(said, telling(said), otherwise) for said in words],
    }
    return pd.DataFrame(columns, index=ids)


def _reviews(examples: Examples) -> pd.DataFrame:
    """The reviews that the newest moment knows, in the order of their ids."""
    from capflow_assets.learning.review_labels import distinct

    return distinct(examples.table(REVIEWS))


def _topics(examples: Examples, rows: pd.DataFrame, params: ReviewSentimentParams) -> Topics | Meanings:
    """Topics of meaning where the encoder knows languages, else of words."""
    from capflow_assets.learning.review_meanings import OF_LANGUAGES, meanings_of
    from capflow_assets.learning.review_topics import topics_of
    from capflow_assets.learning.sentiment import tokens_of

    words, encoder = tokens_of(rows["text"].tolist()), encoder_of(examples)
    if not encoder.startswith(OF_LANGUAGES):
        return topics_of(words, params.topics, params.seed)
    vectors = matrix_of(known_vectors(examples), rows["review_id"], encoder)
    return meanings_of(words, vectors, encoder, params.topics, params.seed)


def _topics_of(examples: Examples, words: list[list[str]], topics: Topics | Meanings | None) -> list[str | None]:
    """The topic of each review that is asked for, by its words or by its vector."""
    from capflow_assets.learning.frames import fitted
    from capflow_assets.learning.review_meanings import Meanings

    if isinstance(topics, Meanings) and topics.names:
        ids, size = examples.columns.index, len(topics.directions)
        return topics.of(matrix_of(known_vectors(examples), ids, topics.encoder, size))
    return [None] * len(words) if isinstance(topics, Meanings) else fitted(topics, "review_sentiment").of(words)


def _told(topics: Topics | Meanings | None) -> dict[str, Any]:
    """The topics for people, and whether reviews of several languages share them."""
    from capflow_assets.learning.review_meanings import Meanings

    if topics is None:
        return {"topic_names": []}
    by = "meaning, over languages" if isinstance(topics, Meanings) else "words, languages apart"
    return {"topic_names": topics.names, "topics_by": by}


def _learned(examples: Examples, rows: pd.DataFrame, horizon_days: int) -> pd.DataFrame:
    """The reviews with a label that are older than the newest horizon, oldest first; with ``praise`` (1, 0).

    A review without a time is older than any.
    """
    import pandas as pd

    from capflow_assets.expressions.days import days_before
    from capflow_assets.learning.review_labels import labels

    if not examples.moments:
        raise EvidenceError("Reviews are of no moment", expected="examples of a moment", came="none")
    since = days_before(examples.moments[-1], horizon_days, examples.zone)
    marked = rows.assign(praise=labels(rows))
    is_old = ~(pd.to_datetime(marked["written_at"], utc=True) > since).to_numpy()
    kept = marked[is_old & marked["praise"].notna().to_numpy()]
    return kept.sort_values(["written_at", "review_id"], kind="stable", na_position="first")
