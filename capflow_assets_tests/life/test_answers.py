"""Answers of each shape: held against what was asked, and made the rows of a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from capflow_assets.contract import Answer, Column, Examples, Model, Subject
from capflow_assets.errors import ModelError
from capflow_assets.life.answers import answered, figure_of, rows_of, schema_of, table_of
from capflow_assets_tests.life.shop import AS_OF, REGULARS, SHOP, deployment, reader

BILLS = Column("bills", "double", "Bills expected.", required=True)
LIST = replace(REGULARS, answer=Answer(per=("item_id",)))
SERIES = replace(
    REGULARS, subject=Subject("store", ("store_id",)), answer=Answer(per=("day",), columns=(BILLS,), ranked_by=None)
)
VECTOR = replace(REGULARS, answer=Answer(columns=(BILLS,), ranked_by=None))
PROVENANCE = ("model_version", "rung", "as_of")
DAYS = (date(2024, 7, 1), date(2024, 7, 2))


def indexed(users: list[str], key: str = "user_id", **columns: Any) -> pd.DataFrame:
    return pd.DataFrame(columns, index=pd.Index(users, name=key))


class Says:
    """Answers what a test wants it to."""

    def __init__(self, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
        self.change = change

    def fit(self, examples: Examples) -> Says:
        return self

    def predict(self, examples: Examples) -> pd.DataFrame:
        return self.change(pd.DataFrame({"score": 1.0, "item_id": "a", "bills": 1.0}, index=examples.columns.index))

    def parameters(self) -> dict[str, Any]:
        return {}


def twice(answers: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([answers, answers[:1]])


def of_strangers(answers: pd.DataFrame) -> pd.DataFrame:
    return answers.rename(index={"u00": "stranger"})


def with_nothing(column: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda answers: answers.assign(**{column: np.nan})


@pytest.mark.parametrize(
    ("model", "change", "received"),
    [
        (REGULARS, of_strangers, "1 rows for subjects that were not asked about"),
        (REGULARS, twice, "1 rows that repeat another"),
        (REGULARS, lambda answers: answers[1:], "1 subjects without a row"),
        (REGULARS, lambda answers: answers.drop(columns="score"), "no column score"),
        (REGULARS, lambda answers: answers.reset_index(), "rows indexed by None"),
        (REGULARS, lambda answers: answers.rename_axis("item_id"), "rows indexed by item_id"),
        (LIST, of_strangers, "1 rows for subjects that were not asked about"),
        (LIST, twice, "1 rows that repeat another"),
        (LIST, with_nothing("item_id"), "rows without a item_id"),
        (LIST, lambda answers: answers.drop(columns="item_id"), "no column item_id"),
        (VECTOR, with_nothing("bills"), "rows without a bills"),
        (VECTOR, lambda answers: answers.drop(columns="bills"), "no column bills"),
    ],
)
def test_answers_that_do_not_fit_what_was_asked_are_refused(
    untrained: Path, model: Model[Any], change: Callable[[pd.DataFrame], pd.DataFrame], received: str
) -> None:
    known = reader(deployment(untrained, model))
    with pytest.raises(ModelError) as caught:
        answered(known, Says(change), known.state(AS_OF))
    assert received in str(caught.value)
    assert "test_answers.Says.predict" in str(caught.value)
    assert f"one row per {' and '.join(('user_id', *model.answer.per))} that was asked about" in str(caught.value)


@pytest.mark.parametrize(
    ("model", "change"),
    [
        (REGULARS, with_nothing("score")),  # an answer that was not given, which the coverage counts
        (REGULARS, lambda answers: answers[::-1]),
        (LIST, lambda answers: pd.concat([answers, answers.assign(item_id="b")])[2:]),
        (VECTOR, lambda answers: answers.drop(columns="score")),
    ],
)
def test_answers_in_another_order_or_of_fewer_items_are_taken(
    untrained: Path, model: Model[Any], change: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    known = reader(deployment(untrained, model))
    state = known.state(AS_OF)
    estimator = Says(change)
    pd.testing.assert_frame_equal(answered(known, estimator, state), estimator.predict(state))


def test_the_table_of_each_shape() -> None:
    ranked = ("score", "percentile", "decile", "band", "reasons")
    assert table_of(REGULARS).names == ("user_id", *ranked, *PROVENANCE)
    assert table_of(LIST).names == ("user_id", "item_id", "rank", "score", "reasons", *PROVENANCE)
    assert table_of(SERIES).names == ("store_id", "day", *PROVENANCE, "bills")
    assert table_of(VECTOR).names == ("user_id", *PROVENANCE, "bills")
    assert [table_of(model).key for model in (REGULARS, LIST, SERIES)] == [
        ("user_id",),
        ("user_id", "item_id"),
        ("store_id", "day"),
    ]
    assert [table_of(model).grain for model in (LIST, SERIES)] == [
        "user known at the as-of moment and item_id",
        "store known at the as-of moment and day",
    ]


def test_who_is_a_person_is_personal() -> None:
    personal = {column.name for model in (LIST, SERIES) for column in table_of(model).columns if column.personal}
    assert personal == {"user_id"}


def test_the_items_of_a_list_are_ranked_by_score_in_each_list() -> None:
    answers = indexed(
        ["u1", "u0", "u0", "u1", "u0"], item_id=["a", "b", "c", "d", "e"], score=[0.1, 0.2, 0.9, 0.5, 0.3]
    )
    frame = rows_of(LIST, answers, 3, AS_OF)
    assert list(zip(frame["user_id"], frame["rank"], frame["item_id"], strict=True)) == [
        ("u0", 1, "c"),
        ("u0", 2, "e"),
        ("u0", 3, "b"),
        ("u1", 1, "d"),
        ("u1", 2, "a"),
    ]
    assert {"percentile", "decile", "band"}.isdisjoint(frame.columns)
    assert frame["model_version"].unique() == [3]


def test_the_rows_of_a_series_are_its_days_and_what_is_declared() -> None:
    answers = indexed(["s1", "s1", "s2", "s2"], "store_id", day=[*DAYS, *DAYS], bills=[1.0, 2.0, 3.0, 5.0], note="x")
    frame = rows_of(SERIES, answers, 1, AS_OF)
    assert frame.columns.tolist() == ["store_id", "day", "model_version", "rung", "as_of", "bills", "note"]
    assert frame["bills"].tolist() == [1.0, 2.0, 3.0, 5.0]
    assert frame["as_of"].unique() == [AS_OF]
    schema = schema_of(SERIES, frame)
    assert {field.name: str(field.type) for field in schema} == {
        "store_id": "string",
        "day": "date32[day]",
        "model_version": "int32",
        "rung": "string",
        "as_of": "timestamp[us, tz=UTC]",
        "bills": "double",
        "note": "string",
    }


def test_one_figure_of_each_subject_by_hand() -> None:
    ranked = indexed(["u0", "u0", "u1"], item_id=["a", "b", "a"], score=[0.2, 0.9, 0.5])
    assert figure_of(LIST, ranked).to_dict() == {"u0": 0.9, "u1": 0.5}
    series = indexed(["s1", "s1", "s2"], "store_id", day=[*DAYS, DAYS[0]], bills=[1.0, 2.0, 4.0])
    assert figure_of(SERIES, series).to_dict() == {"s1": 1.5, "s2": 4.0}
    assert figure_of(REGULARS, indexed(["u0"], score=[0.3])).to_dict() == {"u0": 0.3}


def test_rows_of_every_shape_are_written_as_they_are(untrained: Path, tmp_path: Path) -> None:
    """The schema holds for the engine too: what is written is read back."""
    place = deployment(tmp_path)
    lists = indexed(["u0", "u0"], item_id=["a", "b"], score=[0.2, 0.9])
    series = indexed(["s1", "s1"], "store_id", day=[*DAYS], bills=[1.0, 2.0])
    for model, answers in ((LIST, lists), (SERIES, series)):
        frame = rows_of(model, answers, 1, datetime(2024, 6, 30, tzinfo=UTC))
        table = pa.Table.from_pandas(frame, schema=schema_of(model, frame), preserve_index=False)
        place.lake.write_batches(SHOP, "predictions/shapes", table.to_reader())
        rows = [row.asDict() for row in place.lake.table(SHOP, "predictions/shapes").collect()]
        key = list(table_of(model).key)
        assert [[row[name] for name in key] for row in rows] == frame[key].to_numpy().tolist()
