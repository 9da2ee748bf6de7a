"""An action: what to do with each user, if anything, within channel, cap and budget.

Candidates learn what each action brings beyond nothing from what was done when campaigns began. They are judged by what
their policy would have brought on the newest one, doubly robust (Dudík, Langford & Li 2011), against the best single
rule under the same budget; the chances of what was logged are those of the lot that was drawn, else estimated, and then
a person is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from capflow_assets.contract import Answer, Candidate, Column, Metric, Model, Needs, Outcome, Reads, Rule, Subject
from capflow_assets.learning.action_estimators import ActionParams, ActionReading, OneResponse, RobustEffects
from capflow_assets.learning.action_rules import BestSingleRule

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

P = TypeVar("P", bound=ActionParams)
# What an outcome says beside its figure.
LOGGED = ("action", "propensity", "possible", "is_drawn")


def action_model(
    *,
    question: str,
    needs: Needs,
    subject: Subject,
    words: Mapping[str, Mapping[str, str]],
    outcome: Outcome,
    contacts: str,
    orders: Mapping[str, str],
    answers: Mapping[str, tuple[str, ...]],
    traits: str,
    params: type[P],
    traits_without: tuple[str, ...] = (),
) -> Model[P]:
    """A model that answers with one action a user.

    ``words`` give for each feature block the columns that are read of it, each with a text that has a place for its
    value. The columns of the ``outcome`` are the figure that is to be raised, and ``LOGGED``. ``answers`` are the
    tables of other models' answers, each with what its lists are of; they are read where they were kept. ``contacts``,
    ``orders``, ``traits`` are as in ``ActionReading``.
    """
    figure = outcome.columns[0]
    reading = ActionReading(
        words={name: word for block in words.values() for name, word in block.items()},
        outcome=figure,
        contacts=contacts,
        orders=orders,
        answers=tuple(answers.items()),
        traits=traits,
        campaigns="raw/campaigns",
        coupons="raw/coupons",
        traits_without=traits_without,
    )
    judge = PolicyJudge(figure)
    return Model(
        objective="action",
        question=question,
        family="actions",
        needs=needs,
        subject=subject,
        reads=(
            *(Reads(table, tuple(block)) for table, block in words.items()),
            Reads(traits, form="frame"),
            Reads(reading.campaigns, ("campaign_id", "starts_at", "ends_at"), form="frame"),
            Reads(reading.coupons, ("campaign_id",), form="frame", optional=True),
            *(Reads(table, ("user_id", *per, "score"), form="frame", optional=True) for table, per in answers.items()),
        ),
        outcome=outcome,
        answer=Answer(
            columns=(
                Column("action", "string", "What to do: nothing, or a channel, with or without a coupon."),
                Column("channel", "string", "The channel of the action; empty for nothing."),
                Column("expected_gain", "double", f"{figure.capitalize()} that it brings.", unit=figure),
                Column("cost_visits", "double", f"What it costs, in {figure} that it must bring.", unit=figure),
                Column("visits_if_nothing", "double", f"{figure.capitalize()} to expect without it.", unit=figure),
            )
        ),
        params=params,
        candidates=(
            Candidate("one response to all actions", partial(OneResponse, reading=reading)),
            Candidate("doubly robust gains", partial(RobustEffects, reading=reading)),
            Candidate("the best single rule", partial(BestSingleRule, reading=reading), is_baseline=True),
        ),
        metric=judge.metric,
        rules=judge.rules,
        plot=judge.plot,
    )


@dataclass(frozen=True, slots=True)
class PolicyJudge:
    """The metric, the rules and the plot of a policy that is to raise the ``outcome``.

    An action that nobody in the user's place could have got at the time counts as nothing done.
    """

    outcome: str

    @property
    def metric(self) -> Metric:
        """The doubly robust value of the policy less what its actions cost, in outcome per user."""
        words = f"{self.outcome.capitalize()} per user if the policy were followed, less its costs; doubly robust."
        return Metric("policy_value", self.value, True, words, by_subject=self.values)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Actions that were possible, enough users who got them, groups alike, and chances that are known."""
        words = "the {} per user by inverse propensity alone, costs apart"
        return (
            Rule("supported", self.support, "the share of its actions that users could get", at_least=0.9),
            Rule("enough_users", self.effective, "the users who got what it chooses, weighted", at_least=30),
            Rule("balanced", self.imbalance, "the difference of the groups beyond chance", at_most=0.1),
            Rule("drawn_by_lot", self.drawn, "the share of users whose action was drawn by lot", at_least=1),
            Rule("inverse_propensity", self.inverse, words.format(self.outcome), otherwise="tell"),
        )

    def values(self, outcomes: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
        """The value of each user."""
        import pandas as pd

        from capflow_assets.learning.policy_value import doubly_robust

        logged, chosen, expected, cost = self._arrays(outcomes, answers)
        reward, propensity = (outcomes[name].to_numpy(dtype=float) for name in (self.outcome, "propensity"))
        value = doubly_robust(reward, logged, propensity, chosen, expected) - cost
        return pd.DataFrame({"value": value}, index=outcomes.index)

    def value(self, outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
        """The mean of the values."""
        return float(self.values(outcomes, answers)["value"].mean())

    def inverse(self, outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
        """The value by inverse propensity alone, which no model of what is expected enters."""
        from capflow_assets.learning.policy_value import inverse_propensity

        logged, chosen, _, _ = self._arrays(outcomes, answers)
        reward, propensity = (outcomes[name].to_numpy(dtype=float) for name in (self.outcome, "propensity"))
        return float(inverse_propensity(reward, logged, propensity, chosen).mean())

    def support(self, outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
        """The share of the users whose action was possible."""
        from capflow_assets.learning.policy_value import supported

        return float(supported(outcomes["possible"].to_numpy(dtype=float), _codes(answers)).mean())

    def effective(self, outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
        """How many users of equal weight say as much of the policy as those who got what it chooses."""
        from capflow_assets.learning.policy_value import effective_rows

        logged, chosen, _, _ = self._arrays(outcomes, answers)
        return effective_rows(logged, outcomes["propensity"].to_numpy(dtype=float), chosen)

    def imbalance(self, outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
        """How far those left alone differ from the others in what was to be expected of them anyway."""
        import numpy as np

        from capflow_assets.learning.qini import prognostic_imbalance

        # Users of equal chances are one lot, so that strata of users who bought as often are held apart.
        treated = (outcomes["action"].to_numpy(dtype=float) > 0).astype(float)
        lot = outcomes.groupby(["possible", "is_drawn"], sort=True).ngroup().to_numpy()
        return prognostic_imbalance(answers["visits_if_nothing"].to_numpy(dtype=float), treated, np.asarray(lot))

    def drawn(self, outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
        """The share of users who were in a lot with a control group."""
        return float(outcomes["is_drawn"].mean())

    def plot(self, outcomes: pd.DataFrame, answers: pd.DataFrame) -> Figure:
        """How many users get each action, and what it is expected to bring them."""
        from capflow_assets.learning.plots import actions_plot

        return actions_plot(answers["action"], answers["expected_gain"], self.value(outcomes, answers), self.outcome)

    def _arrays(
        self, outcomes: pd.DataFrame, answers: pd.DataFrame
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The logged and chosen actions, what is expected of the latter, and its cost."""
        import numpy as np

        from capflow_assets.learning.policy_value import supported

        chosen = _codes(answers)
        is_possible = supported(outcomes["possible"].to_numpy(dtype=float), chosen)
        anyway, gain, cost = (
            answers[name].to_numpy(dtype=float) for name in ("visits_if_nothing", "expected_gain", "cost_visits")
        )
        done = np.where(is_possible, chosen, 0)
        acted = done > 0
        return outcomes["action"].to_numpy(dtype=int), done, anyway + acted * gain, acted * cost


def _codes(answers: pd.DataFrame) -> np.ndarray:
    """The actions' numbers."""
    from capflow_assets.learning.actions import COUNT, name_of

    codes = {name_of(code): code for code in range(COUNT)}
    return answers["action"].map(codes).to_numpy(dtype=int)
