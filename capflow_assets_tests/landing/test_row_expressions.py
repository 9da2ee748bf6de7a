"""Expressions over one row: what they mean, what they use, and what of them reaches the engine."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capflow_assets.errors import MappingError
from capflow_assets.landing import row_expressions
from capflow_assets.landing.mappings import mentioned
from capflow_assets.landing.row_expressions import vocabulary
from capflow_assets.landing.row_expressions.lexing import unescaped
from capflow_assets.landing.row_expressions.tree import Text, spelled
from capflow_assets_tests.landing.expression_cases import EQUAL, ROWS, SCHEMA

if TYPE_CHECKING:
    from pyspark.sql import Column, SparkSession

ODD = (
    "'",
    '"',
    "`",
    "\\",
    "$$",
    "${x}",
    "--",
    "/*",
    "*/",
    "\r",
    "\n",
    "\0",
    "\u017f",
    "\u2028",
    "\ufeff",
    ";",
    "😀",
    "\\u0027",
)
odd_texts = st.lists(st.one_of(st.sampled_from(ODD), st.text(max_size=3)), max_size=6).map("".join)


def values(session: SparkSession, columns: list[Column]) -> list[tuple[Any, ...]]:
    frame = session.createDataFrame(ROWS, SCHEMA).coalesce(1)
    named = [column.alias(f"c{place}") for place, column in enumerate(columns)]
    selected = frame.select(*named)
    return [tuple(selected.dtypes), *map(tuple, selected.collect())]


def equal(session: SparkSession, texts: Sequence[str]) -> None:
    from pyspark.sql import functions as F

    names = session.createDataFrame(ROWS, SCHEMA).columns
    by_engine = values(session, [F.expr(text) for text in texts])
    by_us = values(session, [row_expressions.expression(text, names) for text in texts])
    for place, text in enumerate(texts):
        assert [repr(row[place]) for row in by_us] == [repr(row[place]) for row in by_engine], text


def test_expressions_mean_what_the_engine_makes_of_their_text(spark: SparkSession) -> None:
    equal(spark, EQUAL)


def test_some_of_them_on_a_jvm(jvm: SparkSession) -> None:
    equal(jvm, EQUAL[::40])


@pytest.mark.long
def test_all_of_them_on_a_jvm(jvm: SparkSession) -> None:
    for first in range(0, len(EQUAL), 40):
        equal(jvm, EQUAL[first : first + 40])


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("`Unit price` * `Pieces`", ("Unit price", "Pieces")),
        ("PIECES + pieces", ("Pieces",)),
        ("'Pieces' || a", ("a",)),
        ("a -- Pieces", ("a",)),
        ("Total (net)", ("Total (net)",)),
        ("transform(split(a, ','), Pieces -> Pieces || a)[0]", ("a",)),
        ("1 + 1", ()),
        ("a.Pieces", ("a",)),
    ],
)
def test_the_columns_that_a_text_uses(text: str, columns: tuple[str, ...]) -> None:
    names = ["Pieces", "Unit price", "a", "Total (net)"]
    assert row_expressions.columns_used(text, names) == columns
    assert mentioned(names, [text]) == [name for name in names if name in columns]


def test_a_parameter_hides_no_column() -> None:
    sql = row_expressions.spelling("transform(split(a, ','), x -> x || Item_1)[0]", ["a", "Item_1"])
    assert sql == "transform(split(`a`, ','), item_2 -> item_2 || `Item_1`)[0]"


def test_columns_that_differ_in_capital_letters_alone_are_told_apart_by_nobody() -> None:
    for text in ("upper(Id)", "ID", "`id` || 'x'"):
        with pytest.raises(MappingError, match="'Id', 'ID'"):
            row_expressions.expression(text, ["Id", "ID", "x"])


@pytest.mark.parametrize(
    "name", ["Total (net)", "Customer's name", 'Size 12"', "Receipt No", "sum(amount)", "now", "user", "first(name",
             "5%", "Ärger & Co", "a/b", "Price (EUR)", "Is it? (y/n)", "user_id"],
)  # fmt: skip
def test_what_may_be_a_columns_name_is_left_to_the_landing(name: str) -> None:
    assert row_expressions.problem(name) is None
    assert row_expressions.columns_used(name, [name, "b"]) == (name,)


@settings(max_examples=150, deadline=None)
@given(odd_texts)
def test_no_text_ends_before_its_end(text: str) -> None:
    written = spelled(Text(text))
    body = written[1:-1]
    assert (written[0], written[-1]) == ("'", "'")
    # Whether a reader knows escapes or not, and whatever letters it takes for others, nothing in it ends the text.
    assert re.fullmatch(r"(?:[A-Za-z0-9 _.,:-]|\\u[0-9a-f]{4}|\\U[0-9a-f]{8})*", body)
    assert "--" not in body
    assert unescaped(body) == text


@pytest.mark.parametrize("name", ["spark", "jvm"])
def test_texts_survive_as_they_are(name: str, request: pytest.FixtureRequest) -> None:
    session: SparkSession = request.getfixturevalue(name)
    texts = [*ODD, "".join(ODD), "it's $$ -- /* ' */ ${env:HOME} \u017felect"]
    columns = [row_expressions.expression(f"concat({_literal(text)}, a)", ["a"]).alias(f"c{place}")
               for place, text in enumerate(texts)]  # fmt: skip
    frame = session.createDataFrame([("!",)], "a string")
    assert list(frame.select(*columns).collect()[0]) == [f"{text}!" for text in texts]


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


@settings(max_examples=40, deadline=None)
@given(st.lists(odd_texts.filter(lambda name: name.strip() and "\0" not in name and "${" not in name), min_size=1,
                max_size=8, unique_by=str.lower))  # fmt: skip
def test_columns_of_any_name_are_themselves(spark: SparkSession, names: list[str]) -> None:
    import pyspark.sql.types as t

    schema = t.StructType([t.StructField(name, t.StringType()) for name in names])
    frame = spark.createDataFrame([tuple(f"v{place}" for place, _ in enumerate(names))], schema)
    alone = [row_expressions.expression(name, names).alias(f"a{place}") for place, name in enumerate(names)]
    within = [row_expressions.expression("upper(`" + name.replace("`", "``") + "`)", names).alias(f"w{place}")
              for place, name in enumerate(names)]  # fmt: skip
    row = tuple(frame.select(*alone, *within).collect()[0])
    assert row == (*(f"v{place}" for place, _ in enumerate(names)), *(f"V{place}" for place, _ in enumerate(names)))


def test_a_name_that_spark_would_replace_stands_alone(jvm: SparkSession) -> None:
    names = ["${env:HOME}", "b"]
    with pytest.raises(MappingError, match="rename it"):
        row_expressions.expression("upper(`${env:HOME}`)", names)
    frame = jvm.createDataFrame([("x", "y")], "b string, c string").toDF(*names)
    assert frame.select(row_expressions.expression(names[0], names)).collect()[0][0] == "x"


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60) | odd_texts)
def test_whatever_is_written_is_an_expression_or_refused(text: str) -> None:
    try:
        row_expressions.spelling(text)
    except MappingError as error:
        assert len(str(error)) < 2000  # noqa: PT017


def test_no_function_is_both_sanctioned_and_refused() -> None:
    assert not vocabulary.FUNCTIONS & set(vocabulary.REASONS)


def test_a_library_is_loaded_for_an_expression_alone() -> None:
    program = (
        "import sys, capflow_assets.definitions\n"
        "from capflow_assets.landing.row_expressions import columns_used, problem\n"
        "assert problem('user_id') is None and columns_used('a b', ['a b'])\n"
        "assert 'sqlglot' not in sys.modules\n"
        "assert problem('upper(name) ||') is None and 'sqlglot' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
