"""What other models answered, as columns of users: one a model, or one a model and what its lists are of.

An answer of a user and something that is not listed (a campaign) counts by its mean. Frames are read as of each moment
of the examples; a moment without answers gives nulls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd

from capflow_assets.contract import Examples

# Of fewer examples an answer teaches nothing.
LEAST_SHARE = 0.2


def by_moment(
    examples: Examples, table: str, level: str, columns_of: Callable[[pd.DataFrame], pd.DataFrame]
) -> pd.DataFrame:
    """The rows of each example's subject in the table as its moment knows it, made columns; in the examples' order.

    ``columns_of`` gives one row per subject of the frames whose rows are the subjects of a moment, null where the
    table says nothing of one.
    """
    subjects = examples.columns.index.get_level_values(level)
    moments = np.asarray(examples.columns["moment"] if "moment" in examples.columns else np.zeros(len(subjects)))
    frames = examples.tables[table]
    rows = [np.flatnonzero(moments == place) for place in range(len(frames))]
    parts = [columns_of(frame).reindex(subjects[of_moment]) for frame, of_moment in zip(frames, rows, strict=True)]
    whole = pd.concat(parts).iloc[np.argsort(np.concatenate(rows), kind="stable")]
    return whole.set_axis(examples.columns.index)


def answers_of(frame: pd.DataFrame, model: str, per: Sequence[str] = ()) -> pd.DataFrame:
    """The answers of one model by user: a column a value of ``per``, or one.

    >>> frame = pd.DataFrame({"user_id": ["a", "a", "b"], "channel": ["email", "sms", "sms"], "score": [0.5, 0.1, 0.3]})
    >>> answers_of(frame, "channel_affinity", ["channel"]).columns.tolist()
    ['channel_affinity email', 'channel_affinity sms']
    >>> answers_of(frame, "churn")["churn"].round(2).to_dict()
    {'a': 0.3, 'b': 0.3}
    """
    rows = frame.assign(score=pd.to_numeric(frame["score"], errors="coerce").astype(float))
    if not per:
        return rows.groupby("user_id")[["score"]].mean().rename(columns={"score": model})
    wide = rows.groupby(["user_id", *per])["score"].mean().unstack(list(per))
    return wide.set_axis([_name(model, name) for name in wide.columns], axis=1)


def all_answers(examples: Examples, reading: Sequence[tuple[str, tuple[str, ...]]]) -> pd.DataFrame:
    """The answers of all models that are read (table and ``per``), in the order of the examples."""
    parts = []
    for table, per in reading:
        model = table.rpartition("/")[2]
        if table not in examples.tables or not any(len(frame) for frame in examples.tables[table]):
            continue
        parts.append(by_moment(examples, table, "user_id", partial(answers_of, model=model, per=per)))
    return pd.concat(parts, axis=1) if parts else pd.DataFrame(index=examples.columns.index)


def taught(answers: pd.DataFrame) -> list[str]:
    """The columns that tell enough users apart to learn from, in order."""
    return sorted(
        name for name in answers.columns if answers[name].notna().mean() >= LEAST_SHARE and answers[name].nunique() > 1
    )


def _name(model: str, value: object) -> str:
    words = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    # XGBoost refuses these characters in the name of a column.
    return f"{model} {words}".translate(str.maketrans("[]<", "()_"))
