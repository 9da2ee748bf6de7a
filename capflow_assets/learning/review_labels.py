"""What customers say of reviews: labels where there are some, else the stars, on a scale that is read off them.

Rows in, one number a row out: 1 for a review that is praise, 0 for a complaint, none for what lies between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from pyspark.sql import DataFrame

POSITIVE = "positive positiv positif positivo pos p good praise happy gut bon + 1 1.0 true yes"
NEGATIVE = "negative negativ négatif negativo neg n bad complaint unhappy schlecht mauvais - 0 -1 0.0 -1.0 false no"
# The scales of stars and points, the narrowest first: the first that holds all of a customer's is the customer's.
SCALES = ((0.0, 1.0), (-1.0, 1.0), (1.0, 5.0), (0.0, 5.0), (1.0, 10.0), (0.0, 10.0), (0.0, 100.0))
# Of five stars four and more praise, two and fewer complain.
PRAISE, COMPLAINT = 0.7, 0.3
LABEL = "is_positive"


def labels(rows: pd.DataFrame) -> np.ndarray:
    """1.0, 0.0 or NaN for each review: its ``sentiment`` where that is one, else its ``rating`` (stars or points).

    Where all ratings are 1 nothing tells one star of five from a thumb up: they say nothing.
    """
    import numpy as np

    low, high = scale(rows["rating"]) if "rating" in rows.columns else (0.0, 1.0)
    observed = np.full(len(rows), np.nan)
    if "rating" in rows.columns:
        ratings = rows["rating"].to_numpy(dtype=float)
        share = (np.where(np.nanmax(np.abs(ratings - 1), initial=0.0) > 0, ratings, np.nan) - low) / (high - low)
        observed = np.where(share >= PRAISE, 1.0, np.where(share <= COMPLAINT, 0.0, np.nan))
    if "sentiment" in rows.columns:
        words = rows["sentiment"].map(lambda value: str(value).strip().lower())
        observed = np.where(words.isin(POSITIVE.split()), 1.0, np.where(words.isin(NEGATIVE.split()), 0.0, observed))
    return observed


def scale(ratings: pd.Series) -> tuple[float, float]:
    """The worst and best that can be given, by the narrowest usual scale that holds all ratings.

    >>> import pandas as pd
    >>> scale(pd.Series([1.0, 4.5, 5.0])), scale(pd.Series([7.0, 10.0])), scale(pd.Series([-3.0, 3.0]))
    ((1.0, 5.0), (1.0, 10.0), (-3.0, 3.0))
    """
    import numpy as np

    values = ratings.to_numpy(dtype=float)
    values = values[np.isfinite(values)]
    if not values.size:
        return SCALES[0]
    worst, best = float(values.min()), float(values.max())
    own = (worst, best if best > worst else worst + 1.0)
    return next((usual for usual in SCALES if usual[0] <= worst and best <= usual[1]), own)


def distinct(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per review in the order of ids: of several with one id the newest."""
    by = [name for name in ("review_id", "written_at", "text", "rating", "sentiment") if name in rows.columns]
    return rows.sort_values(by, kind="stable").drop_duplicates("review_id", keep="last")


def labelled(raw_reviews: DataFrame) -> DataFrame:
    """The reviews of which a customer has said something: ``review_id``, ``written_at``, ``is_positive`` (0, 1).

    One worker reads the stars of all, since their scale is read off them. Of several with one id the newest counts.
    """
    from collections.abc import Iterable

    from capflow_assets.expressions.optional_columns import optional

    def judge(batches: Iterable[pd.DataFrame]) -> Iterable[pd.DataFrame]:
        import pandas as pd

        frames = [batch for batch in batches if len(batch)]
        if frames:
            rows = distinct(pd.concat(frames, ignore_index=True))
            yield rows.assign(**{LABEL: labels(rows)})[["review_id", "written_at", LABEL]].dropna(subset=[LABEL])

    narrow = raw_reviews.select(
        "review_id",
        "written_at",
        optional(raw_reviews, "rating", "double"),
        optional(raw_reviews, "sentiment", "string"),
    )
    return narrow.repartition(1).mapInPandas(judge, f"review_id string, written_at timestamp, {LABEL} double")
