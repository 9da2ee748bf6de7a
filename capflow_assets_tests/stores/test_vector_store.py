"""Vectors are made once: an encoder writes down what it is handed, and a second run hands it nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from capflow_assets.clean.items import TABLE as ITEMS
from capflow_assets.definitions import STAGES
from capflow_assets.encoders.texts import Params, encoded, version
from capflow_assets.erasure.erased_rows import UserRows
from capflow_assets.features.call_sounds import call_sounds
from capflow_assets.features.item_pictures import item_pictures
from capflow_assets.features.reviews import reviews
from capflow_assets.features.text import text
from capflow_assets.raw.media import TABLE as MEDIA
from capflow_assets.raw.reviews import TABLE as REVIEWS
from capflow_assets.stores.lake import Lake
from capflow_assets.stores.vector_store import VectorStore
from capflow_assets_doubles.engines import frame_of, rows_of
from capflow_assets_tests.neighbours import customer_of

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame, SparkSession

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
GOODS = ({"item_id": "t1", "name": "tea"}, {"item_id": "t2", "name": "tea"}, {"item_id": "j1", "name": "jam"})


@pytest.fixture
def store(spark: SparkSession, tmp_path: Path) -> VectorStore:
    return VectorStore(Lake(str(tmp_path / "lake"), lambda: spark), "acme")


def sorted_rows(frame: DataFrame) -> list[Any]:
    return sorted(map(str, rows_of(frame, *frame.columns)))


def kept_rows(store: VectorStore, kind: str) -> int:
    return store.lake.rows(store.customer, f"vectors/{kind}")


def test_an_encoder_is_handed_only_what_is_new(spark: SparkSession, store: VectorStore, tmp_path: Path) -> None:
    diary = tmp_path / "diary"

    def encode(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            with diary.open("a") as file:
                file.writelines(f"{digest}\n" for digest in batch["digest"])
            yield batch[["digest"]].assign(length=batch["text"].str.len())

    def lengths(*texts: str, encoder: str = "len/1") -> dict[str, int]:
        contents = spark.createDataFrame([(word.upper(), word) for word in texts], "digest string, text string")
        return dict(rows_of(store.vectors("words", encoder, contents, encode, "length bigint"), "digest", "length"))

    assert lengths("tea", "jam", "tea") == {"TEA": 3, "JAM": 3}
    assert sorted(diary.read_text().split()) == ["JAM", "TEA"]
    assert lengths("tea", "jam") == {"TEA": 3, "JAM": 3}
    assert len(diary.read_text().split()) == 2
    assert lengths("tea", "apple")["APPLE"] == 5
    assert diary.read_text().split()[2:] == ["APPLE"]
    # What another encoder made says nothing of this one.
    assert lengths("tea", encoder="len/2") == {"TEA": 3}
    assert diary.read_text().split()[3:] == ["TEA"]


def test_a_second_run_over_the_items_encodes_nothing(spark: SparkSession, store: VectorStore) -> None:
    items = frame_of(spark, ITEMS, GOODS)
    anew = sorted_rows(text(items, as_of=NOW, zone="UTC"))
    assert sorted_rows(text(items, as_of=NOW, zone="UTC", kept=store)) == anew
    assert kept_rows(store, "texts") == 2
    version_before = store.lake.version("acme", "vectors/texts")
    assert sorted_rows(text(items, as_of=NOW, zone="UTC", kept=store)) == anew
    assert store.lake.version("acme", "vectors/texts") == version_before
    more = frame_of(spark, ITEMS, (*GOODS, {"item_id": "c1", "name": "cup"}))
    text(more, as_of=NOW, zone="UTC", kept=store)
    assert kept_rows(store, "texts") == 3


def test_another_customer_has_vectors_of_their_own(spark: SparkSession, store: VectorStore) -> None:
    other = VectorStore(store.lake, "bravo")
    for keeper in (store, other):
        text(frame_of(spark, ITEMS, GOODS), as_of=NOW, zone="UTC", kept=keeper)
    assert [kept_rows(keeper, "texts") for keeper in (store, other)] == [2, 2]


def test_what_is_learned_from_all_texts_is_not_kept(spark: SparkSession, store: VectorStore) -> None:
    learned = Params.model_validate({"encoder": "tfidf"})
    text(frame_of(spark, ITEMS, GOODS), as_of=NOW, zone="UTC", params=learned, kept=store)
    assert store.lake.tables("acme") == []
    assert version(learned) is None


def test_reviews_are_the_same_and_know_whose_they_are(spark: SparkSession, store: VectorStore) -> None:
    def review(name: str, user: str | None, words: str) -> dict[str, Any]:
        return {"review_id": name, "user_id": user, "text": words, "written_at": NOW}

    rows = frame_of(
        spark,
        REVIEWS,
        [review("r1", "ana", "fine tea"), review("r1", "ana", "bad"), review("r2", "bea", "fine tea")],
    )
    anew = sorted_rows(reviews(rows, as_of=NOW, zone="UTC"))
    assert sorted_rows(reviews(rows, as_of=NOW, zone="UTC", kept=store)) == anew
    owners = store.lake.arrow("acme", "vectors/reviews", columns=["user_id"]).column("user_id").to_pylist()
    # Of what two wrote the first is told of; without her it is encoded again.
    assert sorted(owners) == ["ana", "ana"]


def test_who_is_forgotten_takes_their_vectors_along(spark: SparkSession, store: VectorStore) -> None:
    """Those of the other's review stay; what both wrote is encoded again."""
    said = (("r1", "ana", "fine tea"), ("r2", "bea", "fine tea"), ("r3", "bea", "bad cup"))
    rows = [{"review_id": name, "user_id": user, "text": words, "written_at": NOW} for name, user, words in said]
    reviews(frame_of(spark, REVIEWS, rows), as_of=NOW, zone="UTC", kept=store)
    customer = customer_of("csv", "reviews.csv")
    held = UserRows(store.lake, STAGES, customer.model_copy(update={"name": "acme"}))
    assert held.delete(held.traces("ana"), of_nobody=False) == {"vectors/reviews": 1}
    assert kept_rows(store, "reviews") == 1
    reviews(frame_of(spark, REVIEWS, rows[1:]), as_of=NOW, zone="UTC", kept=store)
    owners = store.lake.arrow("acme", "vectors/reviews", columns=["user_id"]).column("user_id").to_pylist()
    assert owners == ["bea", "bea"]


