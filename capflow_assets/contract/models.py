"""What a model asks, answers and is judged by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import pandas as pd

from capflow_assets.contract.tables import Readiness, Scalar


@dataclass(frozen=True, slots=True)
class Needs:
    """The evidence that a model asks of a customer before it is trained.

    ``users`` are those known at the newest moment whose horizon is over, ``positives`` those of them with the outcome
    in that horizon. ``evidence`` is the least value of further measures of validation/evidence, by their names in
    ``learning.measures``: ``{"negatives": 30, "attribute_fill_share": 0.5}``.
    """

    tables: tuple[str, ...]
    history_days: int = 0
    users: int = 0
    positives: int = 0
    evidence: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a model asks of one customer: its needs, and as much of the model as it takes to measure them.

    ``horizon_days`` and ``moments`` are those of the parameters that hold for the customer. ``label_tables`` names the
    table of each parameter of ``label`` and ``injected`` the values that it takes besides; ``outcome`` is the label's
    column that is above 0 where the outcome came. ``absent`` are the needed tables that the customer cannot have.
    """

    needs: Needs
    horizon_days: int
    moments: int
    label: Callable[..., Any]
    outcome: str
    label_tables: Mapping[str, str]
    injected: tuple[str, ...] = ()
    learns_from: Literal["labels", "features"] = "labels"
    absent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reason:
    """One line of a verdict: the number found, the number needed, and what would close the gap.

    ``risk`` says why a need that is met may soon not be.
    """

    need: str
    found: Scalar
    needed: Scalar
    met: bool
    fix: str = ""
    risk: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a customer's evidence is enough for a model, with every reason, met or not."""

    reasons: tuple[Reason, ...]

    @property
    def ready(self) -> bool:
        """Whether every need is met."""
        return all(reason.met for reason in self.reasons)

    @property
    def missing(self) -> tuple[Reason, ...]:
        """The needs that are not met."""
        return tuple(reason for reason in self.reasons if not reason.met)

    @property
    def risks(self) -> tuple[Reason, ...]:
        """The needs that are met and may soon not be."""
        return tuple(reason for reason in self.reasons if reason.met and reason.risk)

    @property
    def state(self) -> Readiness:
        """The verdict in a word."""
        return "not ready" if self.missing else "at risk" if self.risks else "ready"


class Params(BaseModel):
    """What a person may set for a model. Bounds, defaults and descriptions reach the launchpad from here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    horizon_days: int = Field(30, ge=1, le=730, description="Days after the as-of moment that the label looks at.")
    moments: int = Field(4, ge=1, le=24, description="How many past as-of moments make the examples.")
    seed: int = Field(0, ge=0, description="Seed of everything random in the training.")


class Estimator(Protocol):
    """What a model file fits. Frames are indexed by ``user_id``; fitting never changes its inputs.

    A fitted estimator is saved without pickle: its attributes are plain values, numpy arrays, its params, and objects
    of the types that the class names in ``saved_types``, by module and name: ``("xgboost.core.Booster",)``. Nothing
    else is loaded again.
    """

    def fit(self, features: pd.DataFrame, labels: pd.DataFrame | None) -> Estimator:
        """Learn from one row per example. ``labels`` is aligned to ``features``; None where the model needs none."""

    def predict(self, features: pd.DataFrame) -> pd.DataFrame:
        """One row per row of ``features``, same index: ``score``, ``reasons`` (text) and columns of the model's own."""

    def parameters(self) -> dict[str, Any]:
        """The fitted or chosen parameters, for people."""


@dataclass(frozen=True, slots=True)
class Metric:
    """How a model is judged: ``compute(labels, predictions)`` over aligned frames gives one number."""

    name: str
    compute: Callable[[pd.DataFrame, pd.DataFrame], float]
    higher_is_better: bool
    description: str


@dataclass(frozen=True, slots=True)
class Gate:
    """What a challenger must hold besides beating its baseline.

    ``calibration`` gives the calibration error of predictions against labels (0 is perfect); ``at_most`` bounds it.
    ``coverage`` is the least share of users that must get a finite score. ``baseline`` is the standard held against
    the baseline: ``"better"`` wants the whole interval of the difference above zero; ``"not worse"``, for models that
    describe users in words rather than compete for accuracy, only that it is not wholly below.
    """

    calibration: Callable[[pd.DataFrame, pd.DataFrame], float]
    at_most: float
    coverage: float = 0.99
    baseline: Literal["better", "not worse"] = "better"


@dataclass(frozen=True, slots=True)
class Model:
    """All that a model file says about itself; the life around it is the same for every model.

    ``label`` takes tables by parameter name, plus ``start`` and ``end`` (the horizon, start exclusive and end
    inclusive), and returns one row per user who did anything in it; users without a row get zeros.
    ``learns_from`` is ``"labels"`` where the estimator needs outcomes, and ``"features"`` where it fits the state of
    the users at a moment (then the served model is fitted at the as-of moment itself).
    ``bands`` are names for score ranges from low to high; equal shares of users fall in each.
    """

    question: str
    family: str
    needs: Needs
    features: tuple[str, ...]
    columns: tuple[str, ...]
    label: Callable[..., Any]
    label_columns: tuple[str, ...]
    params: type[Params]
    estimator: Callable[[Params], Estimator]
    baseline: Callable[[Params], Estimator]
    baseline_name: str
    metric: Metric
    gate: Gate
    learns_from: Literal["labels", "features"] = "labels"
    bands: tuple[str, ...] = ("low", "medium", "high")
    plot: Callable[[pd.DataFrame, pd.DataFrame], Any] | None = None
