"""An anomaly: which subjects look wrong. Nobody says which were, so models are judged by ones that were made wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from capflow_assets.contract import Answer, Candidate, Column, Horizon, Model, Needs, Outcome, Reads, Rule, Subject
from capflow_assets.learning.metrics import mean_by_subject

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

P = TypeVar("P", bound=Horizon)
LOOKED_AT_SHARE = 0.01
DISTURBED = "score_if_disturbed"


def anomaly_model(
    *,
    question: str,
    family: str,
    subject: Subject,
    needs: Needs,
    reads: tuple[Reads, ...],
    outcome: Outcome,
    params: type[P],
    candidates: Sequence[Candidate[P]],
    rules: tuple[Rule, ...] = (),
) -> Model[P]:
    """A model whose ``score`` says how wrong a subject looks, and ``score_if_disturbed`` what it would, made wrong."""
    judged = Column(DISTURBED, "double", "What it would score, had it been made wrong; by this the model is judged.")
    return Model(
        question=question,
        family=family,
        objective="anomaly",
        subject=subject,
        needs=needs,
        reads=reads,
        outcome=outcome,
        answer=Answer(columns=(judged,)),
        params=params,
        candidates=tuple(candidates),
        metric=mean_by_subject(
            "planted_recall_1pct",
            _recalled,
            True,
            "Share of subjects that, made wrong in one way (planted; nobody says which really were), would stand among "
            "the hundredth that a person looks at.",
        ),
        rules=rules,
        plot=_plot,
    )


def lift_of(column: str, outcomes: pd.DataFrame, answers: pd.DataFrame) -> float:
    """How much more often an outcome came among the hundredth that looks most wrong; 0 where it never came."""
    import numpy as np

    observed = outcomes[column].to_numpy(dtype=float) > 0
    if not observed.any():
        return 0.0
    first = np.argsort(-answers["score"].to_numpy(dtype=float), kind="stable")
    return float(observed[first[: max(1, round(LOOKED_AT_SHARE * observed.size))]].mean() / observed.mean())


def _recalled(outcomes: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    is_recalled = answers[DISTURBED].to_numpy(dtype=float) > _threshold(answers)
    return pd.DataFrame({"value": is_recalled.astype(float)}, index=answers.index)


def _threshold(answers: pd.DataFrame) -> float:
    import numpy as np

    return float(np.quantile(answers["score"].to_numpy(dtype=float), 1 - LOOKED_AT_SHARE)) if len(answers) else 0.0


def _plot(outcomes: pd.DataFrame, answers: pd.DataFrame) -> Figure:
    """The share of disturbed subjects among those that are looked at, by how many are."""
    import numpy as np
    from matplotlib.figure import Figure

    share = np.linspace(0.001, 0.1, 60)
    ends = np.quantile(answers["score"].to_numpy(dtype=float), 1 - share)
    wrong: np.ndarray = answers[DISTURBED].to_numpy(dtype=float)
    figure = Figure(figsize=(5, 3.8), dpi=80, layout="constrained")
    axes = figure.subplots()
    axes.plot(100 * share, [100 * float((wrong > end).mean()) for end in ends])
    axes.axvline(100 * LOOKED_AT_SHARE, color="black", linestyle=":", linewidth=1)
    axes.set_ylim(0, 100)
    axes.set_xlabel("looked at (%)")
    axes.set_ylabel("of those made wrong, among them (%)")
    axes.set_title(f"{100 * float((wrong > _threshold(answers)).mean()):.0f} % of planted errors among 1 % looked at")
    return figure
