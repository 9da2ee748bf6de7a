"""What a customer's TOML says in ``[retraining]``: when its models are trained again, and when they are not."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from capflow_assets.customers.table_inputs import Declared


class Retraining(Declared):
    """When a customer's models are trained again: after ``k`` of the last ``n`` checks over ``psi``, and by cause."""

    psi: float = Field(default=0.25, gt=0, le=10, description="Population stability index that counts as drift.")
    k: int = Field(default=2, ge=1, le=50)
    n: int = Field(default=3, ge=1, le=50)
    cooldown_days: int = Field(default=7, ge=0, le=365, description="Days after a training without another.")
    age_days: int = Field(default=365, ge=1, le=3650, description="Days after which a model is trained again anyway.")
    decay_pct: float = Field(default=2.0, ge=0, le=100, description="Live loss of the metric that counts, in per cent.")
    calibration_pct: float = Field(default=10.0, gt=0, le=1000, description="By how much chances may be off.")
    least_importance_pct: float = Field(
        default=5.0, ge=0, le=100, description="Drift of columns with less of the model's weight does not matter."
    )
    most_a_night: int = Field(default=10, ge=0, le=1000, description="Retrainings that one night may ask for.")
    shadow_nights: int = Field(
        default=3, ge=0, le=30, description="Scorings after a promotion that the former champion answers too; 0 is off."
    )
    cost: float | None = Field(default=None, ge=0, description="What a retraining costs; goes with gain_value.")
    gain_value: float | None = Field(default=None, ge=0, description="What a unit of the metric is worth a night.")

    @model_validator(mode="after")
    def _k_of_n(self) -> Retraining:
        if self.k > self.n:
            raise ValueError(f"k at most n, which is {self.n}; k is {self.k}")
        if (self.cost is None) != (self.gain_value is None):
            raise ValueError("cost and gain_value together, or neither; came one of them")
        return self

    def rules(self) -> dict[str, Any]:
        """The arguments of ``monitoring.policy.Rules``."""
        return self.model_dump(exclude={"psi", "shadow_nights"})
