"""Groups of users who shop alike: a mixture over behaviours, with names by what stands out in each centre."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from capflow_assets.contract import Examples
from capflow_assets.learning.objectives.segment import NEVER_DAYS

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

# What is called high and low of each column; the first are taken as logarithms.
WORDS = {
    "gap_days_median": ("rare", "frequent"),
    "purchase_amount_avg": ("big baskets", "small baskets"),
    "piece_price_avg": ("dear items", "cheap items"),
    "recency_days": ("long away", "here lately"),
    "gap_days_cv": ("irregular", "regular"),
    "weekend_share": ("weekend", "weekday"),
    "morning_share": ("morning", ""),
    "evening_share": ("evening", ""),
}
LOGARITHMS = ("gap_days_median", "purchase_amount_avg", "piece_price_avg", "recency_days")
# Spreads from the middle of all users that a centre must be away to stand out.
STANDS_OUT = 0.4
NAMED_BY = 2
# Days since the last visit at which half of the standing by it is lost.
MONTH_DAYS = 30.0


class MixtureParams(Protocol):
    """How many groups may be told apart."""

    seed: int
    most_groups: int

    def model_dump(self) -> dict[str, Any]:
        """All of them."""


class BehaviourSegments:
    """The fitted groups: their centres and variances, names and places, and how well they come back."""

    def __init__(self, params: MixtureParams) -> None:
        self.params = params
        self.arrays: dict[str, np.ndarray] | None = None
        self.names: list[str] = []
        self.places: list[int] = []
        self.recent_spend: list[float] = []
        self.agreement = 0.0

    def fit(self, examples: Examples) -> BehaviourSegments:
        """Find the groups of the users of ``examples``, and order them by the mean of ``spend_91d``."""
        import numpy as np

        from capflow_assets.learning.frames import in_order, matrix
        from capflow_assets.learning.mixture import Scale, agreement, mixture

        columns = in_order(examples).columns
        values = _values(columns)
        scale = Scale.of(values)
        standardised = scale.standardised(values)
        fitted = mixture(standardised, self.params.most_groups, self.params.seed)
        self.agreement = agreement(standardised, fitted, self.params.seed)
        groups = fitted.groups(standardised)
        spend = matrix(columns, ("spend_91d",))["spend_91d"].fillna(0.0).to_numpy()
        count = len(fitted.shares)
        users = np.bincount(groups, minlength=count)
        self.recent_spend = (np.bincount(groups, np.maximum(spend, 0.0), count) / np.maximum(users, 1)).tolist()
        order = np.argsort(self.recent_spend, kind="stable")
        self.places = (np.argsort(order) + 1).tolist()
        self.names = names_of(fitted.centres - standardised.mean(axis=0))
        self.arrays = {
            "middle": scale.middle,
            "spread": scale.spread,
            "shares": fitted.shares,
            "centres": fitted.centres,
            "variances": fitted.variances,
        }
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """``segment``, ``score``, ``reasons``.

        The score's whole part is the segment's place, 1 the worst; its fraction grows with what the user spent of late
        and falls with the days since.
        """
        import numpy as np
        import pandas as pd

        from capflow_assets.learning.frames import fitted
        from capflow_assets.learning.mixture import Mixture, Scale

        arrays = fitted(self.arrays, "behaviour_segments")
        values = _values(examples.columns)
        standardised = Scale(arrays["middle"], arrays["spread"]).standardised(values)
        groups = Mixture(arrays["shares"], arrays["centres"], arrays["variances"]).groups(standardised)
        standing = _standing(examples.columns, float(np.mean(self.recent_spend)))
        return pd.DataFrame(
            {
                "score": np.array(self.places, dtype=float)[groups] + standing,
                "segment": np.array(self.names, dtype=object)[groups],
                "reasons": _reasons(examples.columns),
            },
            index=examples.columns.index,
        )

    def parameters(self) -> dict[str, Any]:
        """Each group's share of users, place, recent spend and centre; and how well the groups come back (ARI)."""
        from capflow_assets.learning.frames import fitted

        arrays = fitted(self.arrays, "behaviour_segments")
        groups = {
            name: {
                "place": self.places[group],
                "share": round(float(arrays["shares"][group]), 4),
                "spend_91d_avg": self.recent_spend[group],
                "centre": dict(zip(WORDS, arrays["centres"][group].round(3).tolist(), strict=True)),
            }
            for group, name in enumerate(self.names)
        }
        return {"groups": groups, "adjusted_rand_of_halves": self.agreement}


def _values(columns: pd.DataFrame) -> np.ndarray:
    """The behaviours as numbers, skewed ones as logarithms; nulls and infinities as NaN."""
    import numpy as np

    from capflow_assets.learning.frames import matrix

    frame = matrix(columns, tuple(WORDS))
    frame[list(LOGARITHMS)] = np.log1p(frame[list(LOGARITHMS)].clip(lower=0.0))
    return frame.to_numpy()


def _standing(columns: pd.DataFrame, spend_avg: float) -> np.ndarray:
    """Where each user stands inside a segment, from 0 to below 1: half by recent spend, half by the last visit."""
    import numpy as np

    from capflow_assets.learning.frames import matrix

    read = matrix(columns, ("spend_91d", "recency_days"))
    spend = np.maximum(read["spend_91d"].fillna(0.0).to_numpy(), 0.0)
    days = read["recency_days"].fillna(NEVER_DAYS).clip(lower=0.0).to_numpy()
    return 0.49 * spend / (spend + max(spend_avg, 1e-9)) + 0.49 * MONTH_DAYS / (MONTH_DAYS + days)


def names_of(centres: np.ndarray) -> list[str]:
    """Each group by what stands out most in its centre; where two would be called the same, by one thing more."""
    ranked = [_standing_out(centre) for centre in centres]
    names = [", ".join(words[:NAMED_BY]) or "like most" for words in ranked]
    for most in range(NAMED_BY + 1, len(WORDS) + 1):
        names = [
            ", ".join(words[:most]) or "like most" if names.count(name) > 1 else name
            for name, words in zip(names, ranked, strict=True)
        ]
    return [
        f"{name} {names[:place].count(name) + 1}" if name in names[:place] else name for place, name in enumerate(names)
    ]


def _standing_out(centre: np.ndarray) -> list[str]:
    """What is high or low in a centre, the most first."""
    words = zip(centre, WORDS.values(), strict=True)
    ranked = sorted(words, key=lambda one: -abs(one[0]))
    return [word for away, (high, low) in ranked if abs(away) >= STANDS_OUT and (word := high if away > 0 else low)]


def _reasons(columns: pd.DataFrame) -> list[str]:
    import numpy as np

    from capflow_assets.learning.explanations import singular
    from capflow_assets.learning.frames import matrix

    read = matrix(columns, ("gap_days_median", "weekend_share", "purchase_amount_avg"))
    rows = zip(*(read[name].to_numpy() for name in read), strict=True)
    return [
        "; ".join(
            (
                singular(f"comes every {gap:.0f} days") if np.isfinite(gap) else "came once so far",
                f"{weekend:.0%} at weekends" if np.isfinite(weekend) else "no weekday known",
                f"{amount:,.2f} a purchase" if np.isfinite(amount) else "no purchase known",
            )
        )
        for gap, weekend, amount in rows
    ]
