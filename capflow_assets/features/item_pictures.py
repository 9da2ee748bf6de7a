"""Pictures of items as vectors: items that look alike lie close."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from capflow_assets.contract import Column, Table
from capflow_assets.encoders.pictures import Params, demand, encoded
from capflow_assets.expressions.ids import identifier
from capflow_assets.expressions.known_at import KNOWN_FROM, Moments, at_each

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

FORMULAS = {
    "item_id": "as landed",
    "sha256": "SHA-256 of the file",
    "set_aside": "the reason, where it cannot be seen",
    "embedding": "encoder(picture), of length 1",
    "encoder": "name and version of what encodes",
}
TABLE = Table(
    grain="picture of an item",
    columns=(
        Column("media_id", "string", "The picture.", required=True),
        Column("as_of", "timestamp", "The moment that the row is for; what an item looks like has no time.", True),
        Column("item_id", "string", "The item that it shows.", required=True),
        Column("sha256", "string", "The hash of its content: equal ones have equal vectors."),
        Column("set_aside", "string", "Why it has no vector; null where it has one."),
        Column("embedding", "array<double>", "The picture as a vector of length 1; all 0 where it is set aside.", True),
        Column("encoder", "string", "What made the vector: those of one encoder are comparable, no others.", True),
    ),
    key=("media_id", "as_of"),
    timeless=True,
    formulas=FORMULAS,
)

# So many pictures are held at once, whatever the engine's batches hold.
AT_ONCE = 32


def item_pictures(raw_media: DataFrame, *, as_of: Moments, zone: str, params: Params | None = None) -> DataFrame:
    """Each picture of an item as a vector, or why it has none.

    **Grain**: one row per picture that belongs to an item, and moment. What an item looks like has no time, so the rows
    of all moments are equal.

    **Embedding**: by the encoder of ``params``, ``descriptors`` or ``efficientnet`` (``encoders.pictures.encoded``), to
    six decimals. A picture that is broken, huge, of a few pixels, or not the file that landed is set aside with the
    reason; of a moving one the first counts. Workers read the files where they lie, some at a time, each content once.

    Raises:
        TableError: the encoder's library is not installed.
    """
    from pyspark.sql import functions as F

    chosen = params or Params.model_validate({})
    demand(chosen)

    def encode(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            for first in range(0, len(batch), AT_ONCE):
                yield _encoded(batch.iloc[first : first + AT_ONCE], chosen)

    pictures = raw_media.where((F.col("kind") == "image") & identifier("item_id").isNotNull())
    rows = pictures.select("media_id", identifier("item_id").alias("item_id"), "path", "sha256").mapInPandas(
        encode,
        "media_id string, item_id string, sha256 string, set_aside string, embedding array<double>, encoder string",
    )
    return at_each(rows.withColumn(KNOWN_FROM, F.lit(0)), as_of, zone).select(*TABLE.names)


def _encoded(rows: pd.DataFrame, params: Params) -> pd.DataFrame:
    from capflow_assets.encoders.stored import stored

    files = [stored(path, digest) for path, digest in zip(rows["path"], rows["sha256"], strict=True)]
    contents = list(dict.fromkeys(file.content for file in files))
    made = encoded(contents, params)
    places = [contents.index(file.content) for file in files]
    reasons = [file.reason or made.reasons[place] or None for file, place in zip(files, places, strict=True)]
    columns = {"set_aside": reasons, "embedding": list(made.vectors[places]), "encoder": made.encoder}
    return rows[["media_id", "item_id", "sha256"]].assign(**columns)
