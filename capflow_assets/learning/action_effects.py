"""What each action brings: the log that is learned from, the evidence of each action, and the trees.

Arrays and frames only. A row of the log is a user when campaigns began: what was done, how likely that was, what could
have been done, and what came.

Reference: E. H. Kennedy, "Towards optimal doubly robust estimation of heterogeneous causal effects", Electronic Journal
of Statistics 17, 2023 (the DR-learner).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xgboost

from capflow_assets.contract import Examples
from capflow_assets.errors import EvidenceError, ModelError
from capflow_assets.learning.action_budget import lots_of
from capflow_assets.learning.actions import CHANNELS, NOTHING, channel_of, has_coupon, name_of
from capflow_assets.learning.policy_value import doubly_robust, supported
from capflow_assets.learning.uplift import contributions, predicted, trained

# An action that fewer users got says too little of what it brings.
LEAST_USERS = 30
ENCODED = ("is a message", *(f"by {name}" for name in CHANNELS), "with a coupon")


@dataclass(frozen=True)
class Log:
    """What was logged, of the examples that are kept: arrays by row; ``is_possible`` has a column per message."""

    is_kept: np.ndarray
    reward: np.ndarray
    action: np.ndarray
    propensity: np.ndarray
    possible: np.ndarray
    is_possible: np.ndarray


@dataclass(frozen=True)
class Evidence:
    """The ``messages`` that were learned, in order; the users of each action; those left out; the drawn share."""

    messages: list[int]
    users: dict[str, int]
    left_out: dict[str, str]
    drawn_share: float

    def describe(self) -> dict[str, Any]:
        """Plain values."""
        drawn = self.drawn_share >= 1
        how = "known: drawn by lot" if drawn else "estimated among users who bought as often: nobody was held out"
        return {"users_by_action": self.users, "left_out": self.left_out, "propensities": how}


@dataclass(frozen=True)
class Effects:
    """The response to all actions, and the gains learned apart where there are such."""

    response: xgboost.Booster
    gain: xgboost.Booster | None

    def gains(self, state: pd.DataFrame, messages: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """What each message brings beyond nothing, a column each; and what comes if nothing is done."""
        if not len(state):
            return np.zeros((0, len(messages))), np.zeros(0)
        anyway = predicted(self.response, encoded(state, NOTHING))
        if self.gain is None:
            columns = [predicted(self.response, encoded(state, action)) - anyway for action in messages]
        else:
            columns = [predicted(self.gain, encoded(state, action)) for action in messages]
        return np.column_stack(columns), anyway

    def contributions(self, state: pd.DataFrame, actions: np.ndarray) -> np.ndarray:
        """What each column of the state adds to the gain of each row's action (SHAP values)."""
        if not len(state):
            return np.zeros(state.shape)
        acted = encoded(state, actions)
        if self.gain is not None:
            return contributions(self.gain, acted)[:, : state.shape[1]]
        moved = contributions(self.response, acted) - contributions(self.response, encoded(state, NOTHING))
        return moved[:, : state.shape[1]]


def encoded(state: pd.DataFrame, action: np.ndarray | int) -> pd.DataFrame:
    """The state with the action in columns of 0 and 1, so that what a channel or a coupon brings is learned once."""
    actions = np.broadcast_to(np.asarray(action), len(state))
    codes, place = np.unique(actions, return_inverse=True)
    rows = np.array(
        [[code > 0, *(channel_of(int(code)) == name for name in CHANNELS), has_coupon(int(code))] for code in codes],
        dtype=float,
    ).reshape(len(codes), len(ENCODED))
    return pd.concat([state, pd.DataFrame(rows[place], index=state.index, columns=list(ENCODED))], axis=1)


def require_budget(share: float, actions: int | None) -> None:
    """Refuse a budget of nothing."""
    if share <= 0 or actions == 0:
        raise EvidenceError(
            "There is no action to choose within a budget of nothing",
            expected="budget_share above 0, and budget_actions above 0 where it is set",
            came=f"budget_share {share:g}" + ("" if actions is None else f", budget_actions {actions}"),
            do="set the budget in the customer's TOML, or leave the model out (only_models)",
        )


