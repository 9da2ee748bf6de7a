"""Estimators of how wrong a bill looks: the largest robust deviation, an isolation forest, and an auto-encoder.

They answer besides what the same bill would score, were it made wrong (``learning.bill_traits.disturbed``): no customer
says which bills were wrong, so this is what they are judged by, on bills that they did not learn from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from capflow_assets.contract import Examples, Horizon
from capflow_assets.errors import EvidenceError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from capflow_assets.learning.isolation import IsolationForest

LEAST_BILLS = 200
# An auto-encoder learns from so many bills at most; it has seen what is usual long before.
MOST_LEARNED = 8_000
LEAST_LIMIT, LEAST_TENTH, MOST_FALL = 3.0, 0.5, 3.0
# A figure that hardly ever deviates is not blown up.
LEAST_SCALE = 0.1
BILLS = "clean/bills"
BILL_COLUMNS = (
    *("bill_id", "user_id", "store_id", "billed_at", "amount", "discount", "quantity", "line_items", "is_return"),
)


class AnomalyParams(Horizon):
    """What a person may set for models of what looks wrong."""

    horizon_days: int = Field(30, ge=1, le=365, description="Days after the moment in which bills may be brought back.")
    moments: int = Field(3, ge=1, le=24, description="How many past as-of moments make the examples.")
    trees: int = Field(100, ge=1, le=1000, description="How many trees the forest has.")
    nets: int = Field(2, ge=1, le=20, description="How many auto-encoders judge together, each of a seed of its own.")
    epochs: int = Field(8, ge=1, le=200, description="How often an auto-encoder sees all bills at most.")
    seconds: float = Field(30, gt=0, le=3600, description="Seconds that the training of all auto-encoders may take.")


class LargestDeviation:
    """The largest deviation of a bill from what is usual, in multiples of what one bill in a thousand deviates by."""

    saved_types: ClassVar[tuple[str, ...]] = ("capflow_assets.learning.isolation.IsolationForest",)
    traits: ClassVar[tuple[str, ...]] = ()

    def __init__(self, params: AnomalyParams) -> None:
        self.params = params
        self.bills: int | None = None
        self.limits: np.ndarray | None = None

    def fit(self, examples: Examples) -> LargestDeviation:
        """Learn from the bills of past moments.

        Raises:
            EvidenceError: there are fewer than 200.
        """
        import pandas as pd

        from capflow_assets.learning.bill_traits import traits_of
        from capflow_assets.learning.frames import in_order

        if len(examples) < LEAST_BILLS:
            raise EvidenceError(
                "What is usual of bills cannot be learned",
                expected=f"at least {LEAST_BILLS} bills of past moments",
                came=str(len(examples)),
                do="wait for more bills",
            )
        self.bills = len(examples)
        examples = in_order(examples)  # trees draw rows by place
        self._learn(pd.concat([traits_of(*_bills(examples, place)) for place in range(len(examples.tables[BILLS]))]))
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """``score``, ``score_if_disturbed`` and in ``reasons`` what deviates most."""
        from capflow_assets.learning.bill_traits import reasons_of, traits_of

        bills, usual = _bills(examples, -1)
        return self.figures(examples).assign(reasons=reasons_of(bills, traits_of(bills, usual), usual))

    def figures(self, examples: Examples) -> pd.DataFrame:
        """As ``predict``, without the reasons."""
        import pandas as pd

        from capflow_assets.learning.bill_traits import disturbed, traits_of
        from capflow_assets.learning.frames import fitted

        fitted(self.bills, type(self).__name__)
        bills, usual = _bills(examples, -1)
        wrong = traits_of(disturbed(bills, self.params.seed), usual)
        columns = {"score": self._scores(traits_of(bills, usual)), "score_if_disturbed": self._scores(wrong)}
        return pd.DataFrame(columns, index=examples.columns.index)

    def parameters(self) -> dict[str, Any]:
        """How many bills it learned from."""
        return {**self.params.model_dump(), "bills": self.bills}

    def _learn(self, traits: pd.DataFrame) -> None:
        import numpy as np

        tenth, hundredth = np.quantile(np.abs(traits.to_numpy(dtype=float)), (0.9, 0.99), axis=0)
        # One in a thousand as a tail that goes on as it fell (Pareto's): what stands there itself may be wrong. Where
        # one in ten hardly deviates there is no tail to go on.
        fall = np.where(tenth >= LEAST_TENTH, hundredth / np.maximum(tenth, LEAST_TENTH), 1.0)
        self.limits = np.maximum(hundredth * np.clip(fall, 1.0, MOST_FALL), LEAST_LIMIT)

    def _scores(self, traits: pd.DataFrame) -> np.ndarray:
        import numpy as np

        from capflow_assets.learning.frames import fitted

        shares = np.abs(traits.to_numpy(dtype=float)) / fitted(self.limits, type(self).__name__)
        is_read = np.array([not self.traits or name in self.traits for name in traits.columns])
        return np.asarray(shares[:, is_read].max(axis=1)) if len(traits) else np.empty(0)


class AmountAlone(LargestDeviation):
    """The baseline: how far the amount is from what is usual in the store."""

    traits: ClassVar[tuple[str, ...]] = ("amount",)


class BillForest(LargestDeviation):
    """An isolation forest over all deviations together."""

    def __init__(self, params: AnomalyParams) -> None:
        super().__init__(params)
        self.forest: IsolationForest | None = None

    def _learn(self, traits: pd.DataFrame) -> None:
        from capflow_assets.learning.isolation import grow_forest

        self.forest = grow_forest(_squeezed(traits), self.params.trees, self.params.seed)

    def _scores(self, traits: pd.DataFrame) -> np.ndarray:
        from capflow_assets.learning.frames import fitted

        return fitted(self.forest, "bill_anomaly").scores(_squeezed(traits))


class BillAutoEncoder(LargestDeviation):
    """Auto-encoders over all deviations together (``learning.nets.auto_encoder``): what they cannot restore is odd."""

    def __init__(self, params: AnomalyParams) -> None:
        super().__init__(params)
        self.scale: np.ndarray | None = None
        self.weights: list[bytes] = []
        self.courses: list[dict[str, Any]] = []

    def parameters(self) -> dict[str, Any]:
        """And how the training of each net went."""
        return {**super().parameters(), "courses": self.courses}

    def _learn(self, traits: pd.DataFrame) -> None:
        import numpy as np
        import torch

        from capflow_assets.learning.nets.auto_encoder import AutoEncoder, noisy_rows, restoring_loss
        from capflow_assets.learning.nets.devices import repeatable
        from capflow_assets.learning.nets.loop import Plan, train
        from capflow_assets.learning.nets.weights import weights_of

        params, squeezed = self.params, _squeezed(traits)
        self.scale = np.maximum(np.sqrt((squeezed**2).mean(axis=0)), LEAST_SCALE)
        values = (squeezed / self.scale).astype("float32")
        chosen = np.random.default_rng(params.seed).permutation(len(values))[:MOST_LEARNED]
        values = values[np.sort(chosen)]
        self.weights, self.courses = [], []
        for seed in range(params.seed, params.seed + params.nets):
            with repeatable(1):
                torch.manual_seed(seed)
                net = AutoEncoder(values.shape[1])
            plan = Plan(seed, params.epochs, params.seconds / params.nets, batch=256, rate=0.01, decay=1e-4)
            course = train(net, lambda random, size: noisy_rows(values, random, size), restoring_loss, plan)
            self.weights.append(weights_of(net))
            self.courses.append({"loss": round(course.losses[-1], 4), "ended": course.ended, "device": course.device})

    def _scores(self, traits: pd.DataFrame) -> np.ndarray:
        import numpy as np

        from capflow_assets.learning.frames import fitted
        from capflow_assets.learning.nets.auto_encoder import AutoEncoder, restoring_errors
        from capflow_assets.learning.nets.devices import repeatable
        from capflow_assets.learning.nets.weights import with_weights

        values = (_squeezed(traits) / fitted(self.scale, "bill_anomaly")).astype("float32")
        with repeatable(1):
            nets = [with_weights(AutoEncoder(values.shape[1]), of) for of in self.weights]
            mean: np.ndarray = np.mean([restoring_errors(net, values) for net in nets], axis=0)
        return mean


def _squeezed(traits: pd.DataFrame) -> np.ndarray:
    """The deviations by their order of magnitude: random cuts fall between the least and the largest value."""
    import numpy as np

    values = traits.to_numpy(dtype=float)
    return np.asarray(np.sign(values) * np.log1p(np.abs(values)))


def _bills(examples: Examples, place: int) -> tuple[pd.DataFrame, Any]:
    """The bills of one moment of the examples, indexed by their numbers, and what was usual as of it."""
    from capflow_assets.learning.bill_traits import usual_of

    frame, columns = examples.tables[BILLS][place], examples.columns
    if place >= 0 and "moment" in columns.columns:
        columns = columns[columns["moment"] == place]
    return frame.set_index("bill_id").reindex(columns.index), usual_of(frame)
