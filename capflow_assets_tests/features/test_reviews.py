from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from capflow_assets.encoders.texts import Params
from capflow_assets.errors import SourceError
from capflow_assets.features.reviews import TABLE, reviews
from capflow_assets.raw.reviews import TABLE as RAW
from capflow_assets_doubles.engines import frame_of, rows_of
from capflow_assets_tests.features.shoppers import AS_OF, ZONE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

EARLIER = AS_OF - timedelta(days=30)


def review(name: str, text: str | None, written_at: datetime | None = EARLIER, **more: Any) -> dict[str, Any]:
    return {"review_id": name, "text": text, "written_at": written_at, **more}


WRITTEN = (
    review("r1", "Sweet and crisp apples", item_id="apple", user_id="ana", rating=5.0),
    review("r2", "CRISP apples, sweet!", item_id="apple", user_id="bea", rating=4.0),
    review("r3", "The queue was endless", store_id="north", user_id="ana", rating=1.0),
    review("r4", "5 / 5", None, item_id="pear"),
    review("r5", "Crisp queue", AS_OF, item_id="pear"),
    review("r6", "  ", item_id="pear"),
    review("r7", None),
)
LATER = review("r8", "Sweet queue, crisp queue, endless apples", AS_OF + timedelta(seconds=1), user_id="ana")


def table_of(session: SparkSession, written: Any = WRITTEN, as_of: Any = AS_OF, **params: Any) -> DataFrame:
    return reviews(frame_of(session, RAW, written), as_of=as_of, zone=ZONE, params=Params(**params))


def vectors(frame: DataFrame) -> dict[str, np.ndarray]:
    return {name: np.asarray(vector) for name, vector in rows_of(frame, "review_id", "embedding")}


def test_reviews_that_say_alike_lie_close(spark: SparkSession) -> None:
    frame = table_of(spark)
    assert frame.dtypes == [(column.name, column.type) for column in TABLE.columns]
    embeddings = vectors(frame)
    assert {name: len(vector) for name, vector in embeddings.items()} == dict.fromkeys(
        ("r1", "r2", "r3", "r4", "r5"), 128
    )
    # Three of the first's four words are the second's three; the queue's are others.
    assert embeddings["r1"] @ embeddings["r2"] == pytest.approx(3 / np.sqrt(12), abs=0.2)
    assert abs(embeddings["r1"] @ embeddings["r3"]) < 0.3
    assert not embeddings["r4"].any()
    rows = rows_of(frame.filter("review_id = 'r3'"), "item_id", "store_id", "user_id", "rating", "words")
    assert rows == [(None, "north", "ana", 1.0, 4)]


@pytest.mark.parametrize("encoder", ["hashed", "tfidf"])
def test_the_future_is_not_read(spark: SparkSession, encoder: str) -> None:
    assert rows_of(table_of(spark, (*WRITTEN, LATER), encoder=encoder)) == rows_of(table_of(spark, encoder=encoder))
    # Nor does a later review change what a word weighs at an earlier moment.
    together = rows_of(table_of(spark, (*WRITTEN, LATER), as_of=(EARLIER, AS_OF), encoder=encoder))
    alone = [row for moment in (EARLIER, AS_OF) for row in rows_of(table_of(spark, as_of=moment, encoder=encoder))]
    assert together == sorted(alone, key=repr)
    assert len(together) == 4 + 5


def test_a_review_has_one_vector_at_every_moment_and_in_every_run(spark: SparkSession) -> None:
    later = AS_OF + timedelta(days=1)
    frame = table_of(spark, (*WRITTEN, LATER), as_of=(EARLIER, AS_OF, later))
    by_review: dict[str, set[str]] = {}
    for review_id, *vector in rows_of(frame, "review_id", "encoder", "embedding"):
        by_review.setdefault(review_id, set()).add(repr(vector))
    assert {review_id: len(vectors) for review_id, vectors in by_review.items()} == dict.fromkeys(by_review, 1)
    # Nobody's words live on: without the reviews of a user who was forgotten, those of others are the same.
    kept, all_of_them = (
        vectors(table_of(spark, [row for row in WRITTEN if row.get("user_id") != "ana"])),
        vectors(frame),
    )
    assert kept.keys() == {"r2", "r4", "r5"}
    assert all(kept[review_id].tolist() == all_of_them[review_id].tolist() for review_id in kept)


def test_what_a_moment_learned_is_marked_as_its_own(spark: SparkSession) -> None:
    frame = table_of(spark, as_of=(EARLIER, AS_OF), encoder="tfidf")
    encoders = set(rows_of(frame, "as_of", "encoder"))
    assert len(encoders) == len({encoder for _, encoder in encoders}) == 2


def test_order_and_engine_are_irrelevant(spark: SparkSession, jvm: SparkSession) -> None:
    doubled = (*WRITTEN, review(" r1 ", "Sweet and crisp plums", item_id="plum"))
    rows = rows_of(table_of(spark, doubled))
    assert rows_of(table_of(spark, doubled[::-1])) == rows
    assert rows_of(table_of(jvm, doubled)) == rows
    assert [row[2] for row in rows if row[0] == "r1"] == ["plum"]


def test_nothing_written(spark: SparkSession) -> None:
    assert rows_of(table_of(spark, ())) == []
    assert rows_of(table_of(spark, as_of=datetime(2020, 1, 1, tzinfo=UTC)), "review_id") == [("r4",)]


def test_an_encoder_that_is_not_there_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"check path in \[features.reviews\]"):
        table_of(spark, encoder="glove", path=str(tmp_path / "none.txt"))


def test_words_from_a_file(spark: SparkSession, tmp_path: Path) -> None:
    file = tmp_path / "glove.txt"
    file.write_text("apples 3 4\nqueue 0 1\n", encoding="utf-8")
    embeddings = vectors(table_of(spark, encoder="glove", path=str(file)))
    assert embeddings["r1"].tolist() == [0.6, 0.8]
    assert embeddings["r3"].tolist() == [0.0, 1.0]
