"""Which recordings customers labelled, who speaks in them, and which of them teach."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capflow_assets.contract import Examples
from capflow_assets.errors import EvidenceError

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

SOUNDS, MEDIA = "features/call_sounds", "raw/media"
SOUND_COLUMNS = ("media_id", "user_id", "set_aside", "log_mel", "cepstrum", "encoder")
MEDIA_COLUMNS = ("media_id", "intent", "speaker", "modified_at")
LEAST_RECORDINGS = 20
# An intent with fewer recordings is not learned.
LEAST_OF_INTENT = 5


def labelled_recordings(raw_media: DataFrame) -> DataFrame:
    """One row per recording with an intent: ``media_id``, ``intent``, ``speaker``, ``modified_at``.

    The speaker is the user where none is told, and somebody else in each recording where neither is.
    """
    from pyspark.sql import functions as F

    from capflow_assets.expressions.optional_columns import optional

    intent = F.nullif(F.trim(optional(raw_media, "intent", "string")), F.lit(""))
    speaker = F.coalesce(optional(raw_media, "speaker", "string"), optional(raw_media, "user_id", "string"), "media_id")
    rows = raw_media.filter("kind = 'audio'").select(
        "media_id", intent.alias("intent"), speaker.alias("speaker"), "modified_at"
    )
    return rows.filter(F.col("intent").isNotNull()).dropDuplicates(["media_id"])


def heard_recordings(examples: Examples) -> pd.DataFrame:
    """The recordings that the newest moment knows, by their ids, with who speaks, and labels where there are some."""
    sounds = examples.table(SOUNDS).sort_values("media_id", kind="stable").drop_duplicates("media_id")
    media = examples.table(MEDIA).sort_values("media_id", kind="stable").drop_duplicates("media_id")
    named = media.reindex(columns=list(MEDIA_COLUMNS))
    rows = sounds.merge(named, on="media_id", how="left").set_index("media_id")
    return rows.assign(speaker=_speakers(rows))


def learned_recordings(examples: Examples, horizon_days: int) -> pd.DataFrame:
    """The labelled recordings that are heard and older than the newest horizon, of intents that occur often enough.

    To know a voice again is no art: who speaks in the newest horizon, which judges, does not teach, unless too little
    would be left.

    Raises:
        EvidenceError: they are too few, or of one intent.
    """
    import pandas as pd

    from capflow_assets.expressions.days import days_before

    rows = heard_recordings(examples)
    label = rows["intent"].astype("string").str.strip()
    rows = rows.assign(intent=label.where(label.str.len() > 0))
    rows = rows[rows["intent"].notna().to_numpy() & rows["set_aside"].isna().to_numpy()]
    since = days_before(examples.moments[-1], horizon_days, examples.zone)
    is_new = (pd.to_datetime(rows["modified_at"], utc=True) > since).to_numpy()
    older = rows[~is_new]
    others = _frequent(older[~older["speaker"].isin(rows["speaker"][is_new]).to_numpy()])
    older = _frequent(older)
    intents = set(older["intent"])
    if len(intents) > 1 and intents == set(others["intent"]) and len(others) >= LEAST_RECORDINGS:
        return others
    if len(older) < LEAST_RECORDINGS or older["intent"].nunique() < 2:
        raise EvidenceError(
            "There are too few labelled recordings to learn from",
            expected=f"{LEAST_RECORDINGS} older than {horizon_days} days, of two intents, {LEAST_OF_INTENT} of each",
            came=f"{len(older)} of {older['intent'].nunique()} such intents",
            do="label more recordings (raw/media.intent), with the time of each (raw/media.modified_at)",
        )
    return older


def _frequent(rows: pd.DataFrame) -> pd.DataFrame:
    often = rows["intent"].value_counts()
    return rows[rows["intent"].isin(often.index[often >= LEAST_OF_INTENT])]


def _speakers(rows: pd.DataFrame) -> pd.Series:
    """Who speaks: the speaker, else the user; where neither is known each recording is of somebody else."""
    own = rows["speaker"].astype("string").where(rows["speaker"].notna(), rows["user_id"].astype("string"))
    return own.where(own.notna(), rows.index.to_series().astype("string"))
