"""No query of a customer reads anything but its own inputs, or takes an engine minutes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from capflow_assets.errors import MappingError
from capflow_assets.landing import queries
from capflow_assets_tests.landing.query_attacks import ATTACKS, CANARY, INPUTS, LEGITIMATE, offered

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_attack_passes_the_judge_or_finds_anything(attack: str) -> None:
    """What is not refused has none but names of its own: those of nobody else."""
    try:
        text = queries.judged(attack, INPUTS, "qcafe").text
    except MappingError:
        return
    assert_own_names(text)


def assert_own_names(text: str) -> None:
    """Every table and every first part of a column is named by us."""
    from sqlglot import exp, parse_one

    tree = parse_one(text, dialect="spark")
    assert [table.sql() for table in tree.find_all(exp.Table) if not table.name.startswith("qcafe_")] == []
    assert [table.sql() for table in tree.find_all(exp.Table) if table.args.get("db")] == []
    firsts = [column.parts[0] for column in tree.find_all(exp.Column)]
    others = [first.name for first in firsts if not (first.name.startswith("qcafe_") or isinstance(first, exp.Star))]
    assert [name for name in others if name.upper() not in ("DAY", "MONTH", "YEAR", "HOUR")] == []


def answer_of(answer: Any, attack: str) -> str:
    try:
        return str(answer(attack).collect())
    except Exception as error:  # whatever is said, the canary is not in it
        return str(error)


def test_no_attack_finds_the_canary(spark: SparkSession) -> None:
    with offered(spark) as answer:
        assert CANARY in str(spark.sql("select * from others").collect())
        assert [attack for attack in ATTACKS if CANARY in answer_of(answer, attack)] == []


def spellings(attack: str) -> Iterator[str]:
    """An attack as others might write it: in capitals, quoted, within WITH, a subquery, EXISTS, a union, a comment."""
    yield attack.upper()
    yield attack.replace("others", "`others`").replace("canary", "`canary`")
    yield attack.replace("others", "OTHERS").replace(" from ", "/**/from\n")
    if attack.lstrip().lower().startswith("select"):
        yield f"with x as ({attack}) select * from x, orders, payments"
        yield f"select * from ({attack}) as x, orders, payments"
        yield f"select a from orders, payments where exists ({attack})"
        yield f"select a, ({attack}) as s from orders, payments"
        yield f"select a from orders, payments union all {attack}"
        yield f"select * from orders, payments, lateral ({attack}) as y"
        yield f"select a from orders, payments where a in ({attack})"


@pytest.mark.long
def test_no_spelling_of_an_attack_finds_the_canary(spark: SparkSession, jvm: SparkSession) -> None:
    texts = [spelling for attack in ATTACKS for spelling in spellings(attack)]
    for engine in (spark, jvm):
        with offered(engine) as answer:
            assert [text for text in texts if CANARY in answer_of(answer, text)] == []


@pytest.mark.parametrize("text", LEGITIMATE)
def test_what_is_legitimate_is_not_refused(text: str) -> None:
    assert queries.problem(text, INPUTS) is None
    assert_own_names(queries.judged(text, INPUTS, "qcafe").text)


@pytest.mark.parametrize(
    "text",
    [
        "select " + "(" * 3000 + "a" + ")" * 3000 + " as a from orders, payments",
        "select " + "not " * 4000 + "a as a from orders, payments",
        "select a from orders, payments where a in (" + ", ".join(map(str, range(6000))) + ")",
        "select a from " + ", ".join(["orders"] * 500) + ", payments",
        "select '" + "x" * 30_000 + "' as a from orders, payments",
        "select repeat(repeat(a, 1000), 100000) as a from orders, payments",
        "select explode(sequence(1, 1000000000)) as a from orders, payments",
    ],
)
def test_what_would_take_an_engine_minutes_is_refused(text: str) -> None:
    with pytest.raises(MappingError):
        queries.judged(text, INPUTS, "qcafe")
