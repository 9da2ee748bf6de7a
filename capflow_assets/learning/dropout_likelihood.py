"""The likelihood of users who buy in a rhythm and leave after a purchase: the BG/NBD family with Erlang-k gaps.

Platzer & Reutterer (2016), "Ticking Away the Moments: Timing Regularity Helps to Better Predict Customer Activity",
Marketing Science 35(5), 779-799, and its closed-form relative (M)BG/CNBD-k, of which BG/NBD is ``k = 1`` without
leaving at the first purchase. Every k-th event of a Poisson process is a purchase; its rate is drawn from
Gamma(r, alpha), and after each purchase a user leaves for good with a chance drawn from Beta(a, b).

With ``s = r + k x``, ``y = (T - t_x) / (alpha + T)`` and ``d`` = 1 where users may leave at their first purchase:

    L = Gamma(s) / Gamma(r) alpha^r B(a, b + x + d) / B(a, b) (active + left)
    active = (alpha + T)^-s sum over j < k of s (s + 1) … (s + j - 1) y^j / j!
    left = [d or x > 0] a / (b + x - 1 + d) (alpha + t_x)^-s

times ``prod(gaps)^(k - 1) / (k - 1)!^x``, which no other parameter than k moves.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import betaln, digamma, gammaln


class DropoutLikelihood:
    """The negative mean of log L and its gradient, over patterns of histories in units of ``unit``."""

    def __init__(self, histories: pd.DataFrame, unit: float, k: int = 1, *, leaves_at_first: bool) -> None:
        self.k, self.leaves_at_first = k, leaves_at_first
        self.t_x = histories["t_x"].to_numpy() / unit
        self.T = histories["T"].to_numpy() / unit
        self.x = histories["x"].to_numpy()
        self.weight = histories["weight"].to_numpy()
        self.users = float(self.weight.sum())
        # Gamma functions depend on x alone, of which there are few different values.
        self.repeats, place = np.unique(self.x, return_inverse=True)
        self.mass = np.bincount(place, weights=self.weight)
        self.chances = self.x + int(leaves_at_first)
        # Densities of k x events carry 1 / unit^(k x); this brings the likelihood back to the caller's unit of time.
        self.offset = k * float(np.sum(self.weight * self.x) * np.log(unit))

    def total(self, value: float) -> float:
        """The log-likelihood of all users in the caller's unit of time, of what a call returned."""
        return -value * self.users - self.offset

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """The value and the gradient at the logarithms of r, alpha, a and b."""
        r, alpha, a, b = np.exp(theta)
        events = r + self.k * self.x
        waiting, by_events, by_alpha = open_gap(self.k, events, (self.T - self.t_x) / (alpha + self.T))
        active = np.log(waiting) - events * np.log(alpha + self.T)
        either = np.logaddexp(active, self._left(alpha, a, b, events))
        value = np.dot(self.weight, either) + np.dot(self.mass, self._shared(r, alpha, a, b))
        p_active = np.exp(active - either)
        gradient = self._gradient(r, alpha, a, b, p_active, by_events / waiting, by_alpha / waiting)
        return -value / self.users, -gradient * np.exp(theta) / self.users

    def _left(self, alpha: float, a: float, b: float, events: np.ndarray) -> np.ndarray:
        left = np.log(a) - np.log(b + np.maximum(self.chances, 1) - 1) - events * np.log(alpha + self.t_x)
        return np.where(self.chances > 0, left, -np.inf)

    def _shared(self, r: float, alpha: float, a: float, b: float) -> np.ndarray:
        events, stayed = self.k * self.repeats, self.repeats + int(self.leaves_at_first)
        return gammaln(r + events) - gammaln(r) + r * np.log(alpha) + betaln(a, b + stayed) - betaln(a, b)

    def _gradient(
        self,
        r: float,
        alpha: float,
        a: float,
        b: float,
        p_active: np.ndarray,
        by_events: np.ndarray,
        by_gap: np.ndarray,
    ) -> np.ndarray:
        weight, stayed = self.weight, self.repeats + int(self.leaves_at_first)
        watched, last = alpha + self.T, alpha + self.t_x
        leaving = weight * (1 - p_active)
        both = digamma(a + b) - digamma(a + b + stayed)
        by_r = np.dot(self.mass, digamma(r + self.k * self.repeats) - digamma(r) + np.log(alpha))
        by_r += np.dot(weight * p_active, by_events - np.log(watched)) - np.dot(leaving, np.log(last))
        events = r + self.k * self.x
        by_alpha = self.users * r / alpha
        by_alpha -= np.dot(weight * p_active, (events + by_gap) / watched) + np.dot(leaving, events / last)
        by_a = np.dot(self.mass, both) + leaving.sum() / a
        by_b = np.dot(self.mass, both + digamma(b + stayed) - digamma(b))
        by_b -= np.sum(leaving / (b + np.maximum(self.chances, 1) - 1))
        return np.array([by_r, by_alpha, by_a, by_b])


def open_gap(k: int, events: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The sum in ``active``, over ``events`` s and ``share`` y, its derivative by s, and the sum weighted by j.

    The sum is 1 where k is 1: a Poisson process does not remember how long it has been still.
    """
    term, total = np.ones(events.shape), np.ones(events.shape)
    growth, by_events, weighted = (np.zeros(events.shape) for _ in range(3))
    for j in range(1, k):
        growth = growth + 1 / (events + j - 1)
        term = term * (events + j - 1) * share / j
        total, by_events, weighted = total + term, by_events + term * growth, weighted + j * term
    return total, by_events, weighted
