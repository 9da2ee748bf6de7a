"""How well scores order people by what a treatment changes: the Qini curve, its coefficient, and the value of a policy.

Nobody is seen both treated and not, so effects are read off groups: those treated against those held out by chance.
``lot`` says which draw decided a row's group (a campaign): its **propensity** e is the share treated among its rows.
Rows weigh 1 / e if treated and 1 / (1 - e) if held out, so that both groups stand for all rows of all lots, however
unequal they are (Horvitz & Thompson 1952). Rows of a lot without both groups weigh nothing.

References: N. J. Radcliffe, "Using control groups to target on predicted lift", Direct Marketing Analytics Journal 1
(2007); P. Gutierrez, J.-Y. Gérardy, "Causal inference and uplift modelling", PMLR 67 (2016), section 4.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from capflow_assets.errors import EvidenceError


class QiniCurve(NamedTuple):
    """What is gained (``gain``, outcome per row) by treating the best ``share`` of the rows; both from 0 on."""

    share: np.ndarray
    gain: np.ndarray


def propensity(treated: np.ndarray, lot: np.ndarray) -> np.ndarray:
    """The share treated among the rows of each row's lot.

    >>> propensity(np.array([1, 1, 0, 0]), np.array(["a", "a", "a", "b"])).round(2).tolist()
    [0.67, 0.67, 0.67, 0.0]
    """
    _, place = np.unique(lot, return_inverse=True)
    return (np.bincount(place, treated) / np.maximum(np.bincount(place), 1))[place]


def group_weights(treated: np.ndarray, lot: np.ndarray) -> np.ndarray:
    """1 / e of the treated and 1 / (1 - e) of those held out; 0 in a lot that lacks either.

    >>> group_weights(np.array([1, 1, 1, 0, 1]), np.array(["a", "a", "a", "a", "b"])).round(2).tolist()
    [1.33, 1.33, 1.33, 4.0, 0.0]
    """
    share = propensity(treated, lot)
    is_compared = (share > 0) & (share < 1)
    chance = np.where(treated > 0, share, 1 - share)
    return np.where(is_compared, 1 / np.where(is_compared, chance, 1.0), 0.0)


def qini_curve(outcome: np.ndarray, treated: np.ndarray, score: np.ndarray, lot: np.ndarray) -> QiniCurve:
    """The gain of treating the rows with the highest scores, by their share.

    At each depth it is the difference of the two groups' weighted mean outcomes above the depth, times the share of
    all treated that lie above it: Radcliffe's ``R_t - R_c N_t / N_c``, over the number treated. Rows of equal score
    come in together, so their order is irrelevant, and one score for all is the straight line of a random order. Where
    a group is absent above a depth, the line runs straight on to the next depth that has both.

    Raises ``EvidenceError`` where no lot has both groups.
    """
    weight = group_weights(treated, lot)
    kept = weight > 0
    if not kept.any():
        raise _no_comparison(treated, lot)
    order = np.argsort(-score[kept], kind="stable")
    weight, is_treated, y = (values[kept][order] for values in (weight, treated > 0, outcome))
    last_of_ties = np.append(np.diff(score[kept][order]) != 0, True)
    t, c = (np.cumsum(weight * group)[last_of_ties] for group in (is_treated, ~is_treated))
    t_sum, c_sum = (np.cumsum(weight * group * y)[last_of_ties] for group in (is_treated, ~is_treated))
    both = (t > 0) & (c > 0)
    t, c, t_sum, c_sum = t[both], c[both], t_sum[both], c_sum[both]
    gain = t / t[-1] * (t_sum / t - c_sum / c)
    return QiniCurve(np.append(0.0, (t + c) / (t[-1] + c[-1])), np.append(0.0, gain))


def qini_coefficient(outcome: np.ndarray, treated: np.ndarray, score: np.ndarray, lot: np.ndarray) -> float:
    """The area between the Qini curve and the straight line of a random order, in outcome per row.

    It is what treating the best of the rows gains beyond treating as many at random, averaged over how many are
    treated. 0 for a random order, below 0 for a worse one. Not divided by that of a perfect order, which is unknown
    for outcomes that are no yes or no.

    Raises ``EvidenceError`` like ``qini_curve``.
    """
    return area_beyond_random(*qini_curve(outcome, treated, score, lot))


def area_beyond_random(share: np.ndarray, gain: np.ndarray) -> float:
    """The area between a Qini curve and the straight line to its end."""
    return float(np.trapezoid(gain, share) - gain[-1] / 2)


def policy_value(outcome: np.ndarray, treated: np.ndarray, chosen: np.ndarray, lot: np.ndarray) -> float:
    """The mean outcome to expect if exactly the ``chosen`` rows were treated.

    The weighted mean over the rows that happened to get what the policy says, by inverse propensity and normalised
    (A. Swaminathan, T. Joachims, NeurIPS 2015, eq. 8). NaN where no row did.
    """
    agrees = group_weights(treated, lot) * ((treated > 0) == chosen)
    return float(np.dot(agrees, outcome) / agrees.sum()) if agrees.any() else float("nan")


def targeting_gain(outcome: np.ndarray, treated: np.ndarray, score: np.ndarray, lot: np.ndarray, share: float) -> float:
    """What treating the best ``share`` of the rows brings beyond treating as many of them at random, per row."""
    chosen = np.zeros(len(score), dtype=bool)
    chosen[np.argsort(-score, kind="stable")[: round(share * len(score))]] = True
    policies = (chosen, np.ones_like(chosen), np.zeros_like(chosen))
    best, everybody, nobody = (policy_value(outcome, treated, policy, lot) for policy in policies)
    return best - (share * everybody + (1 - share) * nobody)


def prognostic_imbalance(prognosis: np.ndarray, treated: np.ndarray, lot: np.ndarray) -> float:
    """How far treated and held out differ in what was to be expected of them anyway, beyond what chance does.

    The difference of the weighted means of the ``prognosis`` in standard deviations, less twice its standard error
    under a fair draw; 0 where that is more. Above 0.1 the groups were hardly drawn by chance. The prognosis is of all
    balances the one that matters to an effect (Stuart, Lee & Leacy, Journal of Clinical Epidemiology 66, 2013).
    """
    weight = group_weights(treated, lot)
    first, second = weight * (treated > 0), weight * (treated <= 0)
    spread = float(np.std(prognosis))
    if not first.any() or not second.any() or spread == 0:
        return 0.0
    difference = abs(np.average(prognosis, weights=first) - np.average(prognosis, weights=second)) / spread
    chance = np.sqrt(sum((group**2).sum() / group.sum() ** 2 for group in (first, second)))
    return float(max(0.0, difference - 2 * chance))


def _no_comparison(treated: np.ndarray, lot: np.ndarray) -> EvidenceError:
    return EvidenceError(
        "What a treatment changes cannot be seen",
        expected="a campaign with users treated and users held out by chance",
        came=f"{len(np.unique(lot))} campaigns, {int((treated > 0).sum())} rows treated, "
        f"{int((treated <= 0).sum())} held out",
        do="hold a share of each campaign's users out by chance",
    )
