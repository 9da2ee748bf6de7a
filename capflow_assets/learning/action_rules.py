"""The best single rule: one action for everybody, or for the first by one figure, as far as the budget goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from capflow_assets.learning.action_estimators import ActionEstimator, ActionParams, ActionReading, Choice

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from capflow_assets.learning.action_effects import Log

LOT = "users at random"


class BestSingleRule(ActionEstimator):
    """The baseline: of all rules the one that would have brought most on the campaigns of the past.

    A rule is an action and an order of users: by lot, by one of the reading's ``orders``, or by one of the answers of
    other models, highest first. Doing nothing is a rule as well. Its value is doubly robust, less what it costs.
    """

    def __init__(self, params: ActionParams, reading: ActionReading) -> None:
        super().__init__(params, reading)
        self.rules: list[dict[str, Any]] = []
        self.order_levels: dict[str, np.ndarray] = {}

    def parameters(self) -> dict[str, Any]:
        """The parameters and evidence, and the best rules with what each would have brought, in visits per user."""
        return {**super().parameters(), "rules": self.rules[:5]}

    def _learn_choice(self, state: pd.DataFrame, log: Log, gains: np.ndarray, share: float) -> None:
        import numpy as np

        from capflow_assets.learning.action_budget import levels_of
        from capflow_assets.learning.actions import NOTHING, name_of

        messages = self._evidence().messages
        _, anyway = self._effects().gains(state, messages)
        values = self._orders(state)
        self.order_levels = {name: levels_of(column) for name, column in values.items()}
        self.rules = [{"order": "", "action": name_of(NOTHING), "code": NOTHING}]
        self.rules[0]["value"] = self._value(log, np.zeros(len(state), dtype=int), gains, anyway)
        for order in values:
            is_first = self._places(state, order) > 1 - share
            for column, code in enumerate(messages):
                chosen = np.where(is_first & log.is_possible[:, column], code, NOTHING)
                value = self._value(log, chosen, gains, anyway)
                self.rules.append({"order": order, "action": name_of(code), "code": code, "value": value})
        self.rules.sort(key=lambda rule: (-rule["value"], rule["order"], rule["code"]))

    def _choice(self, state: pd.DataFrame, gains: np.ndarray, is_possible: np.ndarray, share: float) -> Choice:
        """The best rule whose action the offers allow."""
        import numpy as np

        messages = self._evidence().messages
        offered = {code for code, may in zip(messages, np.any(is_possible, axis=0).tolist(), strict=True) if may} | {0}
        rule = next(rule for rule in self.rules if rule["code"] in offered)
        score = self._places(state, rule["order"] or LOT)
        action = np.where(score > 1 - share, rule["code"], 0)
        best = np.full(len(state), rule["code"] or messages[0])
        why = "the rule does nothing" if rule["code"] == 0 else f"not among the first by {rule['order']}"
        return Choice(action, best, score, np.full(len(state), why, dtype=object))

    def _value(self, log: Log, chosen: np.ndarray, gains: np.ndarray, anyway: np.ndarray) -> float:
        import numpy as np

        from capflow_assets.learning.policy_value import doubly_robust

        messages = self._evidence().messages
        column = {code: place for place, code in enumerate(messages)}
        places = np.array([column.get(code, 0) for code in chosen], dtype=int)
        gain = np.where(chosen > 0, gains[np.arange(len(chosen)), places], 0.0)
        values = doubly_robust(log.reward, log.action, log.propensity, chosen, anyway + gain)
        return float(np.mean(values - np.array([self.params.cost(code) for code in chosen])))

    def _orders(self, state: pd.DataFrame) -> dict[str, np.ndarray]:
        """The values of each order by its words."""
        from capflow_assets.learning.action_budget import lots_of

        orders = {LOT: lots_of(state.index.get_level_values(0))}
        orders |= {words: state[name].to_numpy() for name, words in self.reading.orders.items()}
        return orders | {f"the answers of {name}": state[name].to_numpy() for name in self.answers}

    def _places(self, state: pd.DataFrame, order: str) -> np.ndarray:
        from capflow_assets.learning.action_budget import lots_of, places

        values, lots = self._orders(state)[order], lots_of(state.index.get_level_values(0))
        return places(values, self.order_levels[order], lots)
