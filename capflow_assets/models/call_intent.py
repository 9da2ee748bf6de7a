"""What a caller wants in each recording: one of the intents that the customer labelled earlier ones with, or unsure.

Nets over spectrograms (``learning.nets.cepstral``) learn from labelled recordings (``raw/media.intent``). They are
judged on later ones against a linear model over cepstral means. Voices that judge do not teach, where enough others do.
An intent is named where its chance is high enough; what cannot be heard is unsure, and says why.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from capflow_assets.contract import Answer, Candidate, Column, Model, Needs, Outcome, Reads, Rule, Subject
from capflow_assets.learning.call_estimators import CallIntentParams, LinearCepstra, SpokenNets
from capflow_assets.learning.call_labels import MEDIA, MEDIA_COLUMNS, SOUND_COLUMNS, SOUNDS
from capflow_assets.learning.metrics import mean_by_subject

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from pyspark.sql import DataFrame

SAID, PER = "said", "intent"
MOST_CALIBRATION_ERROR = 0.1


def known(raw_media: DataFrame, as_of: datetime) -> DataFrame:
    """Every recording made up to the moment: ``media_id``."""
    from capflow_assets.expressions.known_at import is_known

    return raw_media.filter(is_known("modified_at", as_of)).filter("kind = 'audio'").select("media_id").distinct()


def outcome(raw_media: DataFrame, start: datetime, end: datetime, zone: str) -> DataFrame:
    """The intents of the newest recordings that ``start`` knows: those of as many days as lie up to ``end``.

    One row per labelled recording: ``media_id``, ``intent``, ``said`` (1).
    """
    import pyspark.sql.functions as F

    from capflow_assets.expressions.days import days_before, local_span
    from capflow_assets.learning.call_labels import labelled_recordings

    at, since = F.col("modified_at"), days_before(start, local_span(start, end, zone).days, zone)
    rows = labelled_recordings(raw_media).filter((at > F.lit(since)) & (at <= F.lit(start)))
    return rows.select("media_id", PER, F.lit(1.0).alias(SAID))


def by_recording(outcomes: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """Of each recording 1 where the likeliest intent is what was said, else 0."""
    return answers["likeliest"].eq(_said(outcomes, answers)).astype(float).to_frame("value")


def sure_share(outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
    """The share of recordings for which an intent is named."""
    return float((answers["intent"] == answers["likeliest"]).mean())


def calibration_error(outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
    """How far chances are from the share that they name rightly, beyond what chance alone would show."""
    from capflow_assets.learning.calibration_errors import calibration_error_by_chance, expected_calibration_error

    rightly, chances = by_recording(outcomes, answers)["value"], answers["score"]
    return max(0.0, expected_calibration_error(rightly, chances) - calibration_error_by_chance(rightly, chances))


def plot(outcomes: pd.DataFrame, answers: pd.DataFrame) -> Figure:
    """Of each intent, which shares of its recordings are taken for which."""
    import pandas as pd
    from matplotlib.figure import Figure

    said = _said(outcomes, answers)
    shares = pd.crosstab(said, answers["likeliest"].to_numpy(), normalize="index")
    shares = shares.reindex(columns=sorted({*shares.index, *shares.columns}), fill_value=0.0).head(20)
    figure = Figure(figsize=(5, 4), dpi=80, layout="constrained")
    axes = figure.subplots()
    axes.imshow(100 * shares.to_numpy(), vmin=0, vmax=100, cmap="Blues", aspect="auto")
    axes.set_xticks(range(shares.shape[1]), [str(name)[:14] for name in shares.columns], rotation=60, fontsize=7)
    axes.set_yticks(range(len(shares)), [str(name)[:14] for name in shares.index], fontsize=7)
    axes.set_xlabel("taken for")
    axes.set_ylabel("said")
    axes.set_title(f"{by_recording(outcomes, answers)['value'].mean():.0%} of the recordings told rightly")
    return figure


def _said(outcomes: pd.DataFrame, answers: pd.DataFrame) -> pd.Series:
    return outcomes[PER].reindex(answers.index)


MODEL = Model(
    question="What does the caller want in each recording?",
    family="sounds",
    objective="chance",
    subject=Subject("recording", ("media_id",), known=known),
    needs=Needs(tables=(MEDIA,), evidence={"recordings_labelled": 40, "intents_labelled": 2}),
    reads=(Reads(SOUNDS, SOUND_COLUMNS, "frame"), Reads(MEDIA, MEDIA_COLUMNS, "frame")),
    outcome=Outcome(outcome, (SAID,), per=(PER,), absent="unknown"),
    answer=Answer(
        columns=(
            Column("intent", "string", "The likeliest intent where its chance is high enough, else unsure.", True),
            Column("likeliest", "string", "The likeliest intent, sure or not.", True),
        )
    ),
    params=CallIntentParams,
    candidates=(
        Candidate("nets over spectrograms", SpokenNets),
        Candidate("linear over cepstral means", LinearCepstra, is_baseline=True),
    ),
    metric=mean_by_subject("accuracy", by_recording, True, "Share of recordings whose likeliest intent was said."),
    rules=(
        Rule("calibrated", calibration_error, "its calibration error", at_most=MOST_CALIBRATION_ERROR),
        Rule("names", sure_share, "the share of recordings for which it names an intent", otherwise="tell"),
    ),
    fitted="now",
    plot=plot,
)
