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
from capflow_assets_doubles.engines import frame_of, rows_of
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
    table = text(frame_of(session, ITEMS, items), as_of=AS_OF, zone=ZONE, params=Params(**params))
    return {item: np.asarray(vector) for item, vector in rows_of(table, "item_id", "embedding")}


def test_alike_items_lie_close(spark: SparkSession) -> None:
    frame = text(frame_of(spark, ITEMS, CATALOGUE), as_of=AS_OF, zone=ZONE)
    assert frame.dtypes == [(column.name, column.type) for column in TABLE.columns]
    assert dict(rows_of(frame, "item_id", "words")) == {"t1": 4, "t2": 4, "j1": 3, "j2": 3, "n1": 0, "n2": 0}
    embeddings = vectors(spark)
    assert {len(vector) for vector in embeddings.values()} == {128}
    # Three of the teas' four words are the same; none is the jam's.
    assert embeddings["t1"] @ embeddings["t2"] == pytest.approx(0.75, abs=0.2)
    assert abs(embeddings["t1"] @ embeddings["j1"]) < 0.3
    assert embeddings["t1"] @ embeddings["t1"] == pytest.approx(1, abs=1e-5)
    assert not embeddings["n1"].any()
    assert not embeddings["n2"].any()


def test_alike_items_lie_close_by_what_is_learned_of_them(spark: SparkSession) -> None:
    embeddings = vectors(spark, encoder="tfidf", dimensions=32)
    assert {len(vector) for vector in embeddings.values()} == {32}
    assert embeddings["t1"] @ embeddings["t2"] > 0.5 > 0.1 > abs(embeddings["t1"] @ embeddings["j1"])
    # Four texts have at most four directions; the rest is padded.
    assert not np.stack(list(embeddings.values()))[:, 4:].any()
    assert not embeddings["n1"].any()


def test_an_item_keeps_its_vector_when_others_come_and_go(spark: SparkSession) -> None:
    """Axes are the same between a training and a scoring, whatever the list of items has become since."""
    later = (*CATALOGUE[1:], {"item_id": "w1", "name": "Plum wine", "description": "jam of plums, loose"})
    before, after = vectors(spark), vectors(spark, later)
    assert all(before[item].tolist() == after[item].tolist() for item in before.keys() & after.keys())


def test_cosines_between_runs_are_those_of_the_words_as_scikit_learn_and_scipy_have_them(spark: SparkSession) -> None:
    """A model that learned of one list of items scores another. Chance is 1 / sqrt(dimensions) at most."""
    from scipy.spatial.distance import cdist
    from sklearn.feature_extraction.text import TfidfVectorizer

    names = ("green tea leaves", "black tea leaves", "plum jam", "plum plum wine", "fig jam", "green plum jam tea")
    items = tuple({"item_id": f"i{place}", "name": name} for place, name in enumerate(names))
    trained, scored = vectors(spark, items[:4], dimensions=1024), vectors(spark, items[2:], dimensions=1024)
    words = TfidfVectorizer(use_idf=False, sublinear_tf=True).fit_transform(names).toarray()
    rows, columns = list(trained), list(scored)
    right = 1 - cdist(*(words[[int(item[1:]) for item in run]] for run in (rows, columns)), metric="cosine")
    ours = 1 - cdist(*(np.stack([run[item] for item in run]) for run in (trained, scored)), metric="cosine")
    assert np.abs(ours - right).max() < 4 / np.sqrt(1024)
    assert [ours[rows.index(item), columns.index(item)] for item in ("i2", "i3")] == pytest.approx([1, 1])


def test_vectors_say_who_made_them(spark: SparkSession) -> None:
    def encoders(items: Any, **params: Any) -> set[str]:
        frame = text(frame_of(spark, ITEMS, items), as_of=AS_OF, zone=ZONE, params=Params(**params))
        return {encoder for (encoder,) in rows_of(frame, "encoder")}

    assert encoders(CATALOGUE) == encoders(CATALOGUE[:2]) == {"hashed/1/128/0"}
    (learned,) = encoders(CATALOGUE, encoder="tfidf")
    assert encoders(CATALOGUE[::-1], encoder="tfidf") == {learned}
    assert encoders(CATALOGUE[:2], encoder="tfidf") != {learned}


@pytest.mark.parametrize("encoder", ["hashed", "tfidf"])
def test_order_and_engine_are_irrelevant(spark: SparkSession, jvm: SparkSession, encoder: str) -> None:
    def rows(session: SparkSession, items: Any) -> list[Any]:
        moments, params = (AS_OF, AS_OF + timedelta(days=1)), Params.model_validate({"encoder": encoder})
        return rows_of(text(frame_of(session, ITEMS, items), as_of=moments, zone=ZONE, params=params))

    expected = rows(spark, CATALOGUE)
    assert len(expected) == 12
    assert rows(spark, CATALOGUE[::-1]) == expected
    assert rows(jvm, CATALOGUE) == expected


def test_nothing_said(spark: SparkSession) -> None:
    assert vectors(spark, ()) == {}
    assert not vectors(spark, CATALOGUE[4:], dimensions=3)["n1"].any()
    one = vectors(spark, [{"item_id": "a", "name": "tea"}, {"item_id": "b"}], encoder="tfidf", dimensions=2)
    assert {item: vector.tolist() for item, vector in one.items()} == {"a": [1.0, 0.0], "b": [0.0, 0.0]}


def test_words_from_a_file(spark: SparkSession, tmp_path: Path) -> None:
    file = tmp_path / "glove.txt"
    file.write_text("tee 3 4\njam 0 1\nother 1 1\n", encoding="utf-8")
    embeddings = vectors(spark, encoder="glove", path=str(file))
    # Only "tee" of a tea's words is in the file, so a tea is 3/5, 4/5, whatever its weight.
    assert embeddings["t1"].tolist() == [0.6, 0.8]
    assert embeddings["j1"].tolist() == [0.0, 1.0]
    assert embeddings["n1"].tolist() == [0.0, 0.0]


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
    embeddings = vectors(spark, encoder="sentence", path=str(tmp_path / "encoder"))
    assert {len(vector) for vector in embeddings.values()} == {16}
    assert embeddings["j1"] @ embeddings["j1"] == pytest.approx(1, abs=1e-4)
    assert embeddings["t1"] @ embeddings["t2"] > embeddings["t1"] @ embeddings["j1"]
    assert not embeddings["n2"].any()
