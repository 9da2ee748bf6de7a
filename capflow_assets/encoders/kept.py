"""Vectors that are made once: what an encoder made of a content is kept by the content's digest, and asked for again.

A fixed encoder makes one vector of one content, whenever; so only what is new needs it. Where vectors are kept is the
business of whoever keeps them (``stores.vector_store``); without a keeper all are made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Protocol

from capflow_assets.encoders.texts import Params, encoded, version

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

    Encode = Callable[[Iterable[pd.DataFrame]], Iterator[pd.DataFrame]]

DIGEST, ENCODER, USER = "digest", "encoder", "user_id"
TEXT_VECTORS = "words int, embedding array<double>"
# A library or file that is slow to load is loaded by one worker, for so many texts at a time: memory is that of these.
LIGHT = ("hashed", "universal")
STRETCH = 50_000


class Kept(Protocol):
    """Who keeps vectors."""

    def vectors(
        self, kind: str, encoder: str, contents: DataFrame, encode: Encode, columns: str, one_worker: bool = False
    ) -> DataFrame:
        """The vectors of one ``kind`` of contents by one ``encoder``: a row per digest, ``digest`` and ``columns``.

        ``contents`` have a ``digest``, perhaps the ``user_id`` whom they are of, and what ``encode`` reads; what is not
        kept yet is handed to it, each digest once. It yields ``digest`` and ``columns`` (a schema) of what it made; of
        a content that it leaves out there is no row, and it is asked again the next time.
        """


def text_vectors(kept: Kept, kind: str, rows: DataFrame, params: Params) -> DataFrame:
    """The vectors of the texts of a frame: a row per distinct ``text``: ``digest``, ``words``, ``embedding``.

    ``rows`` have ``text``, its ``digest`` (``with_digest``) and perhaps ``user_id``. The encoder is not a learned one.
    """
    is_light = params.encoder in LIGHT

    def encode(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        import pandas as pd

        filled = (batch for batch in batches if len(batch))
        for some in filled if is_light else in_stretches(filled):
            texts = encoded(some["text"].tolist(), params)
            yield pd.DataFrame({DIGEST: some[DIGEST], "words": texts.words, "embedding": list(texts.vectors)})

    return kept.vectors(kind, str(version(params)), rows, encode, TEXT_VECTORS, one_worker=not is_light)


def with_digest(rows: DataFrame) -> DataFrame:
    """The rows with the ``digest`` of their ``text``."""
    from pyspark.sql import functions as F

    return rows.withColumn(DIGEST, F.sha2(F.col("text").cast("binary"), 256))


def in_stretches(batches: Iterable[pd.DataFrame], least: int = STRETCH) -> Iterator[pd.DataFrame]:
    """The batches in their order, as few put together as have ``least`` rows or more; the last may have fewer."""
    import pandas as pd

    frames: list[pd.DataFrame] = []
    for batch in batches:
        frames.append(batch)
        if sum(map(len, frames)) >= least:
            yield pd.concat(frames, ignore_index=True)
            frames = []
    if frames:
        yield pd.concat(frames, ignore_index=True)