def evidence_of(examples: Examples, outcome: str) -> tuple[Log, Evidence]:
    """The log of the examples, and the actions that enough users got.

    Raises:
        EvidenceError: fewer than two actions have enough users, or nobody was left alone to compare with.
        ModelError: there is not one outcome per example.
    """
    if examples.outcomes is None or len(examples.outcomes) != len(examples):
        raise ModelError("Actions cannot be learned", expected="one outcome per example", came="others")
    columns = (outcome, "action", "propensity", "possible", "is_drawn")
    reward, action, propensity, possible, drawn = (examples.outcomes[name].to_numpy(dtype=float) for name in columns)
    codes, counts = np.unique(action.astype(int), return_counts=True)
    users = {int(code): int(count) for code, count in zip(codes, counts, strict=True)}
    learned = [code for code, count in users.items() if count >= LEAST_USERS]
    _require_choice(users, learned)
    left_out = {
        name_of(code): f"{count} users got it, {LEAST_USERS} needed"
        for code, count in users.items()
        if code not in learned
    }
    kept, messages = np.isin(action, learned), [code for code in learned if code != NOTHING]
    is_possible = np.column_stack([supported(possible[kept], np.full(kept.sum(), code)) for code in messages])
    log = Log(kept, reward[kept], action[kept].astype(int), propensity[kept], possible[kept], is_possible)
    named = {name_of(code): count for code, count in users.items()}
    return log, Evidence(messages, named, left_out, float(drawn[kept].mean()))


def trained_effects(
    state: pd.DataFrame, log: Log, messages: list[int], settings: dict[str, Any], rounds: int, *, is_robust: bool
) -> tuple[Effects, np.ndarray]:
    """Learn the response to all actions; where ``is_robust``, the gains from doubly robust values besides.

    The array holds the gains of each row as what was learned from other users expects them of it (cross-fitting,
    in two halves): those that were learned from look better than they are.
    """
    half = lots_of(state.index.get_level_values(0)) < 0.5
    if min(half.sum(), (~half).sum()) < LEAST_USERS:
        effects = Effects(_response(state, log, settings, rounds), None)
        return effects, effects.gains(state, messages)[0]
    responses = [Effects(_response(state[fold], _rows(log, fold), settings, rounds), None) for fold in (half, ~half)]
    gains, anyway = np.zeros((len(state), len(messages))), np.zeros(len(state))
    for other, fold in zip(responses, (~half, half), strict=True):
        gains[fold], anyway[fold] = other.gains(state[fold], messages)
    response = _response(state, log, settings, rounds)
    if not is_robust:
        return Effects(response, None), gains
    target = _robust_gains(log, messages, gains, anyway)
    unseen = np.zeros_like(gains)
    for fold in (half, ~half):
        model = Effects(response, _gain(state[fold], _rows(log, fold), messages, target[fold], settings, rounds))
        unseen[~fold] = model.gains(state[~fold], messages)[0]
    return Effects(response, _gain(state, log, messages, target, settings, rounds)), unseen


def _robust_gains(log: Log, messages: list[int], gains: np.ndarray, anyway: np.ndarray) -> np.ndarray:
    """The doubly robust value of each message less that of nothing, by row."""

    def values(action: int, expected: np.ndarray) -> np.ndarray:
        chosen = np.full(len(expected), action)
        return doubly_robust(log.reward, log.action, log.propensity, chosen, expected)

    nothing = values(NOTHING, anyway)
    return np.column_stack([values(a, anyway + gains[:, column]) - nothing for column, a in enumerate(messages)])


def _gain(
    state: pd.DataFrame, log: Log, messages: list[int], target: np.ndarray, settings: dict[str, Any], rounds: int
) -> xgboost.Booster:
    """The gain of the messages that were possible, in all rows at once."""
    rows, column = np.nonzero(log.is_possible)
    acted = encoded(state.iloc[rows], np.array(messages)[column])
    return trained(acted, target[rows, column], np.ones(len(rows)), settings, rounds)


def _response(state: pd.DataFrame, log: Log, settings: dict[str, Any], rounds: int) -> xgboost.Booster:
    return trained(encoded(state, log.action), log.reward, np.ones(len(state)), settings, rounds)


def _rows(log: Log, rows: np.ndarray) -> Log:
    """The log of some rows."""
    return Log(
        log.is_kept, log.reward[rows], log.action[rows], log.propensity[rows], log.possible[rows], log.is_possible[rows]
    )


def _require_choice(users: dict[int, int], learned: list[int]) -> None:
    received = (
        ", ".join(f"{name_of(code)}: {count} users" for code, count in users.items()) or "no user of any campaign"
    )
    if NOTHING not in learned and users:
        raise EvidenceError(
            "What an action brings cannot be seen where everybody got one",
            expected=f"{LEAST_USERS} users with whom nothing was done when a campaign began",
            came=received,
            do="hold a share of each campaign's users out by chance and mark them is_control",
        )
    if len(learned) < 2:
        raise EvidenceError(
            "There is no choice between actions",
            expected=f"nothing and one message at least, {LEAST_USERS} users of each",
            came=received,
            do="send raw/messages with the campaigns' messages, their channel and who was held out",
        )
