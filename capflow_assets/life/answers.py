"""What a model answers: asked of an estimator, held against what was asked, and made the rows of its table.

An answer has one of four shapes (``contract.Answer``): a score of each subject, a ranked list, a series, a vector. What
of the table follows from the shape is here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Answer, Column, Estimator, Examples, GivesFigures, Model, Table
from capflow_assets.errors import ModelError
from capflow_assets.life.examples import ExampleReader

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

SCORE = Column("score", "double", "The model's answer; higher means more of what the model asks about.")
RANKED = (
    Column(
        "percentile",
        "double",
        "Share of subjects with a lower score, and half of those with the same.",
        at_least=0,
        at_most=100,
        unit="%",
    ),
    Column("decile", "int", "Tenth of the subjects by score, 10 the highest.", at_least=1, at_most=10),
    Column("band", "string", "The decile in words."),
)
RANK = Column("rank", "int", "Place in the subject's list, 1 the first.", required=True, at_least=1)
REASONS = Column("reasons", "string", "What moved the score most, in words.")
PROVENANCE = (
    Column("model_version", "int", "Version of the champion that scored.", required=True),
    Column("rung", "string", "Who answered: a model of the customer's `own`, or the `rule`.", required=True),
    Column("as_of", "timestamp", "Nothing after this moment was read.", required=True),
)
PER_TYPES = {"day": "date"}
PERSONAL = ("user_id",)


def table_of(model: Model[Any]) -> Table:
    """The schema of a model's answers as a table: what its shape brings, and the columns that it declares.

    One row per subject, or per subject and ``per``. A score may have further columns of the model's own.
    """
    subject, answer = model.subject, model.answer
    key = (*subject.key, *answer.per)
    return Table(
        grain=f"{subject.name} known at the as-of moment" + "".join(f" and {name}" for name in answer.per),
        key=key,
        open=True,
        columns=(*(_key_column(name) for name in key), *_of_shape(answer), *PROVENANCE, *answer.columns),
    )


def _key_column(name: str) -> Column:
    kind = PER_TYPES.get(name, "string")
    words = {"user_id": "The shopper.", "day": "The local day."}.get(name, f"The {name.removesuffix('_id')}.")
    return Column(name, kind, words, required=True, personal=name in PERSONAL)


def _of_shape(answer: Answer) -> Iterator[Column]:
    if answer.shape == "score":
        yield from (SCORE, *RANKED, REASONS)
    elif answer.shape == "list":
        yield from (RANK, SCORE, REASONS)


def answered(
    reader: ExampleReader, estimator: Estimator, asked: Examples, *, with_reasons: bool = True
) -> pd.DataFrame:
    """The answers of an estimator, held against what was asked; to be judged, they need no reasons.

    Raises:
        ModelError: it answered for subjects that it was not asked about, or twice, or left a declared figure empty.
    """
    if not with_reasons and isinstance(estimator, GivesFigures):
        answers = estimator.figures(asked)
    else:
        answers = estimator.predict(asked)
    require_answers(reader.spec.model, reader.spec.name, estimator, answers, asked)
    return answers


def require_answers(model: Model[Any], name: str, estimator: Estimator, answers: pd.DataFrame, asked: Examples) -> None:
    """Refuse answers that are not those that were asked for.

    Raises:
        ModelError: as ``answered``.
    """
    problem = "; ".join(_problems(model, answers, asked))
    if problem:
        raise ModelError(
            f"The answers of {name} cannot be used",
            expected=f"one row per {' and '.join((*model.subject.key, *model.answer.per))} that was asked about",
            came=problem,
            where=f"{type(estimator).__module__}.{type(estimator).__name__}.predict",
            do="mend the model's estimator",
        )


def _problems(model: Model[Any], answers: pd.DataFrame, asked: Examples) -> Iterator[str]:
    import numpy as np

    per, declared = list(model.answer.per), [column.name for column in model.answer.columns]
    needed = [*per, *(["score"] if model.answer.ranked_by else ()), *declared]
    missing = [name for name in needed if name not in answers.columns]
    if list(answers.index.names) != list(model.subject.key):
        yield f"rows indexed by {', '.join(str(name) for name in answers.index.names)}"
        return
    if missing:
        yield f"no column {', '.join(missing)}"
        return
    if not per and len(answers) == len(asked) and answers.index.equals(asked.columns.index):
        strangers, repeated = 0, int(answers.index.duplicated().sum()) if "moment" not in asked.columns else 0
    else:
        strangers = int((~answers.index.isin(asked.columns.index)).sum())
        repeated = int(answers[per].reset_index().duplicated().sum())
    if strangers:
        yield f"{strangers} rows for subjects that were not asked about"
    if repeated:
        yield f"{repeated} rows that repeat another"
    if not per and not repeated and len(answers) < len(asked):
        yield f"{len(asked) - len(answers)} subjects without a row"
    # A score that is empty is an answer that was not given, which the coverage counts.
    for name in [*per, *declared] if per or not model.answer.ranked_by else per:
        values = answers[name]
        is_empty = ~np.isfinite(values.to_numpy(dtype=float)) if values.dtype.kind in "fc" else values.isna().to_numpy()
        if is_empty.any() and not _may_be_empty(model, name):
            yield f"{int(is_empty.sum())} rows without a {name}"


def _may_be_empty(model: Model[Any], name: str) -> bool:
    return any(column.name == name and not column.required for column in model.answer.columns)


def rows_of(
    model: Model[Any],
    answers: pd.DataFrame,
    version: int,
    as_of: datetime,
    scores: np.ndarray | None = None,
    rung: str = "own",
) -> pd.DataFrame:
    """A model's answers as the rows of its table; ``rung`` says who answered.

    A score gets its percentile, decile and band among ``scores``, those of all subjects (by default of these answers).
    Ties share the rank in their middle, so that a rule that says the same of everybody puts nobody into the top decile;
    subjects without a score have none. The rows of a list are ranked by score.
    """
    import numpy as np
    import pandas as pd

    frame = answers.reset_index()
    if model.answer.shape == "score":
        frame = _ranked(model.answer, frame, frame["score"].to_numpy(dtype=float) if scores is None else scores)
    elif model.answer.shape == "list":
        frame = frame.sort_values([*model.subject.key, "score"], ascending=[*([True] * len(model.subject.key)), False])
        frame["rank"] = (frame.groupby(list(model.subject.key)).cumcount() + 1).astype("int32")
    frame["model_version"] = np.int32(version)
    frame["rung"] = rung
    frame["as_of"] = pd.Timestamp(as_of)
    table = table_of(model)
    if "reasons" in table.names and "reasons" not in frame:
        frame["reasons"] = ""
    own = [str(column) for column in frame.columns if column not in table.names]
    return frame[[*table.names, *own]]


def figure_of(model: Model[Any], answers: pd.DataFrame) -> pd.Series:
    """One figure of each subject's answer, whose distribution is watched for drift: the score, the best score of a
    list, the mean of a series' or a vector's first declared column. Indexed by the subject's key.
    """
    shape, key = model.answer.shape, list(model.subject.key)
    if shape == "score":
        return answers["score"]
    figure = "score" if shape == "list" else model.answer.columns[0].name
    by_subject = answers[figure].groupby(level=key)
    return by_subject.max() if shape == "list" else by_subject.mean()


def _ranked(answer: Answer, frame: pd.DataFrame, scores: np.ndarray) -> pd.DataFrame:
    """With each score's mid-rank among all that are known, as a share, and what follows from it."""
    import numpy as np
    import pandas as pd

    known = np.sort(scores[~np.isnan(scores)])
    own = frame["score"].to_numpy(dtype=float)
    lower, no_higher = np.searchsorted(known, own, side="left"), np.searchsorted(known, own, side="right")
    shares = pd.Series((lower + no_higher) / max(2 * known.size, 1), index=frame.index)
    return ranked_by_share(answer, frame, shares.where(~np.isnan(own)))


