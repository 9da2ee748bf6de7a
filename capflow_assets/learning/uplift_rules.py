"""How models of effects are judged: by the Qini coefficient, and by what else must hold before one is promoted.

Frames of outcomes are indexed by the subject's key, of which ``lot`` is the level that drew the groups (a campaign).
Arrays and formulas are in ``learning.qini``; numpy is imported when a figure is computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from capflow_assets.contract import Metric, Rule

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class UpliftJudge:
    """The metric, the rules and the plot of a model of the effect on ``outcome``.

    ``treatment`` is the outcomes' column that says who was treated, ``unit`` those levels of the key whose rows a
    resample draws together.
    """

    outcome: str
    treatment: str
    lot: str
    unit: tuple[str, ...]

    @property
    def metric(self) -> Metric:
        """The Qini coefficient of ``score``, in outcome per subject."""
        words = f"Extra {self.outcome} that treating the best by score gains beyond as many at random, whatever share."
        return Metric("qini", self.qini, True, words, unit=self.unit)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Sure to beat a random order; groups that a fair draw could have made; what it gains is told."""
        gain = f"the {self.outcome} gained per subject by treating the better half"
        return (
            Rule("beats_random", self.surely, "the lower end of its Qini's interval", at_least=0, otherwise="keep"),
            Rule("balanced", self.imbalance, "the difference of the groups beyond chance", at_most=0.1),
            Rule("targeting_gain", self.gain_of_half, gain, at_least=0, otherwise="tell"),
        )

    def qini(self, outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
        """The Qini coefficient; 0 for a random order."""
        from capflow_assets.learning.qini import qini_coefficient

        return qini_coefficient(*self._arrays(outcomes, answers))

    def surely(self, outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
        """The lower end of the Qini coefficient's 95 % interval."""
        from capflow_assets.learning.intervals import score_with_interval

        return score_with_interval(self.metric, outcomes, answers, seed=0).low

    def imbalance(self, outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
        """How far the groups differ in what was to be expected of them anyway, beyond chance, in deviations."""
        from capflow_assets.learning.qini import prognostic_imbalance

        _, treated, anyway, lot = self._arrays(outcomes, answers, "response_if_not")
        return prognostic_imbalance(anyway, treated, lot)

    def gain_of_half(self, outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
        """The outcome per subject that treating the better half brings beyond treating half at random."""
        from capflow_assets.learning.qini import targeting_gain

        return targeting_gain(*self._arrays(outcomes, answers), share=0.5)

    def plot(self, outcomes: pd.DataFrame, answers: pd.DataFrame) -> Figure:
        """The Qini curve: extra outcome by the share of subjects who are treated, the best by score first."""
        from capflow_assets.learning.plots import qini_plot
        from capflow_assets.learning.qini import qini_curve

        return qini_plot(*qini_curve(*self._arrays(outcomes, answers)), self.outcome)

    def _arrays(
        self, outcomes: pd.DataFrame, answers: pd.DataFrame, column: str = "score"
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Outcome, treatment, the answers' column and lot, of the rows where that is finite."""
        import numpy as np

        from capflow_assets.learning.metrics import aligned

        is_told = np.isfinite(answers[column].to_numpy(dtype=float, na_value=np.nan))
        y, predicted = aligned(outcomes, answers, self.outcome, column)
        treated = outcomes[self.treatment].to_numpy(dtype=float)[is_told]
        return y, treated, predicted, outcomes.index.get_level_values(self.lot).to_numpy()[is_told]
