"""How tags are judged: by the known tags, each answered by items of other folds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def by_item(outcomes: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """Of each item the share of its known tags that are the likeliest ones."""
    from capflow_assets.learning.item_attributes import judged

    rows = judged(outcomes, answers).groupby("item_id")["is_right"]
    return rows.mean().to_frame("value").assign(weight=rows.size())


def answered_accuracy(outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
    """Of the known tags that were given one, the share that is right; 0 where none was given."""
    from capflow_assets.learning.item_attributes import judged

    rows = judged(outcomes, answers)
    given = rows[rows["is_given"]]
    return float(given["is_right"].mean()) if len(given) else 0.0


def answered_share(outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
    """The share of the known tags that were given one."""
    from capflow_assets.learning.item_attributes import judged

    rows = judged(outcomes, answers)
    return float(rows["is_given"].mean()) if len(rows) else 0.0


def overconfidence(outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
    """By how much the mean chance of the tags given is above the share that is right, beyond two standard errors."""
    from capflow_assets.learning.item_attributes import judged

    rows = judged(outcomes, answers)
    given = rows[rows["is_given"]]
    if given.empty:
        return 0.0
    chance = given["score"]
    error = float((chance * (1 - chance)).sum()) ** 0.5 / len(given)
    return max(0.0, float((chance - given["is_right"]).mean()) - 2 * error)
