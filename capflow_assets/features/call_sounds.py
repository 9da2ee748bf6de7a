"""Recordings of users as numbers: what a net and a linear model hear in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from capflow_assets.contract import Column, Table
from capflow_assets.encoders.kept import DIGEST, Kept
from capflow_assets.encoders.sounds import ENCODER
from capflow_assets.expressions.ids import identifier
from capflow_assets.expressions.known_at import Moments, at_each, known

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

FORMULAS = {
    "user_id": "as landed",
    "sha256": "SHA-256 of the file",
    "seconds": "samples / rate",
    "is_clipped": "any stretch of samples at full scale",
    "set_aside": "the reason, where it cannot be heard",
    "log_mel": "ln(mel spectrogram), 48 frames of 40 bands",
    "cepstrum": "mean and deviation over frames(20 cepstral coefficients)",
    "encoder": "name and version of what encodes",
}
TABLE = Table(
    grain="recording",
    columns=(
        Column("media_id", "string", "The recording.", required=True),
        Column("as_of", "timestamp", "The moment up to which recordings were read.", required=True),
        Column("user_id", "string", "The user whom it comes from.", personal=True),
        Column("sha256", "string", "The hash of its content: equal ones sound alike."),
        Column("seconds", "double", "How long it is; of a long one a minute is heard.", unit="seconds", at_least=0),
        Column("is_clipped", "boolean", "Whether it was too loud for what recorded it.", required=True),
        Column("set_aside", "string", "Why nothing is heard in it; null where something is."),
        Column("log_mel", "array<double>", "Its spectrogram, 48 frames of 40 mel bands; none where set aside.", True),
        Column("cepstrum", "array<double>", "Means and deviations of 20 cepstral coefficients; none likewise.", True),
        Column("encoder", "string", "What made the numbers: those of one encoder are comparable, no others.", True),
    ),
    key=("media_id", "as_of"),
    formulas=FORMULAS,
)


def call_sounds(raw_media: DataFrame, *, as_of: Moments, zone: str, kept: Kept | None = None) -> DataFrame:
    """Each recording that a moment knows as numbers, or why it has none.

    **Grain**: one row per recording written up to the moment, and moment; one without a time was always known.

    ``log_mel`` and ``cepstrum`` are as ``encoders.sounds.heard`` makes them, frame by frame, to six decimals. A
    recording that cannot be decoded, is silent or too short, or is not the file that landed is set aside with the
    reason. Workers read the files where they lie, one at a time; where numbers are ``kept``, those that no run heard.
    """
    from pyspark.sql import functions as F

    def hear(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        import pandas as pd

        for batch in batches:
            for _, row in batch.iterrows():
                numbers = _heard(row["path"], row["sha256"])
                del numbers["is_read"]
                yield pd.DataFrame([{name: row[name] for name in KEPT} | numbers])

    columns = {column.name: f"{column.name} {column.type}" for column in TABLE.columns if column.name != "as_of"}
    recordings = known(raw_media, "modified_at", as_of).where(F.col("kind") == "audio")
    recordings = recordings.select("media_id", identifier("user_id").alias("user_id"), "sha256", "path", "known_from")
    schema = ", ".join([*columns.values(), "known_from int"])
    if kept is None:
        heard = recordings.mapInPandas(hear, schema)
    else:
        contents = recordings.select(F.col("sha256").alias(DIGEST), "user_id", "path")
        numbers = ", ".join(columns[name] for name in HEARD)
        known_ones = kept.vectors("sounds", ENCODER, contents, _once, numbers).withColumnRenamed(DIGEST, "sha256")
        # What could not be read is tried again by each run, and says why.
        others = recordings.join(known_ones.select("sha256"), "sha256", "left_anti").select(*recordings.columns)
        again = recordings.drop("path").join(known_ones, "sha256").withColumn("encoder", F.lit(ENCODER))
        heard = others.mapInPandas(hear, schema).unionByName(again)
    return at_each(heard, as_of, zone).select(*TABLE.names)


HEARD = ("seconds", "is_clipped", "set_aside", "log_mel", "cepstrum")
KEPT = ("media_id", "user_id", "sha256", "known_from")


def _once(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """What is heard in contents; those whose files cannot be read are left out."""
    import pandas as pd

    for batch in batches:
        for _, row in batch.iterrows():
            numbers = _heard(row["path"], row[DIGEST])
            if numbers.pop("is_read"):
                yield pd.DataFrame([{DIGEST: row[DIGEST]} | {name: numbers[name] for name in HEARD}])


def _heard(path: str, digest: str | None) -> dict[str, object]:
    from capflow_assets.encoders.sounds import Heard, heard
    from capflow_assets.encoders.stored import stored

    file = stored(path, digest)
    sound = Heard(reason=file.reason) if file.reason else heard(file.content)
    return {
        "seconds": float(sound.seconds),
        "is_clipped": sound.is_clipped,
        "set_aside": sound.reason or None,
        "log_mel": [] if sound.log_mel is None else sound.log_mel.ravel().tolist(),
        "cepstrum": [] if sound.cepstrum is None else sound.cepstrum.tolist(),
        "encoder": ENCODER,
        "is_read": not file.reason,
    }
