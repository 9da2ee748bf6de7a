"""How kind reviews are and what they are about, by what customers said of earlier ones, or by a list of words.

What a customer said of the newest ``horizon_days`` is never learned from: it is what a model is judged by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from capflow_assets.contract import Examples, Horizon
from capflow_assets.errors import EvidenceError, ModelError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from capflow_assets.learning.review_topics import Topics
    from capflow_assets.learning.sentiment import LinearWords

REVIEWS, VECTORS = "raw/reviews", "features/reviews"
REVIEW_COLUMNS = ("review_id", "text", "written_at", "rating", "sentiment")
VECTOR_COLUMNS = ("review_id", "embedding", "encoder")
# Vectors of it are comparable within one run only.
OF_ONE_RUN = "tfidf/"
LABELS, LEXICON = "labels", "lexicon"
LEAST_OF_EACH = 10
NO_WORD = "no word that tells"
LIKE_EARLIER = "by what reviews like it said"
# Chances nearer to a half than this say neither.
UNSURE = 0.15


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
        "capflow_assets.learning.review_topics.Topics",
    )

    def __init__(self, params: ReviewSentimentParams, reads: Literal["words", "vectors"] = "words") -> None:
        self.params = params
        self.reads = reads
        self.model: LinearWords | None = None
        self.topics: Topics | None = None
        self.encoder = ""
        self.counts: dict[str, int] = {}

    def fit(self, examples: Examples) -> ReviewWords:
        """Learn from the reviews with labels or stars that are older than the horizon; with too few, from none."""
        from capflow_assets.learning.review_topics import topics_of
        from capflow_assets.learning.sentiment import fitted_words, tokens_of

        rows = _reviews(examples)
        words = tokens_of(rows["text"].tolist())
        self.topics = topics_of(words, self.params.topics, self.params.seed)
        learned = _learned(examples, rows, self.params.horizon_days)
        praise = learned["praise"].to_numpy(dtype=float)
        self.counts = {"praise": int(praise.sum()), "complaints": int((1 - praise).sum())}
        self.model = None
        if min(self.counts.values()) >= LEAST_OF_EACH:
            vectors = None
            if self.reads == "vectors":
                known = _vectors(examples)
                self.encoder = str(known["encoder"].iloc[0]) if len(known) else ""
                vectors = self._matrix(known, learned["review_id"])
            self.model = fitted_words(tokens_of(learned["text"].tolist()), vectors, praise)
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """Of each review: ``score`` (chance of praise), ``sentiment``, ``topic``, ``source``, ``reasons``."""
        from capflow_assets.learning.frames import fitted
        from capflow_assets.learning.sentiment import kind_chances, listed_telling, tokens_of

        topics = fitted(self.topics, "review_sentiment")
        ids = examples.columns.index
        texts = _reviews(examples).set_index("review_id")["text"].reindex(ids).tolist()
        words = tokens_of(texts)
        if self.model is None:
            return _answers(ids, words, kind_chances(words), topics, LEXICON, listed_telling)
        vectors = self._matrix(_vectors(examples), ids) if self.reads == "vectors" else None
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
            "topic_names": self.topics.names if self.topics else [],
        }

    def _matrix(self, vectors: pd.DataFrame, ids: Any) -> np.ndarray:
        """The vectors of some reviews, zeros for those without one; no column where no encoder is comparable."""
        import numpy as np

        if not self.encoder or self.encoder.startswith(OF_ONE_RUN):
            return np.zeros((len(ids), 0))
        if len(vectors) and set(vectors["encoder"]) != {self.encoder}:
            raise ModelError(
                "The vectors of reviews are not those that a model learned from",
                expected=self.encoder,
                came=", ".join(sorted(set(vectors["encoder"]))),
                do="train review_sentiment again",
            )
        known = dict(zip(vectors["review_id"], vectors["embedding"], strict=True))
        size = len(self.model.weights) - 2 if self.model else len(next(iter(known.values())))
        return np.array([known.get(review, np.zeros(size)) for review in ids], dtype=float).reshape(len(ids), size)


class ListedWords:
    """The baseline: kind and unkind words of a list, their worth and the share of praise by the customer's labels."""

    saved_types: ClassVar[tuple[str, ...]] = ("capflow_assets.learning.review_topics.Topics",)

    def __init__(self, params: ReviewSentimentParams) -> None:
        self.params = params
        self.topics: Topics | None = None
        self.worth: tuple[float, float] | None = None

    def fit(self, examples: Examples) -> ListedWords:
        """How much a word of the list is worth, by the labels older than the horizon; one, where there are too few."""
        from capflow_assets.learning.review_topics import topics_of
        from capflow_assets.learning.sentiment import WORD_WORTH, fitted_list, tokens_of

        rows = _reviews(examples)
        self.topics = topics_of(tokens_of(rows["text"].tolist()), self.params.topics, self.params.seed)
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

        topics, ids = fitted(self.topics, "review_sentiment"), examples.columns.index
        words = tokens_of(_reviews(examples).set_index("review_id")["text"].reindex(ids).tolist())
        chances = kind_chances(words, *fitted(self.worth, "review_sentiment"))
        return _answers(ids, words, chances, topics, LEXICON, listed_telling)

    def parameters(self) -> dict[str, Any]:
        """What a kind word adds to the log-odds, and where they begin; the topics."""
        return {"worth": self.worth, "topic_names": self.topics.names if self.topics else []}


def _answers(
    ids: Any,
    words: list[list[str]],
    chances: np.ndarray,
    topics: Topics,
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
        "topic": pd.array(topics.of(words), dtype=object),
        "source": source,
        "reasons": [reason(said, telling(said), otherwise) for said in words],
    }
    return pd.DataFrame(columns, index=ids)


def _reviews(examples: Examples) -> pd.DataFrame:
    """The reviews that the newest moment knows, in the order of their ids."""
    from capflow_assets.learning.review_labels import distinct

    return distinct(examples.table(REVIEWS))


def _vectors(examples: Examples) -> pd.DataFrame:
    return examples.table(VECTORS).sort_values("review_id", kind="stable")


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
