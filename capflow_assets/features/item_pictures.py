"""Pictures of items as vectors: items that look alike lie close."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from capflow_assets.contract import Column, Table
from capflow_assets.encoders.kept import DIGEST, Kept
from capflow_assets.encoders.pictures import Params, demand, encoded, version
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

VECTORS = "set_aside string, embedding array<double>"
ROWS = f"media_id string, item_id string, sha256 string, {VECTORS}, encoder string"
# So many pictures are held at once, whatever the engine's batches hold.
AT_ONCE = 32


def item_pictures(
    raw_media: DataFrame, *, as_of: Moments, zone: str, params: Params | None = None, kept: Kept | None = None
) -> DataFrame:
    """Each picture of an item as a vector, or why it has none.

    **Grain**: one row per picture that belongs to an item, and moment. What an item looks like has no time, so the rows
    of all moments are equal.

    **Embedding**: by the encoder of ``params``, ``descriptors`` or ``efficientnet`` (``encoders.pictures.encoded``), to
    six decimals. A picture that is broken, huge, of a few pixels, or not the file that landed is set aside with the
    reason; of a moving one the first counts. Workers read the files where they lie, some at a time, each content once;
    where vectors are ``kept``, those that no run has seen.

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
    placed = pictures.select("media_id", identifier("item_id").alias("item_id"), "path", "sha256")
    if kept is None:
        rows = placed.mapInPandas(encode, ROWS)
    else:
        seen = kept.vectors("pictures", version(chosen), _contents(placed), _once(chosen), VECTORS)
        seen = seen.withColumnRenamed(DIGEST, "sha256").withColumn("encoder", F.lit(version(chosen)))
        # What could not be read is tried again by each run, and says why.
        others = placed.join(seen.select("sha256"), "sha256", "left_anti").select(*placed.columns)
        rows = others.mapInPandas(encode, ROWS).unionByName(placed.drop("path").join(seen, "sha256"))
    return at_each(rows.withColumn(KNOWN_FROM, F.lit(0)), as_of, zone).select(*TABLE.names)


def _contents(rows: DataFrame) -> DataFrame:
    from pyspark.sql import functions as F

    return rows.select(F.col("sha256").alias(DIGEST), "path")


def _once(params: Params) -> Callable[[Iterable[pd.DataFrame]], Iterator[pd.DataFrame]]:
    """What encodes contents, and leaves out those whose files cannot be read."""

    def encode(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            for first in range(0, len(batch), AT_ONCE):
                some = batch.iloc[first : first + AT_ONCE].rename(columns={DIGEST: "sha256"})
                rows = _encoded(some.assign(media_id="", item_id=""), params, is_read_only=True)
                yield rows.rename(columns={"sha256": DIGEST})[[DIGEST, "set_aside", "embedding"]]

    return encode


def _encoded(rows: pd.DataFrame, params: Params, *, is_read_only: bool = False) -> pd.DataFrame:
    """The rows with their vectors; with ``is_read_only`` those alone whose files could be read."""
    from capflow_assets.encoders.stored import stored

    files = [stored(path, digest) for path, digest in zip(rows["path"], rows["sha256"], strict=True)]
    contents = list(dict.fromkeys(file.content for file in files))
    pictures = encoded(contents, params)
    places = [contents.index(file.content) for file in files]
    reasons = [file.reason or pictures.reasons[place] or None for file, place in zip(files, places, strict=True)]
    columns = {"set_aside": reasons, "embedding": list(pictures.vectors[places]), "encoder": pictures.encoder}
    made_rows = rows[["media_id", "item_id", "sha256"]].assign(**columns)
    return made_rows[[not file.reason for file in files]] if is_read_only else made_rows
