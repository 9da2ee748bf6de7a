"""What a study of 20 trials takes beside the bare sum of its fits: purchase_propensity, 20,000 examples, 4 moments."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from capflow_assets.contract import Examples

USERS, MOMENTS, HORIZON_DAYS = 5_000, 4, 30
TRIALS = 20


@dataclass
class Timed:
    """An estimator whose fits are timed into ``seconds``."""

    estimator: Any
    seconds: list[float] = field(default_factory=list)

    def fit(self, examples: Examples) -> Timed:
        """Fit it."""
        begun = time.perf_counter()
        self.estimator.fit(examples)
        self.seconds.append(time.perf_counter() - begun)
        return self

    def figures(self, examples: Examples) -> pd.DataFrame:
        """Its answers without reasons."""
        answers: pd.DataFrame = self.estimator.figures(examples)
        return answers

    def predict(self, examples: Examples) -> pd.DataFrame:
        """Its answers."""
        answers: pd.DataFrame = self.estimator.predict(examples)
        return answers

    def parameters(self) -> dict[str, Any]:
        """Its parameters."""
        parameters: dict[str, Any] = self.estimator.parameters()
        return parameters


def run() -> None:
    """Print one line."""
    from capflow_assets.definitions import STAGES
    from capflow_assets.learning.folds import folds_in_time
    from capflow_assets.learning.tuning import TuningBudget, tune

    model = STAGES.model("purchase_propensity").model
    folds = folds_in_time(shoppers(model.columns), HORIZON_DAYS)
    fits: list[float] = []
    candidate = model.challengers[0]
    begun = time.perf_counter()
    study = tune(
        model.params(),
        lambda params: Timed(candidate.make(params), fits),
        model.metric,
        folds,
        budget=TuningBudget(TRIALS, seconds=3600),
    )
    seconds, states = time.perf_counter() - begun, [trial.state for trial in study.trials]
    ended = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
    print(  # noqa: T201
        f"tuning: {len(states)} trials ({ended}) in {seconds:.1f} s, {len(fits)} fits alone {sum(fits):.1f} s: "
        f"{seconds / sum(fits):.2f} times as long"
    )


def shoppers(columns: tuple[str, ...]) -> Examples:
    """Users of whom those who came lately and often buy again."""
    from datetime import UTC, datetime, timedelta

    import numpy as np
    import pandas as pd

    from capflow_assets.contract import Examples

    random, rows = np.random.default_rng(0), USERS * MOMENTS
    index = pd.Index([f"u{number % USERS:05d}" for number in range(rows)], name="user_id")
    frame = pd.DataFrame({name: random.gamma(2.0, 30.0, rows) for name in columns}, index)
    odds = 1.5 - frame["recency_days"] / 40 + frame["visits"] / 100 + random.normal(size=rows)
    bought = pd.DataFrame({"bought": (random.random(rows) < 1 / (1 + np.exp(-odds))).astype(float)}, index)
    moments = tuple(datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=HORIZON_DAYS * place) for place in range(MOMENTS))
    return Examples(frame.assign(moment=np.arange(rows) // USERS), bought, moments=moments)
