"""Text: what items are called and said to be, as vectors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from capflow_assets.contract import Column, Table
from capflow_assets.encoders.kept import DIGEST, Kept, in_stretches, text_vectors, with_digest
from capflow_assets.encoders.texts import Params, demand, encoded, version
from capflow_assets.expressions.known_at import KNOWN_FROM, Moments, at_each

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

FORMULAS = {
    "words": "count(words of the texts)",
    "embedding": "encoder(texts), of length 1",
    "encoder": "name and version of what encodes",
}
TABLE = Table(
    grain="item of the list of items",
    columns=(
        Column("item_id", "string", "The item.", required=True),
        Column("as_of", "timestamp", "The moment that the row is for; the list of items has no time of its own.", True),
        Column("words", "int", "How many words its texts have.", required=True, at_least=0),
        Column("embedding", "array<double>", "Its texts as a vector of length 1; all 0 where none is known.", True),
        Column("encoder", "string", "What made the vector: those of one encoder are comparable, no others.", True),
    ),
    key=("item_id", "as_of"),
    timeless=True,
    formulas=FORMULAS,
)

TEXTS = ("name", "description", "department", "category", "subcategory", "brand")


def text(
    items: DataFrame, *, as_of: Moments, zone: str, params: Params | None = None, kept: Kept | None = None
) -> DataFrame:
    """The texts of each item as a vector: items that are described alike lie close.

    **Grain**: one row per item of the list of items and moment. The list has no time, so the rows of all moments are
    equal. **Texts** are name, description, department, category, subcategory and brand; what users write of an item is
    in ``features/reviews``.

    **Embedding**: by the encoder of ``params``, ``hashed``, ``universal``, ``glove``, ``sentence`` or ``tfidf`` (see
    ``encoded``), rounded to six decimals, so that the last bits of an engine's libraries do not show. Vectors with the
    same ``encoder`` are comparable over runs, moments and customers; ``hashed`` stays the same until its parameters
    change, ``tfidf`` until a text does.

    Where vectors are ``kept``, each distinct text is encoded once, in whatever run, unless the encoder is learned.
    With ``hashed`` and ``universal`` items are encoded where they lie; else one worker reads the texts, a stretch at a
    time, and all of them at once, in the order of the ids, where the encoder is learned.

    Raises:
        SourceError: there is nothing at ``Params.path``, or it is no such file.
        TableError: the encoder's library is not installed.
    """
    from pyspark.sql import functions as F

    chosen = params or Params.model_validate({})
    demand(chosen, "text")
    is_apart = chosen.encoder in ("hashed", "universal")

    def encode(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        import pandas as pd

        filled = (batch for batch in batches if len(batch))
        for rows in filled if is_apart else _together(filled) if chosen.is_learned else in_stretches(filled):
            texts = encoded(rows["text"].tolist(), chosen)
            columns = {"item_id": rows["item_id"], "words": texts.words, "embedding": list(texts.vectors)}
            yield pd.DataFrame(columns | {"encoder": texts.encoder})

    texts = items.select("item_id", F.concat_ws(" . ", *TEXTS).alias("text"))
    if kept is not None and not chosen.is_learned:
        digested = with_digest(texts)
        vectors = text_vectors(kept, "texts", digested.drop("item_id"), chosen)
        known = digested.join(vectors, DIGEST).withColumn("encoder", F.lit(version(chosen)))
        return at_each(known.withColumn(KNOWN_FROM, F.lit(0)), as_of, zone).select(*TABLE.names)
    # A file is read once, and what is learned from all texts is one worker's work.
    placed = texts if is_apart else texts.repartition(1)
    rows = placed.mapInPandas(encode, "item_id string, words int, embedding array<double>, encoder string")
    return at_each(rows.withColumn(KNOWN_FROM, F.lit(0)), as_of, zone).select(*TABLE.names)


def _together(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """All rows in one frame, in the order of the ids; none where there are none."""
    import pandas as pd

    frames = list(batches)
    if frames:
        yield pd.concat(frames, ignore_index=True).sort_values("item_id", kind="stable", ignore_index=True)
