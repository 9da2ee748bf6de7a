"""The numbers that judge models, each built as a ``contract.Metric`` for the columns it compares.

Rows are compared by position: ``labels`` and ``predictions`` are aligned. A prediction that is not finite is left
out here, because the coverage already counts it. numpy is imported when a metric is computed, so that a model
file can name its metric and still load at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from capflow_assets.contract import Metric
from capflow_assets.errors import EvidenceError, ModelError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def roc_auc(label: str, prediction: str = "score") -> Metric:
    """The chance that a positive is scored above a negative, ties counting half (Hanley & McNeil 1982)."""

    def compute(labels: pd.DataFrame, predictions: pd.DataFrame) -> float:
        from scipy.stats import rankdata

        actual, score = aligned(labels, predictions, label, prediction)
        positive = actual > 0
        positives, negatives = int(positive.sum()), int((~positive).sum())
        if positives == 0 or negatives == 0:
            raise _one_class("roc_auc", positives, negatives)
        rank_sum = float(rankdata(score)[positive].sum())
        return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)

    def counted(labels: pd.DataFrame, predictions: pd.DataFrame) -> Callable[[np.ndarray], float]:
        import numpy as np

        place, ties, finite = _ranked(labels, predictions, prediction)
        is_positive = labels[label].to_numpy(dtype=float)[finite][place] > 0

        def of_counts(counts: np.ndarray) -> float:
            drawn = counts[finite][place]
            positives, negatives = (np.add.reduceat(drawn * of, ties) for of in (is_positive, ~is_positive))
            if not positives.sum() or not negatives.sum():
                raise _one_class("roc_auc", int(positives.sum()), int(negatives.sum()))
            below = np.cumsum(negatives) - negatives / 2
            return float(np.dot(positives, below) / (positives.sum() * float(negatives.sum())))

        return of_counts

    words = f"Chance that a subject with the outcome {label} is scored above one without."
    return Metric("roc_auc", compute, True, words, counted=counted)


def spend_gini(label: str = "spend", prediction: str = "score") -> Metric:
    """How much of the spend an ordering of users captures: 1 = the perfect order, 0 = a random one, below 0 = worse.

    The Gini coefficient of the spend concentrated by the score over that of the spend concentrated by itself. With
    ``R`` the mid-ranks, ``G(score) ∝ cov(spend, R(score))`` (Lerman & Yitzhaki 1984, eq. 2), so ties share their
    capture and the value is ``cov(spend, R(score)) / cov(spend, R(spend))``. Negative spend counts as 0.
    """

    def compute(labels: pd.DataFrame, predictions: pd.DataFrame) -> float:
        import numpy as np
        from scipy.stats import rankdata

        actual, score = aligned(labels, predictions, label, prediction)
        spend = np.maximum(actual, 0.0)
        if spend.size == 0 or spend.min() == spend.max():
            raise _one_spend(spend.size)
        centred = spend - spend.mean()
        return float(np.dot(centred, rankdata(score)) / np.dot(centred, rankdata(spend)))

    def counted(labels: pd.DataFrame, predictions: pd.DataFrame) -> Callable[[np.ndarray], float]:
        import numpy as np

        place, ties, finite = _ranked(labels, predictions, prediction)
        spend = np.maximum(labels[label].to_numpy(dtype=float)[finite], 0.0)
        own = np.argsort(spend, kind="stable")
        own_ties = np.flatnonzero(np.diff(spend[own], prepend=-1.0))

        def of_counts(counts: np.ndarray) -> float:
            drawn = counts[finite]
            both = (_concentrated(spend[order], drawn[order], of) for order, of in ((place, ties), (own, own_ties)))
            by_score, by_itself = both
            if not by_itself > 0:
                raise _one_spend(int(drawn.sum()))
            return by_score / by_itself

        return of_counts

    words = f"Share of the possible concentration of {label} that it captures."
    return Metric("spend_gini", compute, True, words, counted=counted)


def rmse(label: str, prediction: str) -> Metric:
    """Root of the mean squared error. Minimised by the conditional mean, which is what a forecast to add up must be."""

    def compute(labels: pd.DataFrame, predictions: pd.DataFrame) -> float:
        import numpy as np

        actual, forecast = aligned(labels, predictions, label, prediction)
        return float(np.sqrt(np.mean((forecast - actual) ** 2)))

    def counted(labels: pd.DataFrame, predictions: pd.DataFrame) -> Callable[[np.ndarray], float]:
        import numpy as np

        squares = (predictions[prediction].to_numpy(dtype=float) - labels[label].to_numpy(dtype=float)) ** 2
        finite = np.isfinite(squares)

        def of_counts(counts: np.ndarray) -> float:
            drawn = counts[finite]
            if not drawn.sum():
                raise EvidenceError("Nothing to judge", expected="at least one finite prediction", came="none drawn")
            return float(np.sqrt(np.dot(drawn, squares[finite]) / drawn.sum()))

        return of_counts

    words = f"Root mean squared error of {prediction} against {label}."
    return Metric(f"rmse_{label}", compute, False, words, counted=counted)


def mean_by_subject(
    name: str,
    by_subject: Callable[[pd.DataFrame, pd.DataFrame], pd.DataFrame],
    higher_is_better: bool,
    description: str,
    unit: tuple[str, ...] = (),
) -> Metric:
    """A metric that is the mean over subjects of what ``by_subject`` says of each, see ``contract.Metric``.

    A subject whose value is not finite does not count.
    """

    def compute(outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
        import numpy as np

        values = by_subject(outcomes, answers)
        value = values["value"].to_numpy(dtype=float)
        weight = values["weight"].to_numpy(dtype=float) if "weight" in values.columns else np.ones(value.size)
        is_known = np.isfinite(value) & np.isfinite(weight)
        if weight[is_known].sum() <= 0:
            raise EvidenceError("There is nothing to judge by", expected="subjects whose outcome is known", came="none")
        return float(np.average(value[is_known], weights=weight[is_known]))

    return Metric(name, compute, higher_is_better, description, by_subject, unit)


def aligned(
    labels: pd.DataFrame, predictions: pd.DataFrame, label: str, prediction: str
) -> tuple[np.ndarray, np.ndarray]:
    """Outcome and prediction as float arrays, rows without a finite prediction left out.

    Raises ``ModelError`` when the frames differ in length or no row is left.
    """
    import numpy as np

    if len(labels) != len(predictions):
        raise ModelError(
            "Labels and predictions are not aligned", expected=f"{len(labels)} predictions", came=str(len(predictions))
        )
    actual = labels[label].to_numpy(dtype=float)
    forecast = predictions[prediction].to_numpy(dtype=float, na_value=np.nan)
    finite = np.isfinite(forecast)
    if not finite.any():
        raise EvidenceError(
            "Nothing to judge", expected="at least one finite prediction", came=f"{len(labels)} rows, none"
        )
    return actual[finite], forecast[finite]


def _ranked(
    labels: pd.DataFrame, predictions: pd.DataFrame, prediction: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The places of the finite predictions from low to high, where each run of ties begins, and which are finite."""
    import numpy as np

    aligned(labels, predictions, labels.columns[0], prediction)
    score = predictions[prediction].to_numpy(dtype=float, na_value=np.nan)
    finite = np.isfinite(score)
    place = np.argsort(score[finite], kind="stable")
    ordered = score[finite][place]
    return place, np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])), finite


def _concentrated(spend: np.ndarray, drawn: np.ndarray, ties: np.ndarray) -> float:
    """The covariance, times the rows drawn, of spend and mid-rank, of rows from low to high drawn so many times."""
    import numpy as np

    counts, sums = np.add.reduceat(drawn, ties), np.add.reduceat(drawn * spend, ties)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    return float(np.dot(sums, ranks) - sums.sum() * (counts.sum() + 1) / 2)


def _one_spend(users: int) -> EvidenceError:
    return EvidenceError(
        "spend_gini cannot be computed",
        expected="users whose spend differs",
        came=f"{users} users who all spent the same",
        do="wait for a horizon with purchases",
    )


def _one_class(metric: str, positives: int, negatives: int) -> EvidenceError:
    return EvidenceError(
        f"{metric} cannot be computed",
        expected="at least one positive and one negative",
        came=f"{positives} positives, {negatives} negatives",
        do="wait for more history or choose a longer horizon",
    )
