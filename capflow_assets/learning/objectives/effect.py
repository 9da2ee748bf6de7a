"""An effect: what a treatment changes for each subject, beyond what it would have done anyway.

Candidates are an X- and a T-learner (Künzel et al. 2019) on the subjects of past lots, of whom some were held out by
chance. They are judged by the Qini coefficient (Radcliffe 2007) on a later lot, against a random order and against a
response model, which finds those who do most anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from capflow_assets.contract import Answer, Candidate, Column, Model, Needs, Outcome, Reads, Subject
from capflow_assets.learning.uplift_estimators import EffectReading, ResponseModel, TLearner, UpliftParams, XLearner
from capflow_assets.learning.uplift_rules import UpliftJudge

P = TypeVar("P", bound=UpliftParams)


@dataclass(frozen=True, slots=True)
class Traits:
    """A table of traits that is read as a frame, the level of the subject's key that it is of, and what is no trait."""

    table: str
    level: str
    without: tuple[str, ...] = ()


def effect_model(
    *,
    question: str,
    needs: Needs,
    subject: Subject,
    words: Mapping[str, Mapping[str, str]],
    outcome: Outcome,
    lot: str,
    params: type[P],
    unit: tuple[str, ...] = (),
    traits: Traits | None = None,
    family: str = "uplift",
) -> Model[P]:
    """A model that answers with the extra outcome that treatment brings.

    ``words`` give for each feature block the columns that are read of it, each with a text that has a place for its
    value. The first column of the ``outcome`` is the figure that is to be raised, and its ``treatment`` says who was
    treated. ``lot`` is the level of the subject's key that drew the groups (a campaign), ``unit`` those levels whose
    rows a resample draws together.
    """
    figure = outcome.columns[0]
    reading = EffectReading(
        words={name: word for block in words.values() for name, word in block.items()},
        outcome=figure,
        treatment=outcome.treatment,
        lot=lot,
        traits_table=traits.table if traits else "",
        traits_level=traits.level if traits else "",
        traits_without=traits.without if traits else (),
    )
    judge = UpliftJudge(figure, outcome.treatment, lot=lot, unit=unit)
    frames = (Reads(traits.table, form="frame"),) if traits else ()
    return Model(
        objective="effect",
        question=question,
        family=family,
        needs=needs,
        subject=subject,
        reads=(*(Reads(table, tuple(block)) for table, block in words.items()), *frames),
        outcome=outcome,
        answer=Answer(
            columns=(
                Column("response_if_treated", "double", f"{figure.capitalize()} to expect if treated.", unit=figure),
                Column("response_if_not", "double", f"{figure.capitalize()} to expect if not.", unit=figure),
            )
        ),
        params=params,
        candidates=(
            Candidate("X-learner", partial(XLearner, reading=reading)),
            Candidate("T-learner", partial(TLearner, reading=reading)),
            Candidate("a response model", partial(ResponseModel, reading=reading), is_baseline=True),
        ),
        metric=judge.metric,
        rules=judge.rules,
        plot=judge.plot,
    )
