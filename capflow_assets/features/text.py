"""Text: what items are called and said to be, as vectors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from capflow_assets.contract import Column, Table
from capflow_assets.encoders.texts import Params, demand, vectors_of
from capflow_assets.expressions.known_at import KNOWN_FROM, Moments, at_each

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

TABLE = Table(
    grain="item of the list of items",
    columns=(
        Column("item_id", "string", "The item.", required=True),
        Column("as_of", "timestamp", "The moment that the row is for; the list of items has no time of its own.", True),
        Column("words", "int", "How many words its texts have.", required=True, at_least=0),
        Column("embedding", "array<double>", "Its texts as a vector of length 1; all 0 where none is known.", True),
    ),
    key=("item_id", "as_of"),
)

TEXTS = ("name", "description", "department", "category", "subcategory", "brand")


def text(items: DataFrame, *, as_of: Moments, zone: str, params: Params | None = None) -> DataFrame:
    """The texts of each item as a vector: items that are described alike lie close.

    **Grain**: one row per item of the list of items and moment. The list has no time, so the rows of all moments are
    equal. **Texts** are name, description, department, category, subcategory and brand; what users write of an item is
    in ``features/reviews``.

    **Embedding**: by the encoder of ``params``, ``tfidf``, ``glove`` or ``sentence`` (see ``vectors_of``), rounded to
    six decimals, so that the last bits of an engine's libraries do not show.

    One worker reads all texts, in the order of the ids.

    Raises:
        SourceError: there is nothing at ``Params.path``, or it is no such file.
        TableError: the encoder's library is not installed.
    """
    from pyspark.sql import functions as F

    chosen = params or Params.model_validate({})
    demand(chosen, "text")

    def encode(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        import pandas as pd

        frames = [batch for batch in batches if len(batch)]
        if frames:
            rows = pd.concat(frames, ignore_index=True).sort_values("item_id", kind="stable", ignore_index=True)
            words, vectors = vectors_of(rows["text"].tolist(), chosen)
            yield pd.DataFrame({"item_id": rows["item_id"], "words": words, "embedding": list(vectors)})

    texts = items.select("item_id", F.concat_ws(" . ", *TEXTS).alias("text"))
    # All items are one worker's work: the words of one weigh by how many others have them.
    encoded = texts.repartition(1).mapInPandas(encode, "item_id string, words int, embedding array<double>")
    return at_each(encoded.withColumn(KNOWN_FROM, F.lit(0)), as_of, zone).select(*TABLE.names)
