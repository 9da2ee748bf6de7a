"""Users' purchase histories as the models of buying and leaving read them, and the search for a model's parameters.

A history is three numbers: ``x`` repeat purchases, the last of them ``t_x`` after the first purchase, watched until
``T`` after it, in the same unit of time. Users with the same three count as one pattern with a weight, which makes a
fit of a million users cost what its distinct patterns cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from capflow_assets.errors import EvidenceError, ModelError

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

# The far ends of exp(±9) stand for "all users alike" and "nobody leaves"; beyond them the likelihood is flat.
LOG_BOUND = 9.0
COARSE_PATTERNS = 3_000
Numbers = npt.ArrayLike
# The negative mean log-likelihood at the logarithms of the parameters, and its gradient there.
Likelihood = Callable[[np.ndarray], tuple[float, np.ndarray]]


def patterns(model: str, x: Numbers, t_x: Numbers, T: Numbers, weights: Numbers | None = None) -> pd.DataFrame:
    """One row per distinct history, in order: ``x``, ``t_x``, ``T`` and ``weight``, how many users have it.

    ``weights`` says how many users share a history (1 each by default); ``model`` is named where it cannot be fitted.

    Raises ``EvidenceError`` when nobody bought twice (a rate cannot be told from a departure then), and ``ModelError``
    when a history is impossible.
    """
    repeats, last, watched = floats(x, t_x, T)
    frame = pd.DataFrame({"x": repeats, "t_x": last, "T": watched})
    frame["weight"] = 1.0 if weights is None else np.asarray(weights, dtype=float)
    is_possible = np.isfinite(frame).all(axis=1) & (repeats >= 0) & (last >= 0) & (last <= watched)
    if not is_possible.all():
        row = frame[~is_possible].iloc[0]
        raise ModelError(
            "A purchase history is impossible",
            expected="0 <= x and 0 <= t_x <= T",
            came=f"x={row['x']:g}, t_x={row['t_x']:g}, T={row['T']:g} ({int((~is_possible).sum())} such rows)",
        )
    if not ((repeats > 0) & (frame["weight"] > 0)).any():
        raise EvidenceError(
            f"{model} cannot be fitted",
            expected="users who bought more than once",
            came=f"{len(frame)} users, none with a second purchase day",
            do="wait for more history",
        )
    return frame.groupby(["x", "t_x", "T"], sort=True)["weight"].sum().reset_index()


def typical_time(histories: pd.DataFrame) -> float:
    """The mean ``T``: with it as the unit of time, the logarithms of all parameters of a model are near 0."""
    mean = float(np.average(histories["T"], weights=histories["weight"]))
    return mean if mean > 0 else 1.0


def most_likely(
    model: str,
    likelihood_of: Callable[[pd.DataFrame], Likelihood],
    histories: pd.DataFrame,
    starts: Iterable[np.ndarray],
) -> OptimizeResult:
    """The best parameters, as logarithms, of a search from the starts.

    All starts are tried on a part of the patterns, where there are many; the best of them goes on with all.

    Raises ``ModelError`` when no search ends at a finite likelihood.
    """
    part = likelihood_of(histories.iloc[:: -(-len(histories) // COARSE_PATTERNS)])
    best = min((_search(part, start) for start in starts), key=_value)
    if len(histories) > COARSE_PATTERNS:
        best = _search(likelihood_of(histories), best.x)
    if not np.isfinite(best.fun):
        raise ModelError(f"{model} found no best parameters", expected="a finite likelihood", came=str(best.message))
    return best


def _search(likelihood: Likelihood, start: np.ndarray) -> OptimizeResult:
    from scipy.optimize import minimize

    bounds, options = [(-LOG_BOUND, LOG_BOUND)] * len(start), {"maxiter": 500, "ftol": 1e-14, "gtol": 1e-8}
    return minimize(likelihood, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)


def _value(search: OptimizeResult) -> float:
    return float(search.fun) if np.isfinite(search.fun) else float("inf")


def floats(x: Numbers, t_x: Numbers, T: Numbers) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Histories as arrays of one shape."""
    repeats, last, watched = np.broadcast_arrays(*(np.asarray(values, dtype=float) for values in (x, t_x, T)))
    return repeats, last, watched
