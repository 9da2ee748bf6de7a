"""Who comes in the horizon: by the stage of the user's life, or by recency alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Examples, Horizon
from capflow_assets.errors import EvidenceError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

ACTIVE, NEVER_DAYS = "is_active", 1e6


class LifecycleStage:
    """Everybody's usual gap, of each stage and kind of its users the share who came, and what became of the stages."""

    def __init__(self, params: Horizon) -> None:
        self.params = params
        self.everybody_days: float | None = None
        self.stage_shares: np.ndarray | None = None
        self.cell_shares: np.ndarray | None = None
        self.later: np.ndarray | None = None

    def fit(self, examples: Examples) -> LifecycleStage:
        """Count who came of each stage, and its users' stages a moment later.

        Raises ``EvidenceError`` where everybody came, or nobody did.
        """
        import numpy as np

        from capflow_assets.learning.lifecycle import everybodys_gap, shrunk_shares, standing, transitions

        self.everybody_days = everybodys_gap(examples.columns)
        users = standing(examples.columns, self.everybody_days)
        rows = examples.outcomes
        is_active = np.empty(0) if rows is None else (rows[ACTIVE].to_numpy(dtype=float) > 0).astype(float)
        if not 0 < is_active.sum() < len(is_active):
            expected, received = (
                "users who came in past horizons and users who did not",
                f"{is_active.sum():.0f} who came",
            )
            raise EvidenceError(
                "Stages cannot be told apart", expected=expected, came=f"{received} of {len(is_active)}"
            )
        cells = users.cells(self.params.horizon_days)
        self.stage_shares, self.cell_shares = shrunk_shares(users.stage, cells, is_active)
        columns = examples.columns
        moments = columns["moment"].to_numpy() if "moment" in columns.columns else np.zeros(len(columns), dtype="int64")
        self.later = transitions(columns.index, moments, users.stage)
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """``score`` (the chance to come in the horizon), ``stage``, ``likely_stage`` (a horizon later), ``reasons``."""
        import numpy as np
        import pandas as pd

        from capflow_assets.learning.frames import fitted
        from capflow_assets.learning.lifecycle import STAGES, reasons, standing

        shares, later = fitted(self.cell_shares, "lifecycle_stage"), fitted(self.later, "lifecycle_stage")
        users = standing(examples.columns, fitted(self.everybody_days, "lifecycle_stage"))
        names = np.array(STAGES, dtype=object)
        columns = {
            "score": users.chances(shares, self.params.horizon_days),
            "stage": names[users.stage],
            "likely_stage": names[later.argmax(axis=1)[users.stage]],
            "reasons": reasons(users),
        }
        return pd.DataFrame(columns, index=examples.columns.index)

    def parameters(self) -> dict[str, Any]:
        """Everybody's usual gap, the share who came by stage, and the chance of each stage a moment later."""
        from capflow_assets.learning.lifecycle import STAGES

        if self.stage_shares is None or self.later is None:
            return {}
        by_stage = dict(zip(STAGES, (row.tolist() for row in self.later), strict=True))
        return {
            "usual_gap_days": self.everybody_days,
            "share_who_came": dict(zip(STAGES, self.stage_shares.tolist(), strict=True)),
            "stage_later": {stage: dict(zip(STAGES, row, strict=True)) for stage, row in by_stage.items()},
        }


class RecencyAlone:
    """The baseline: whoever came last comes first."""

    def __init__(self, params: Horizon) -> None:
        self.params = params

    def fit(self, examples: Examples) -> RecencyAlone:
        """Nothing to learn."""
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """``score``: minus the days since the last visit; everybody is ``unknown``."""
        import pandas as pd

        from capflow_assets.learning.frames import matrix

        days = matrix(examples.columns, ("recency_days",))["recency_days"].fillna(NEVER_DAYS)
        columns = {
            "score": -days,
            "stage": "unknown",
            "likely_stage": "unknown",
            "reasons": "days since the last visit",
        }
        return pd.DataFrame(columns, index=examples.columns.index)

    def parameters(self) -> dict[str, Any]:
        """None."""
        return {}
