"""Groups of alike rows: a mixture of Gaussians, as many as the Bayesian information criterion says.

Components have variances of their own and no correlations (G. McLachlan, D. Peel, "Finite Mixture Models", 2000), which
a centre per column describes whole. The number is that of the least BIC (G. Schwarz, Ann. Statist. 1978) among those
whose smallest group is no splinter. The rest is arrays: nothing but numbers has to be kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from capflow_assets.errors import EvidenceError

# A group of fewer is a splinter.
LEAST_SHARE = 0.03
# Added to each variance of standardised columns, so that equal rows (those who came once) make no spike.
FLOOR = 0.1
CLIPPED_AT = 3.0
MOST_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Scale:
    """How columns are made alike: the middle and spread of each, and which of them vary at all."""

    middle: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> Scale:
        """The median and standard deviation of each column, nulls left out; a spread of 0 where it does not vary.

        >>> Scale.of(np.array([[1.0, np.nan, 5.0], [3.0, np.nan, 5.0]])).spread.tolist()
        [1.0, 0.0, 0.0]
        """
        filled = [column[np.isfinite(column)] for column in values.T]
        middle = np.array([np.median(column) if column.size else 0.0 for column in filled])
        spread = np.array([column.std() if column.size else 0.0 for column in filled])
        return cls(middle, np.where(spread > 1e-9 * np.maximum(1.0, np.abs(middle)), spread, 0.0))

    def standardised(self, values: np.ndarray) -> np.ndarray:
        """Spreads from the middle, cut at ±3; 0 where a value is null or its column does not vary."""
        divided = (values - self.middle) / np.where(self.spread > 0, self.spread, 1.0)
        known = np.where(np.isfinite(divided) & (self.spread > 0), divided, 0.0)
        return np.clip(known, -CLIPPED_AT, CLIPPED_AT)


@dataclass(frozen=True, slots=True)
class Mixture:
    """The groups: the share of rows in each, its centre and its variances (one row per group)."""

    shares: np.ndarray
    centres: np.ndarray
    variances: np.ndarray

    def groups(self, standardised: np.ndarray) -> np.ndarray:
        """The likeliest group of each row."""
        # Row by row and without a matrix product, whose last bits hang on the row's place.
        chances = [
            np.log(share) - 0.5 * ((standardised - centre) ** 2 / variance + np.log(variance)).sum(axis=1)
            for share, centre, variance in zip(self.shares, self.centres, self.variances, strict=True)
        ]
        return np.argmax(np.stack(chances), axis=0)


def mixture(standardised: np.ndarray, most_groups: int, seed: int) -> Mixture:
    """The mixture of 2 to ``most_groups`` groups with the least BIC; of many rows it is fitted to a sample.

    Raises:
        EvidenceError: fewer rows than twenty, or all of them alike.
    """
    rows = standardised[:, standardised.std(axis=0) > 0] if len(standardised) else standardised
    if len(rows) < 20 or not rows.shape[1]:
        raise EvidenceError(
            "There are no groups to tell apart", expected="twenty rows that differ", came=f"{len(rows)} rows"
        )
    candidates = [_fitted(standardised, count, seed) for count in range(2, most_groups + 1)]
    whole = [one for one in candidates if one[1].shares.min() >= LEAST_SHARE]
    return min(whole or candidates[:1], key=lambda one: one[0])[1]


def agreement(standardised: np.ndarray, fitted: Mixture, seed: int) -> float:
    """How well the groups come back where other rows are drawn: the adjusted Rand index, 1 = the same, 0 = by chance.

    The same number of groups is fitted to one random half of the rows, and both answer for the other half (L. Hubert,
    P. Arabie, J. Classif. 1985, eq. 5).
    """
    from sklearn.metrics import adjusted_rand_score

    order = np.random.default_rng(seed).permutation(len(standardised))
    one, other = np.array_split(order, 2)
    again = _fitted(standardised[one], len(fitted.shares), seed)[1]
    return float(adjusted_rand_score(fitted.groups(standardised[other]), again.groups(standardised[other])))


def _fitted(standardised: np.ndarray, count: int, seed: int) -> tuple[float, Mixture]:
    """The BIC of a mixture of so many groups, and the mixture."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    rows = standardised
    if len(rows) > MOST_ROWS:
        rows = rows[np.random.default_rng(seed).permutation(len(rows))[:MOST_ROWS]]
    model = GaussianMixture(count, covariance_type="diag", reg_covar=FLOOR, n_init=3, max_iter=100, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the best so far will do
        model.fit(rows)
    return float(model.bic(rows)), Mixture(model.weights_, model.means_, model.covariances_)