def test_pictures_are_seen_once_and_what_cannot_be_read_is_tried_again(
    spark: SparkSession, store: VectorStore, tmp_path: Path
) -> None:
    rows = []
    red, blue, green = (200, 10, 10), (10, 10, 200), (10, 200, 10)
    for name, colour in (("red", red), ("same", red), ("blue", blue), ("late", green)):
        file = tmp_path / f"{name}.png"
        Image.fromarray(np.full((32, 32, 3), colour, dtype="uint8")).save(file)
        digest = sha256(file.read_bytes()).hexdigest()
        rows.append({"media_id": name, "item_id": f"i-{name}", "kind": "image", "path": str(file), "sha256": digest})
    late = tmp_path / "late.png"
    content = late.read_bytes()
    late.unlink()
    media = frame_of(spark, MEDIA, rows)
    anew = sorted_rows(item_pictures(media, as_of=NOW, zone="UTC"))
    assert sorted_rows(item_pictures(media, as_of=NOW, zone="UTC", kept=store)) == anew
    assert kept_rows(store, "pictures") == 2
    late.write_bytes(content)
    (tmp_path / "red.png").unlink()
    (tmp_path / "same.png").unlink()
    reasons = dict(rows_of(item_pictures(media, as_of=NOW, zone="UTC", kept=store), "media_id", "set_aside"))
    # Those that were seen are known without their files.
    assert reasons == dict.fromkeys(("red", "same", "blue", "late"))
    assert kept_rows(store, "pictures") == 3


def test_recordings_are_heard_once(spark: SparkSession, store: VectorStore, tmp_path: Path) -> None:
    file = tmp_path / "call.wav"
    soundfile.write(file, np.sin(np.arange(8_000) / 5), 8_000)
    digest = sha256(file.read_bytes()).hexdigest()
    call = {"user_id": "ana", "kind": "audio", "path": str(file), "sha256": digest, "modified_at": NOW}
    rows = [{"media_id": "m1", **call}, {"media_id": "m2", **call}, {"media_id": "m3", **call, "sha256": "00" * 32}]
    media = frame_of(spark, MEDIA, rows)
    anew = sorted_rows(call_sounds(media, as_of=NOW, zone="UTC"))
    assert sorted_rows(call_sounds(media, as_of=NOW, zone="UTC", kept=store)) == anew
    assert kept_rows(store, "sounds") == 1
    assert sorted_rows(call_sounds(media, as_of=NOW, zone="UTC", kept=store)) == anew
    assert store.lake.arrow("acme", "vectors/sounds", columns=["user_id"]).column("user_id").to_pylist() == ["ana"]


def test_the_version_is_the_name_that_vectors_carry(tmp_path: Path) -> None:
    file = tmp_path / "glove.txt"
    file.write_text("tee 3 4\njam 0 1\n", encoding="utf-8")
    for chosen in ({}, {"dimensions": 3, "seed": 2}, {"encoder": "glove", "path": str(file)}):
        params = Params.model_validate(chosen)
        assert version(params) == encoded(["tee"], params).encoder
    before = version(params)
    file.write_text("tee 3 5\njam 0 1\n", encoding="utf-8")
    assert version(params) != before
