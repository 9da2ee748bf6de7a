"""Estimators of what a treatment changes, for subjects that were treated or held out by chance.

What a model gives them to read is an ``EffectReading``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from capflow_assets.contract import Examples, Search
from capflow_assets.errors import EvidenceError, ModelError
from capflow_assets.learning.boosting import BoostingParams
from capflow_assets.learning.chances import ROWS_AT_ONCE

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import xgboost

    from capflow_assets.learning.uplift import Effects, Responses

LEAST_IN_A_GROUP = 10
# What moves an effect by less than this, in outcome, is no reason.
LEAST_REASON = 0.005


class UpliftParams(BoostingParams):
    """What a person or the tuner may set for learners of effects.

    Effects are small beside what people do anyway: by default trees are few, shallow and much shrunk.
    """

    horizon_days: int = Field(28, ge=1, le=365, description="Local days from the treatment's first that are looked at.")
    moments: int = Field(12, ge=1, le=24, description="How many past treatments make the examples.")
    rounds: Annotated[int, Search(50, 600)] = Field(80, ge=1, le=5000, description="How many trees.")
    max_depth: Annotated[int, Search(2, 8)] = Field(2, ge=1, le=12, description="Depth of each tree.")
    l2: Annotated[float, Search(0.1, 100.0, log=True)] = Field(30.0, ge=0, le=1000, description="Shrinkage of leaves.")


@dataclass(frozen=True)
class EffectReading:
    """What is read: columns with their ``words``, the ``outcome`` and ``treatment`` columns of the outcomes.

    ``lot`` is the level of the subject's key that drew the groups. ``traits_table`` is a table that is read as a frame,
    and the level of the key whose traits it tells; its columns ``traits_without`` are none.
    """

    words: Mapping[str, str]
    outcome: str
    treatment: str
    lot: str
    traits_table: str = ""
    traits_level: str = ""
    traits_without: tuple[str, ...] = ()


class UpliftEstimator:
    """What the learners share: the matrix of columns and traits, the groups, and the answers."""

    saved_types: ClassVar[tuple[str, ...]] = (
        "xgboost.core.Booster",
        "capflow_assets.learning.uplift.Responses",
        "capflow_assets.learning.uplift.Effects",
        "capflow_assets.learning.uplift_estimators.EffectReading",
    )

    def __init__(self, params: UpliftParams, reading: EffectReading) -> None:
        self.params = params
        self.reading = reading
        self.traits: dict[str, list[str]] = {}
        self.groups: dict[str, int] = {}
        self.left_out: dict[str, str] = {}

    def fit(self, examples: Examples) -> UpliftEstimator:
        """Learn from the lots that have both groups; ``left_out`` says which have not.

        Raises:
            EvidenceError: no lot has enough subjects treated and held out.
            ModelError: there is not one outcome per example.
        """
        from capflow_assets.learning.frames import in_order
        from capflow_assets.learning.qini import group_weights
        from capflow_assets.learning.traits import traits_of

        reading = self.reading
        if examples.outcomes is None or len(examples.outcomes) != len(examples):
            raise ModelError(f"{reading.outcome} cannot be learned", expected="one outcome per example", came="others")
        examples = in_order(examples)  # subsamples are drawn by place
        outcomes, lots = examples.outcomes, examples.columns.index.get_level_values(reading.lot).to_numpy()
        assert outcomes is not None  # noqa: S101
        outcome, treated = (outcomes[name].to_numpy(dtype=float) for name in (reading.outcome, reading.treatment))
        self.left_out = _left_out(treated, lots)
        is_kept = ~_is_in(lots, self.left_out)
        _require_groups(treated[is_kept], self.left_out)
        table, without = reading.traits_table, (reading.traits_level, *reading.traits_without)
        self.traits = traits_of(examples.table(table), without=without) if table in examples.tables else {}
        self.groups = {"treated": int(treated[is_kept].sum()), "held_out": int((treated[is_kept] <= 0).sum())}
        weight = group_weights(treated[is_kept], lots[is_kept])
        self._grow(self._matrix(examples)[is_kept], outcome[is_kept], treated[is_kept], weight)
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """``score``: the expected extra outcome if treated; the outcome expected with and without; the reasons."""
        import numpy as np
        import pandas as pd

        from capflow_assets.learning.explanations import reasons
        from capflow_assets.learning.traits import trait_words

        state, parts, texts = self._matrix(examples), [np.empty((0, 3))], []
        words: dict[str, str | Callable[[float], str]] = {**self.reading.words, **trait_words(self.traits)}
        for first in range(0, len(state), ROWS_AT_ONCE):
            part = state.iloc[first : first + ROWS_AT_ONCE]
            parts.append(np.column_stack(self._answers(part)))
            texts += reasons(part, self._contributions(part), words, least=LEAST_REASON)
        answers = pd.DataFrame(
            np.vstack(parts), index=state.index, columns=["score", "response_if_treated", "response_if_not"]
        )
        return answers.assign(reasons=pd.Series(texts, index=state.index, dtype=object))

    def parameters(self) -> dict[str, Any]:
        """The chosen parameters, the sizes of the groups, the traits that were read, and the lots left out."""
        chosen = self.params.model_dump()
        return {**chosen, "groups": self.groups, "traits": sorted(self.traits), "left_out": self.left_out}

    def _grow(self, state: pd.DataFrame, outcome: np.ndarray, treated: np.ndarray, weight: np.ndarray) -> None:
        raise NotImplementedError

    def _answers(self, state: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The effect, the outcome if treated, and if not."""
        raise NotImplementedError

    def _contributions(self, state: pd.DataFrame) -> np.ndarray:
        raise NotImplementedError

    def _matrix(self, examples: Examples) -> pd.DataFrame:
        """The columns of the ``words``, and the traits of each row's subject as its moment knows them."""
        import numpy as np
        import pandas as pd

        from capflow_assets.learning.frames import matrix
        from capflow_assets.learning.traits import trait_matrix

        state = matrix(examples.columns, tuple(self.reading.words))
        if not self.traits:
            return state
        table, level = self.reading.traits_table, self.reading.traits_level
        subjects = state.index.get_level_values(level)
        moments = examples.columns["moment"] if "moment" in examples.columns else np.zeros(len(state))
        rows = [np.flatnonzero(np.asarray(moments) == place) for place in range(len(examples.tables[table]))]
        parts = [
            trait_matrix(frame.drop_duplicates(level).set_index(level).reindex(subjects[of_moment]), self.traits)
            for frame, of_moment in zip(examples.tables[table], rows, strict=True)
        ]
        traits = pd.concat(parts).iloc[np.argsort(np.concatenate(rows), kind="stable")]
        return pd.concat([state, traits.set_axis(state.index)], axis=1)


