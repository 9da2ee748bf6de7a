"""Estimators of what each action brings with each user, which choose one action a user within the budget.

What a model gives them to read is an ``ActionReading``; what they learned of actions is in ``learning.action_effects``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from capflow_assets.contract import Examples, Search
from capflow_assets.learning.boosting import BOOSTER, BoostingParams

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from capflow_assets.learning.action_effects import Effects, Evidence, Log
    from capflow_assets.learning.traits import Traits

# What moves an effect by less than this, in outcome, is no reason.
LEAST_REASON = 0.005
ROWS_AT_ONCE = 100_000
# Where so many of the known users are asked about at once, the best of them get the budget to the last action.
WHOLE_SHARE = 0.9
KIND = "capflow_assets.learning."


class ActionParams(BoostingParams):
    """What a person or the tuner may set for actions: the budget, what actions cost, and the trees."""

    horizon_days: int = Field(28, ge=1, le=365, description="Local days from the action's first that are looked at.")
    moments: int = Field(8, ge=1, le=24, description="How many past beginnings of campaigns make the examples.")
    budget_share: float = Field(0.3, ge=0, le=1, description="Most users who get an action, as a share of all.")
    budget_actions: int | None = Field(None, ge=0, description="Most users who get an action, as a number.")
    most_contacts_28d: int = Field(8, ge=1, description="Who got as many messages in 28 days gets no other.")
    visit_value: float = Field(1.0, gt=0, description="What a visit earns, in the unit of the costs.")
    email_cost: float = Field(0.0, ge=0, description="What an email costs.")
    push_cost: float = Field(0.0, ge=0, description="What a push message costs.")
    sms_cost: float = Field(0.0, ge=0, description="What a text message costs.")
    mail_cost: float = Field(0.0, ge=0, description="What a letter costs.")
    other_cost: float = Field(0.0, ge=0, description="What a message on any other channel costs.")
    coupon_cost: float = Field(0.0, ge=0, description="What a coupon costs besides, used or not.")
    rounds: Annotated[int, Search(50, 600)] = Field(120, ge=1, le=5000, description="How many trees.")
    max_depth: Annotated[int, Search(2, 8)] = Field(4, ge=1, le=12, description="Depth of each tree.")
    l2: Annotated[float, Search(0.1, 100.0, log=True)] = Field(10.0, ge=0, le=1000, description="Shrinkage of leaves.")

    def cost(self, action: int) -> float:
        """What an action costs, in visits."""
        from capflow_assets.learning.actions import channel_of, has_coupon

        if not action:
            return 0.0
        cost = getattr(self, f"{channel_of(action)}_cost") + (self.coupon_cost if has_coupon(action) else 0.0)
        return float(cost) / self.visit_value


@dataclass(frozen=True)
class ActionReading:
    """What is read: joined columns with their ``words``, and the frames.

    ``answers`` are the tables of other models' answers and what their lists are of. ``contacts`` is the joined column
    of the messages of 28 days, ``orders`` are the joined columns by which the baseline's rules may order users, with
    words for them. ``traits`` is a table with one row per user that is known, listed or not.
    """

    words: Mapping[str, str]
    outcome: str
    contacts: str
    orders: Mapping[str, str]
    answers: tuple[tuple[str, tuple[str, ...]], ...]
    traits: str
    campaigns: str
    coupons: str
    traits_without: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """What was chosen for each row: the ``action``, its gain over nothing, and the ``score`` that decided."""

    action: np.ndarray
    best: np.ndarray
    score: np.ndarray
    why_not: np.ndarray


class ActionEstimator:
    """What the candidates share: the matrix, the evidence of each action, the offers ahead, the budget, the answers."""

    _is_robust: ClassVar[bool] = False
    saved_types: ClassVar[tuple[str, ...]] = (
        BOOSTER,
        f"{KIND}action_estimators.ActionReading",
        f"{KIND}action_effects.Effects",
        f"{KIND}action_effects.Evidence",
    )

    def __init__(self, params: ActionParams, reading: ActionReading) -> None:
        self.params = params
        self.reading = reading
        self.traits: Traits = {}
        self.answers: list[str] = []
        self.evidence: Evidence | None = None
        self.effects: Effects | None = None
        self.levels: np.ndarray | None = None

    def fit(self, examples: Examples) -> ActionEstimator:
        """Learn what each action brought those who got it beyond those with whom nothing was done.

        Raises:
            EvidenceError: the budget is nothing, or there is one action only, or nobody to compare with.
            ModelError: there is not one outcome per example.
        """
        from capflow_assets.learning.action_effects import evidence_of, require_budget, trained_effects
        from capflow_assets.learning.answer_columns import all_answers, taught
        from capflow_assets.learning.frames import in_order
        from capflow_assets.learning.traits import traits_of

        require_budget(self.params.budget_share, self.params.budget_actions)
        examples, reading = in_order(examples), self.reading  # subsamples are drawn by place
        log, self.evidence = evidence_of(examples, reading.outcome)
        self.answers = taught(all_answers(examples, reading.answers))
        table, without = reading.traits, ("user_id", *reading.traits_without)
        self.traits = traits_of(examples.table(table), without=without) if table in examples.tables else {}
        state = self._matrix(examples)[log.is_kept]
        settings, rounds = self.params.settings("reg:squarederror"), self.params.rounds
        messages, is_robust = self.evidence.messages, self._is_robust
        self.effects, gains = trained_effects(state, log, messages, settings, rounds, is_robust=is_robust)
        self._learn_choice(state, log, gains, self._share(self._users(examples)))
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        """Per user the ``action`` and its ``channel``, what it is expected to bring and costs, and the reasons.

        ``score`` is what the best action brings beyond its cost, in visits, whether the budget reaches the user or not.
        """
        answers, state, choice = self._answers(examples)
        return answers.assign(reasons=self._reasons(state, choice))

    def figures(self, examples: Examples) -> pd.DataFrame:
        """As ``predict``, without the reasons."""
        return self._answers(examples)[0]

    def parameters(self) -> dict[str, Any]:
        """The parameters, the actions that were learned with their users, those left out and why, and what was read."""
        evidence, chosen = self._evidence(), self.params.model_dump()
        answers = self.answers or "none: no answers were kept from so early, and feature tables are read alone"
        return {**chosen, **evidence.describe(), "answers_read": answers, "traits": sorted(self.traits)}

    def _share(self, users: int) -> float:
        """The share of so many users who may get an action."""
        from capflow_assets.learning.action_budget import most_users

        return most_users(self.params.budget_share, self.params.budget_actions, users) / max(users, 1)

    def _learn_choice(self, state: pd.DataFrame, log: Log, gains: np.ndarray, share: float) -> None:
        """The net gains of the best actions, out of which the budget's price follows."""
        import numpy as np

        from capflow_assets.learning.action_budget import levels_of

        self.levels = levels_of(np.where(log.is_possible, gains - self._costs(), -np.inf).max(axis=1))

    def _choice(self, state: pd.DataFrame, gains: np.ndarray, is_possible: np.ndarray, share: float) -> Choice:
        import numpy as np

        from capflow_assets.learning.action_budget import price
        from capflow_assets.learning.frames import fitted

        net = np.where(is_possible, gains - self._costs(), -np.inf)
        best, score = net.argmax(axis=1), net.max(axis=1)
        score = np.where(np.isfinite(score), score, 0.0)
        is_worth = score > price(fitted(self.levels, type(self).__name__), share)
        why = np.where(score > 0, "beyond the budget", "no action brings more than it costs").astype(object)
        actions = np.array(self._evidence().messages)[best]
        return Choice(np.where(is_worth, actions, 0), actions, score, why)

    def _answers(self, examples: Examples) -> tuple[pd.DataFrame, pd.DataFrame, Choice]:
        import numpy as np
        import pandas as pd

        from capflow_assets.learning.action_budget import most_users, within
        from capflow_assets.learning.actions import channel_of, name_of

        state, params = self._matrix(examples), self.params
        gains, anyway = self._effects().gains(state, self._evidence().messages)
        users = self._users(examples)
        most = most_users(params.budget_share, params.budget_actions, users)
        offers = np.tile(self._offers(examples), (len(state), 1))
        is_whole = len(state) >= WHOLE_SHARE * users
        choice = self._choice(state, gains, offers, 1.0 if is_whole else self._share(users))
        is_capped = state[self.reading.contacts].fillna(0).to_numpy() >= params.most_contacts_28d
        is_chosen = (choice.action > 0) & ~is_capped & offers.any(axis=1)
        kept = within(choice.score, is_chosen, most, state.index)
        why = np.where(is_capped, f"had {params.most_contacts_28d} messages or more in 28 days", choice.why_not)
        action = np.where(kept, choice.action, 0)
        places = {code: place for place, code in enumerate(self._evidence().messages)}
        column = np.array([places.get(code, 0) for code in action], dtype=int)
        gain = np.where(action > 0, gains[np.arange(len(gains)), column] if len(gains) else 0.0, 0.0)
        answers = pd.DataFrame(
            {
                "score": choice.score,
                "action": [name_of(code) for code in action],
                "channel": [channel_of(code) for code in action],
                "expected_gain": gain,
                "cost_visits": [params.cost(code) for code in action],
                "visits_if_nothing": anyway,
            },
            index=state.index,
        )
        return answers, state, Choice(action, choice.best, choice.score, why)

    def _reasons(self, state: pd.DataFrame, choice: Choice) -> list[str]:
        """What is done and why not more; what moved the expected gain of the best action."""
        from capflow_assets.learning.actions import name_of
        from capflow_assets.learning.explanations import Word, reasons
        from capflow_assets.learning.traits import trait_words

        words: dict[str, Word] = {**self.reading.words, **trait_words(self.traits)}
        texts: list[str] = []
        for first in range(0, len(state), ROWS_AT_ONCE):
            rows = slice(first, first + ROWS_AT_ONCE)
            moved = self._effects().contributions(state.iloc[rows], choice.best[rows])
            texts += reasons(state.iloc[rows], moved, words, least=LEAST_REASON)
        leads = [
            name_of(code) if code else f"nothing: {why}"
            for code, why in zip(choice.action, choice.why_not, strict=True)
        ]
        return [f"{lead}; {text}" for lead, text in zip(leads, texts, strict=True)]

    def _costs(self) -> np.ndarray:
        import numpy as np

        return np.array([self.params.cost(action) for action in self._evidence().messages])

    def _offers(self, examples: Examples) -> np.ndarray:
        """Which of the actions the campaigns ahead of the newest moment allow: with a coupon, or without."""
        import numpy as np

        from capflow_assets.learning.action_budget import ahead
        from capflow_assets.learning.actions import has_coupon

        reading, messages = self.reading, self._evidence().messages
        if reading.campaigns not in examples.tables or not len(examples.table(reading.campaigns)):
            return np.ones(len(messages), dtype=bool)
        coming = set(ahead(examples.table(reading.campaigns), examples.moments[-1]))
        coupons = examples.tables.get(reading.coupons)
        handing = set() if coupons is None else {str(cell).strip() for cell in coupons[-1]["campaign_id"].dropna()}
        offered = {name in handing for name in coming}
        return np.array([has_coupon(action) in offered for action in messages])

    def _users(self, examples: Examples) -> int:
        """How many users are known at the newest moment."""
        table = examples.tables.get(self.reading.traits)
        return max(len(examples), 0 if table is None else int(table[-1]["user_id"].nunique()))

    def _matrix(self, examples: Examples) -> pd.DataFrame:
        """The joined columns, what other models answered, and the traits, as each row's moment knew them."""
        import pandas as pd

        from capflow_assets.learning.answer_columns import all_answers, by_moment
        from capflow_assets.learning.frames import matrix
        from capflow_assets.learning.traits import trait_matrix

        parts = [matrix(examples.columns, tuple(self.reading.words))]
        if self.answers:
            parts.append(all_answers(examples, self.reading.answers).reindex(columns=self.answers))
        if self.traits:

            def traits(frame: pd.DataFrame) -> pd.DataFrame:
                return trait_matrix(frame.drop_duplicates("user_id").set_index("user_id"), self.traits)

            parts.append(by_moment(examples, self.reading.traits, "user_id", traits))
        return pd.concat(parts, axis=1) if len(parts) > 1 else parts[0]

    def _evidence(self) -> Evidence:
        from capflow_assets.learning.frames import fitted

        return fitted(self.evidence, type(self).__name__)

    def _effects(self) -> Effects:
        from capflow_assets.learning.frames import fitted

        return fitted(self.effects, type(self).__name__)


class OneResponse(ActionEstimator):
    """One response to all actions, of which the gain of each is the difference to nothing (an S-learner)."""


class RobustEffects(ActionEstimator):
    """The gains learned from doubly robust values of each action in each row (Kennedy 2023, the DR-learner)."""

    _is_robust: ClassVar[bool] = True
