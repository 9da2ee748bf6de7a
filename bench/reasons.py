"""What reasons for a million users take on two threads, beside XGBoost's own contributions for some of them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

USERS, SOME, THREADS = 1_000_000, 20_000, 2


def run() -> None:
    """Print one line."""
    import numpy as np

    from bench.tuning import shoppers
    from capflow_assets.definitions import STAGES
    from capflow_assets.learning.explanations import reasons
    from capflow_assets.learning.frames import matrix
    from capflow_assets.learning.tree_shap import by_xgboost, contributions

    model = STAGES.model("purchase_propensity").model
    examples = shoppers(model.columns)
    fitted: Any = model.challengers[0].make(model.params(threads=THREADS)).fit(examples)
    few = matrix(examples.columns, fitted.columns)
    state = few.sample(USERS, replace=True, random_state=0)
    contributions(fitted.trees, few)  # compiles
    ours, seconds = _timed(lambda: contributions(fitted.trees, state, THREADS))
    texts, of_words = _timed(lambda: reasons(state, ours, fitted.words))
    theirs, of_xgboost = _timed(lambda: by_xgboost(fitted.trees, state.head(SOME), THREADS))
    first = [np.abs(values).argmax(axis=1) for values in (ours[:SOME], theirs)]
    print(  # noqa: T201
        f"reasons: {len(texts):,} users, {seconds:.1f} s to weigh {len(fitted.columns)} columns and {of_words:.1f} s "
        f"for the words; XGBoost's own would take {of_xgboost * USERS / SOME:.0f} s to weigh them; the first reason "
        f"agrees for {100 * (first[0] == first[1]).mean():.2f} % of users"
    )


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    begun = time.perf_counter()
    result = work()
    return result, time.perf_counter() - begun