class TLearner(UpliftEstimator):
    """The difference of two responses: of those treated, and of those held out (Künzel et al. 2019)."""

    def __init__(self, params: UpliftParams, reading: EffectReading) -> None:
        super().__init__(params, reading)
        self.responses: Responses | None = None

    def _grow(self, state: pd.DataFrame, outcome: np.ndarray, treated: np.ndarray, weight: np.ndarray) -> None:
        from capflow_assets.learning.uplift import fit_responses

        settings = self.params.settings("reg:squarederror")
        self.responses = fit_responses(state, outcome, treated, weight, settings, self.params.rounds)

    def _answers(self, state: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if_treated, if_not = self._responses().predict(state)
        return if_treated - if_not, if_treated, if_not

    def _contributions(self, state: pd.DataFrame) -> np.ndarray:
        return self._responses().contributions(state)

    def _responses(self) -> Responses:
        from capflow_assets.learning.frames import fitted

        return fitted(self.responses, type(self).__name__)


class XLearner(TLearner):
    """The effect learnt from what each subject would have done otherwise (Künzel et al. 2019)."""

    def __init__(self, params: UpliftParams, reading: EffectReading) -> None:
        super().__init__(params, reading)
        self.effects: Effects | None = None

    def _grow(self, state: pd.DataFrame, outcome: np.ndarray, treated: np.ndarray, weight: np.ndarray) -> None:
        from capflow_assets.learning.uplift import fit_effects

        super()._grow(state, outcome, treated, weight)
        settings = self.params.settings("reg:squarederror")
        self.effects = fit_effects(self._responses(), state, outcome, treated, weight, settings, self.params.rounds)

    def _answers(self, state: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        effect = self._effects().effect(state)
        _, if_not = self._responses().predict(state)
        return effect, if_not + effect, if_not

    def _contributions(self, state: pd.DataFrame) -> np.ndarray:
        return self._effects().contributions(state)

    def _effects(self) -> Effects:
        from capflow_assets.learning.frames import fitted

        return fitted(self.effects, type(self).__name__)


class ResponseModel(UpliftEstimator):
    """The baseline, what is commonly done: whoever is expected to do most comes first, whoever was treated.

    It knows no difference between treated and held out: both responses are the ``score``.
    """

    def __init__(self, params: UpliftParams, reading: EffectReading) -> None:
        super().__init__(params, reading)
        self.trees: xgboost.Booster | None = None

    def _grow(self, state: pd.DataFrame, outcome: np.ndarray, treated: np.ndarray, weight: np.ndarray) -> None:
        import numpy as np

        from capflow_assets.learning.uplift import trained

        settings = self.params.settings("reg:squarederror")
        self.trees = trained(state, outcome, np.ones_like(weight), settings, self.params.rounds)

    def _answers(self, state: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        from capflow_assets.learning.frames import fitted
        from capflow_assets.learning.uplift import predicted

        response = predicted(fitted(self.trees, type(self).__name__), state)
        return response, response, response

    def _contributions(self, state: pd.DataFrame) -> np.ndarray:
        from capflow_assets.learning.frames import fitted
        from capflow_assets.learning.uplift import contributions

        return contributions(fitted(self.trees, type(self).__name__), state)


def _is_in(lots: np.ndarray, names: Mapping[str, str]) -> np.ndarray:
    import numpy as np

    return np.isin(lots.astype(str), list(names))


def _left_out(treated: np.ndarray, lots: np.ndarray) -> dict[str, str]:
    """Lots that say nothing of the effect, each with the reason."""
    import pandas as pd

    counts = pd.DataFrame({"treated": treated > 0, "held out": treated <= 0}).groupby(lots.astype(str)).sum()
    return {
        str(lot): ", ".join(f"{int(row[name])} {name}" for name in counts.columns)
        for lot, row in counts.iterrows()
        if row.min() < LEAST_IN_A_GROUP
    }


def _require_groups(treated: np.ndarray, left_out: Mapping[str, str]) -> None:
    if len(treated):
        return
    raise EvidenceError(
        "What a treatment changes cannot be learned",
        expected=f"{LEAST_IN_A_GROUP} subjects treated and {LEAST_IN_A_GROUP} held out by chance, of one campaign",
        came="; ".join(f"{lot}: {why}" for lot, why in left_out.items()) or "no examples",
        do="hold a share of each campaign's users out by chance",
    )
