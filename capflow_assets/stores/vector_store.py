"""The vectors of a customer's texts, pictures and recordings, each made once: Delta tables ``vectors/{kind}``.

They lie below the customer's own prefix, so that a customer who is retired takes them along. Those of what users wrote
or said carry the user's id: whoever is forgotten takes theirs along, as in any table that knows users. What two users
wrote alike is made once more when the first of them has gone. Two runs at once may keep one content twice; it is read
once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from capflow_assets.encoders.kept import DIGEST, ENCODER, USER
from capflow_assets.stores.lake import Lake

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from capflow_assets.encoders.kept import Encode

STAGE = "vectors"


@dataclass(frozen=True, slots=True)
class VectorStore:
    """Keeps the vectors of one customer; see ``encoders.kept.Kept``."""

    lake: Lake
    customer: str

    def vectors(
        self, kind: str, encoder: str, contents: DataFrame, encode: Encode, columns: str, one_worker: bool = False
    ) -> DataFrame:
        """The vectors of the contents, of which only what is not kept yet is encoded, in the engine's workers."""
        from pyspark.sql import functions as F

        others = [F.min(name).alias(name) for name in contents.columns if name != DIGEST]
        distinct = contents.filter(F.col(DIGEST).isNotNull()).groupBy(DIGEST).agg(*others)
        known = self._known(kind, encoder)
        missing = distinct if known is None else distinct.join(known.select(DIGEST), DIGEST, "left_anti")
        if known is None or missing.limit(1).count():
            placed = missing.repartition(1) if one_worker else missing
            encodings = placed.mapInPandas(encode, f"{DIGEST} string, {columns}")
            if USER in contents.columns:
                encodings = encodings.join(distinct.select(DIGEST, USER), DIGEST)
            self.lake.write(encodings.withColumn(ENCODER, F.lit(encoder)), self.customer, f"{STAGE}/{kind}", "append")
        kept = self._known(kind, encoder)
        assert kept is not None  # noqa: S101  (it was just written)
        return kept.drop(ENCODER, USER)

    def _known(self, kind: str, encoder: str) -> DataFrame | None:
        """The rows that this encoder made, each digest once; None where nothing was ever kept."""
        from pyspark.sql import functions as F

        table = f"{STAGE}/{kind}"
        if not self.lake.exists(self.customer, table):
            return None
        rows = self.lake.table(self.customer, table).filter(F.col(ENCODER) == encoder)
        return rows.dropDuplicates([DIGEST])
