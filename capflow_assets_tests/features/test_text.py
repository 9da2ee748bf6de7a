from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pydantic import ValidationError

from capflow_assets.clean.items import TABLE as ITEMS
from capflow_assets.errors import SourceError, TableError
from capflow_assets.features.text import TABLE, Params, text
from capflow_assets_tests.engines import frame_of, rows_of
from capflow_assets_tests.features.shoppers import AS_OF, ZONE

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CATALOGUE = (
    {"item_id": "t1", "name": "Grüner Tee", "description": "loose leaves"},
    {"item_id": "t2", "name": "Schwarzer TEE", "description": "loose leaves"},
    {"item_id": "j1", "name": "Plum jam", "category": "jam"},
    {"item_id": "j2", "name": "Fig jam", "category": "jam"},
    {"item_id": "n1", "name": "500 g 12"},
    {"item_id": "n2"},
)


def vectors(session: SparkSession, items: Any = CATALOGUE, **params: Any) -> dict[str, np.ndarray]:
    made = text(frame_of(session, ITEMS, items), as_of=AS_OF, zone=ZONE, params=Params(**params))
    return {item: np.asarray(vector) for item, vector in rows_of(made, "item_id", "embedding")}


def test_alike_items_lie_close(spark: SparkSession) -> None:
    frame = text(frame_of(spark, ITEMS, CATALOGUE), as_of=AS_OF, zone=ZONE)
    assert frame.dtypes == [(column.name, column.type) for column in TABLE.columns]
    assert dict(rows_of(frame, "item_id", "words")) == {"t1": 4, "t2": 4, "j1": 3, "j2": 3, "n1": 0, "n2": 0}
    made = vectors(spark)
    assert {len(vector) for vector in made.values()} == {32}
    assert made["t1"] @ made["t2"] > 0.5 > 0.1 > abs(made["t1"] @ made["j1"])
    assert made["t1"] @ made["t1"] == pytest.approx(1, abs=1e-5)
    # Four texts have at most four directions; the rest is padded.
    assert not np.stack(list(made.values()))[:, 4:].any()
    assert not made["n1"].any()
    assert not made["n2"].any()


def test_order_and_engine_are_irrelevant(spark: SparkSession, jvm: SparkSession) -> None:
    def rows(session: SparkSession, items: Any) -> list[Any]:
        moments = (AS_OF, AS_OF + timedelta(days=1))
        return rows_of(text(frame_of(session, ITEMS, items), as_of=moments, zone=ZONE))

    made = rows(spark, CATALOGUE)
    assert len(made) == 12
    assert rows(spark, CATALOGUE[::-1]) == made
    assert rows(jvm, CATALOGUE) == made


def test_nothing_said(spark: SparkSession) -> None:
    assert vectors(spark, ()) == {}
    assert not vectors(spark, CATALOGUE[4:], dimensions=3)["n1"].any()
    one = vectors(spark, [{"item_id": "a", "name": "tea"}, {"item_id": "b"}], dimensions=2)
    assert {item: vector.tolist() for item, vector in one.items()} == {"a": [1.0, 0.0], "b": [0.0, 0.0]}


def test_words_from_a_file(spark: SparkSession, tmp_path: Path) -> None:
    file = tmp_path / "glove.txt"
    file.write_text("tee 3 4\njam 0 1\nother 1 1\n", encoding="utf-8")
    made = vectors(spark, encoder="glove", path=str(file))
    # Only "tee" of a tea's words is in the file, so a tea is 3/5, 4/5, whatever its weight.
    assert made["t1"].tolist() == [0.6, 0.8]
    assert made["j1"].tolist() == [0.0, 1.0]
    assert made["n1"].tolist() == [0.0, 0.0]


def test_what_is_not_there_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="path is missing"):
        Params(encoder="glove")
    with pytest.raises(SourceError, match="There is no encoder"):
        vectors(spark, encoder="glove", path=str(tmp_path / "none.txt"))
    with pytest.raises(SourceError, match="read from a disk"):
        vectors(spark, encoder="glove", path="some/model")


def test_a_sentence_encoder_needs_its_library(spark: SparkSession, tmp_path: Path) -> None:
    try:
        import sentence_transformers  # noqa: F401
    except ImportError:
        with pytest.raises(TableError, match="sentence-transformers"):
            vectors(spark, encoder="sentence", path=str(tmp_path))


def test_sentences_by_an_encoder_of_ones_own(spark: SparkSession, tmp_path: Path) -> None:
    """A BERT of two layers with weights drawn by chance, kept in a folder: what anybody's own encoder is."""
    library = pytest.importorskip("sentence_transformers", reason="pip install 'capflow-assets[encoder]'")
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    torch.manual_seed(0)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "tea", "jam", "tee", "plum", "fig", "loose", "leaves"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(vocab=str(tmp_path / "vocab.txt")).save_pretrained(tmp_path / "bert")
    small = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    BertModel(small).save_pretrained(tmp_path / "bert")
    library.SentenceTransformer(str(tmp_path / "bert")).save(str(tmp_path / "encoder"))
    made = vectors(spark, encoder="sentence", path=str(tmp_path / "encoder"))
    assert {len(vector) for vector in made.values()} == {16}
    assert made["j1"] @ made["j1"] == pytest.approx(1, abs=1e-4)
    assert made["t1"] @ made["t2"] > made["t1"] @ made["j1"]
    assert not made["n2"].any()
