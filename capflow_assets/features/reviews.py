"""Reviews: what users have written of items and stores, as vectors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from capflow_assets.contract import Column, Table
from capflow_assets.encoders.kept import DIGEST, Kept, text_vectors, with_digest
from capflow_assets.encoders.texts import Params, demand, encoded, version
from capflow_assets.expressions.ids import identifier, identifiers
from capflow_assets.expressions.known_at import KNOWN_FROM, Moments, at_each, in_order, known

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

FORMULAS = {
    "item_id": "as landed",
    "store_id": "as landed",
    "user_id": "as landed",
    "rating": "as landed",
    "words": "count(words of the text)",
    "embedding": "encoder(text), of length 1",
    "encoder": "name and version of what encodes",
}
TABLE = Table(
    grain="review that says something",
    columns=(
        Column("review_id", "string", "The review.", required=True),
        Column("as_of", "timestamp", "The moment up to which reviews were read.", required=True),
        Column("item_id", "string", "The item that it is about."),
        Column("store_id", "string", "The store that it is about."),
        Column("user_id", "string", "The user who wrote it.", personal=True),
        Column("rating", "double", "The stars or points that were given, as the customer counts them."),
        Column("words", "int", "How many words it has.", required=True, at_least=0),
        Column("embedding", "array<double>", "What it says as a vector of length 1; all 0 where it has no word.", True),
        Column("encoder", "string", "What made the vector: those of one encoder are comparable, no others.", True),
    ),
    key=("review_id", "as_of"),
    formulas=FORMULAS,
)

IDS = ("review_id", "item_id", "store_id", "user_id")


def reviews(
    raw_reviews: DataFrame, *, as_of: Moments, zone: str, params: Params | None = None, kept: Kept | None = None
) -> DataFrame:
    """Each review that a moment knows as a vector: reviews that say alike lie close.

    **Grain**: one row per review with a text, written up to the moment, and moment; one without a time was always
    known. Of several with one id the last in the order of their texts stays.

    **Embedding**: by the encoder of ``params``, ``hashed``, ``universal``, ``glove``, ``sentence`` or ``tfidf`` (see
    ``encoded``), rounded to six decimals. Vectors with the same ``encoder`` are comparable over runs and moments.
    ``tfidf`` learns from the reviews that a moment knows, never from later ones, so each moment has an encoder of its
    own.

    Where vectors are ``kept``, each distinct text is encoded once, in whatever run, unless the encoder is learned. Else
    one worker reads all reviews, in the order of the ids.

    Raises:
        SourceError: there is nothing at ``Params.path``, or it is no such file.
        TableError: the encoder's library is not installed.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    chosen, moments = params or Params.model_validate({}), in_order(as_of)
    demand(chosen, "reviews")

    def encode(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        import pandas as pd

        frames = [batch for batch in batches if len(batch)]
        all_rows = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame({KNOWN_FROM: []})
        for place, moment in enumerate(moments):
            rows = all_rows[all_rows[KNOWN_FROM] <= place]
            if len(rows):
                rows = rows.sort_values(["review_id", "text"]).drop_duplicates("review_id", keep="last")
                texts = encoded(rows["text"].tolist(), chosen)
                vectors = list(texts.vectors)
                rows = rows.assign(as_of=moment, words=texts.words, embedding=vectors, encoder=texts.encoder)
                yield rows[list(TABLE.names)]

    texts = known(raw_reviews, "written_at", as_of).filter(
        identifier("text").isNotNull() & identifier("review_id").isNotNull()
    )
    texts = texts.select(*identifiers(*IDS), "rating", "text", KNOWN_FROM)
    if kept is not None and not chosen.is_learned:
        digested = with_digest(texts)
        vectors = text_vectors(kept, "reviews", digested.select(DIGEST, "text", "user_id"), chosen)
        at_moments = at_each(digested.join(vectors, DIGEST), moments, zone)
        last = Window.partitionBy("as_of", "review_id").orderBy(F.col("text").desc())
        at_moments = at_moments.withColumn("nth", F.row_number().over(last)).filter("nth = 1")
        return at_moments.withColumn("encoder", F.lit(version(chosen))).select(*TABLE.names)
    schema = ", ".join(f"{column.name} {column.type}" for column in TABLE.columns)
    # All reviews are one worker's work: of several with one id one stays, and an encoder may learn from all.
    return texts.repartition(1).mapInPandas(encode, schema).select(*(F.col(name) for name in TABLE.names))
