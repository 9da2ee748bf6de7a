"""When a subject comes next by its gaps alone: a renewal of its own ones (``learning.renewals``), and the due day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from capflow_assets.contract import Examples, Horizon
from capflow_assets.learning.time_estimators import TIME_TYPES, require_came, time_answers, times_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from capflow_assets.learning.renewals import Gaps, Renewal
    from capflow_assets.learning.survival import LogLogistic

GAP_COLUMNS = ("visits", "recency_days", "tenure_days", "gap_days_median", "gap_days_cv")


class RenewalTime:
    """Own gaps, drawn towards everybody's, given the wait; it reads ``GAP_COLUMNS``."""

    saved_types: ClassVar[tuple[str, ...]] = TIME_TYPES

    def __init__(self, params: Horizon) -> None:
        self.params = params
        self.renewal: Renewal | None = None

    def fit(self, examples: Examples) -> RenewalTime:
        """Learn how far own gaps count, and who does not come again.

        Raises:
            EvidenceError: hardly anybody came.
        """
        from capflow_assets.learning.frames import in_order
        from capflow_assets.learning.renewals import fit_renewal

        examples = in_order(examples)  # a sample is drawn by place
        is_event, days = times_of(examples, self.params)
        require_came(is_event)
        self.renewal = fit_renewal(_gaps(examples), is_event, days, self.params.seed)
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """The answers of ``time_answers``, with the wait beside the usual gap."""
        import numpy as np

        from capflow_assets.learning.explanations import singular
        from capflow_assets.learning.frames import fitted

        renewal, gaps, answers = fitted(self.renewal, "renewal"), _gaps(examples), self.figures(examples)
        usual = np.exp(renewal.usual(gaps)[0])
        words = [
            singular(
                f"has not bought for {waited:.0f} days, usual gap {gap:.0f} "
                f"({'by ' + f'{count:.0f} gaps of its own' if count else 'as everybody'})"
            )
            for waited, gap, count in zip(gaps.waited, usual, gaps.count, strict=True)
        ]
        return answers.assign(reasons=words)

    def figures(self, examples: Examples) -> pd.DataFrame:
        """As ``predict``, without the reasons."""
        from capflow_assets.learning.frames import fitted

        renewal, gaps = fitted(self.renewal, "renewal"), _gaps(examples)
        return time_answers(
            examples,
            self.params,
            lambda days: renewal.survival(gaps, days),
            lambda share: renewal.quantile(gaps, share),
        )

    def parameters(self) -> dict[str, Any]:
        """The laws of the gaps."""
        return {} if self.renewal is None else self.renewal.describe()


class DueDate:
    """A baseline: the last visit plus the own median gap, everybody's where there is none; it reads ``GAP_COLUMNS``.

    Who is overdue is expected to take as long again as the wait so far.
    """

    saved_types: ClassVar[tuple[str, ...]] = TIME_TYPES

    def __init__(self, params: Horizon) -> None:
        self.params = params
        self.gap: float | None = None
        self.times: LogLogistic | None = None

    def fit(self, examples: Examples) -> DueDate:
        """Learn everybody's median gap, and how times spread around the due day."""
        import numpy as np

        from capflow_assets.learning.survival import fit_log_logistic

        is_event, days = times_of(examples, self.params)
        medians = _gaps(examples).median
        medians = medians[medians > 0]
        self.gap = float(np.median(medians)) if medians.size else float(self.params.horizon_days)
        self.times = fit_log_logistic(is_event, days, self._log_days(examples), has_slope=False)
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """The answers of ``time_answers``."""
        from capflow_assets.learning.frames import fitted

        times, log_days = fitted(self.times, "due date"), self._log_days(examples)
        answers = time_answers(
            examples,
            self.params,
            lambda days: times.survival(log_days, days),
            lambda share: times.quantile(log_days, share),
        )
        return answers.assign(reasons="the last visit and the usual gap")

    def parameters(self) -> dict[str, Any]:
        """Everybody's median gap, and the spread."""
        return {"gap_days": self.gap, "times": None if self.times is None else dict(vars(self.times))}

    def _log_days(self, examples: Examples) -> np.ndarray:
        import numpy as np

        from capflow_assets.learning.frames import fitted

        gaps = _gaps(examples)
        gap = np.where(gaps.median > 0, gaps.median, fitted(self.gap, "due date"))
        days = np.where(gaps.waited < gap, gap - gaps.waited, gaps.waited)
        return np.log(np.maximum(days, 0.5))


def _gaps(examples: Examples) -> Gaps:
    import numpy as np

    from capflow_assets.learning.frames import matrix
    from capflow_assets.learning.renewals import Gaps

    state = matrix(examples.columns, GAP_COLUMNS)
    waited = state["recency_days"].fillna(state["tenure_days"]).fillna(0.0)
    median, variation = state["gap_days_median"].fillna(0.0), state["gap_days_cv"].fillna(0.0)
    count = np.where(median > 0, np.maximum(state["visits"].fillna(0.0) - 1, 0.0), 0.0)
    return Gaps(count, median.to_numpy(), variation.to_numpy(), np.maximum(waited.to_numpy(), 0.0))
