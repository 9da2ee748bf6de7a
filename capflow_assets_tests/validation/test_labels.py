from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from capflow_assets.raw import media, reviews
from capflow_assets.validation._labels import of_recordings, of_reviews
from capflow_assets_doubles.engines import frame_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

AT = datetime(2024, 6, 30, tzinfo=UTC)


def test_reviews_are_counted_by_what_they_were_said_to_be(spark: SparkSession) -> None:
    """Of five stars four praise, two complain, three do neither; a label goes before them."""
    written = [
        {"review_id": f"r{number}", "text": "x", "written_at": AT, "rating": stars}
        for number, stars in enumerate((1.0, 2.0, 3.0, 4.0, 5.0, 5.0))
    ]
    written.append({"review_id": "said", "text": "x", "written_at": None, "rating": 1.0, "sentiment": "positive"})
    counts = of_reviews(frame_of(spark, reviews.TABLE, written))
    assert counts == {"reviews_praising": 4.0, "reviews_complaining": 2.0}
    assert of_reviews(None) == {}
    assert of_reviews(frame_of(spark, reviews.TABLE, ())) == dict.fromkeys(counts, 0.0)


def test_intents_count_where_five_recordings_have_one(spark: SparkSession) -> None:
    named = ["order"] * 5 + ["complaint"] * 4 + [" order", "", None]
    rows = [{"media_id": f"m{n}", "path": "/m", "kind": "audio", "intent": name} for n, name in enumerate(named)]
    rows.append({"media_id": "picture", "path": "/p", "kind": "image", "intent": "complaint"})
    counts = of_recordings(frame_of(spark, media.TABLE, rows))
    assert counts == {"recordings_labelled": 10.0, "intents_labelled": 1.0}
    assert of_recordings(frame_of(spark, media.TABLE, ())) == dict.fromkeys(counts, 0.0)