def ranked_by_share(answer: Answer, frame: pd.DataFrame, rank: pd.Series) -> pd.DataFrame:
    """With percentile, decile and band by the share of all scores that are lower, and half of those that are equal."""
    import numpy as np
    import pandas as pd

    frame["percentile"] = (100 * rank).round(2)
    frame["decile"] = np.ceil(rank * 10).clip(1, 10).astype("Int32")
    positions = pd.Series(np.ceil(rank * len(answer.bands)), index=frame.index).clip(1, len(answer.bands))
    frame["band"] = positions.map(dict(enumerate(answer.bands, start=1)))
    return frame


def schema_of(model: Model[Any], frame: pd.DataFrame) -> pa.Schema:
    """The types of a model's rows: those that are declared, and those of further columns by kind."""
    import pandas as pd
    import pyarrow as pa

    declared = {column.name: column.type for column in table_of(model).columns}

    def kind(column: str) -> str:
        if column in declared:
            return declared[column]
        if pd.api.types.is_bool_dtype(frame[column]):
            return "boolean"
        if pd.api.types.is_integer_dtype(frame[column]):
            return "bigint"
        return "double" if pd.api.types.is_float_dtype(frame[column]) else "string"

    types = {
        "string": pa.string(),
        "double": pa.float64(),
        "int": pa.int32(),
        "bigint": pa.int64(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us", tz="UTC"),
    }
    return pa.schema([pa.field(column, types[kind(column)]) for column in frame.columns])
