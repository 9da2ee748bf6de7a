"""Schema checks in one pass: verdicts as pandera's own, counts by hand, one query, samples that end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capflow_assets.blueprint import schema_checks
from capflow_assets.blueprint.schema_checks import evaluate, pandera_schema
from capflow_assets.contract import Column, Finding, Table
from capflow_assets.errors import GraphError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

TABLE = Table(
    grain="row",
    columns=(
        Column("id", "string", "", required=True),
        Column("day", "int", "", required=True, above=0),
        Column("amount", "double", "", at_least=-1, at_most=90),
        Column("kind", "string", "", one_of=("x", "y")),
        Column("code", "string", "", matches="[a-z]+|7"),
        Column("at", "timestamp", ""),
        Column("on", "date", ""),
        Column("ok", "boolean", ""),
        Column("number", "bigint", "", at_least=3),
    ),
    key=("id", "day"),
)
SCHEMA = (
    "id string, day int, amount double, kind string, code string, `at` timestamp, `on` date, ok boolean, number bigint"
)


def of(spark: SparkSession, rows: list[tuple[Any, ...]]) -> DataFrame:
    return spark.createDataFrame([(*row, None, None, None, 3) for row in rows], SCHEMA)


def failed(findings: list[Finding]) -> dict[str, int]:
    return {finding.check: int(finding.found["breaking"] or 0) for finding in findings if not finding.passed}


def test_a_good_table(spark: SparkSession) -> None:
    findings = evaluate(of(spark, [("a", 1, 0.5, "x", "abc"), ("a", 2, None, None, "7")]), TABLE)
    assert failed(findings) == {}
    assert all(finding.severity == "block" and not finding.sample for finding in findings)
    assert {finding.found["rows"] for finding in findings if "rows" in finding.found} == {2}
    assert len(findings) == 1 + 2 + 6 + 1


def test_every_rule_counts_the_rows_that_break_it(spark: SparkSession) -> None:
    rows = [
        ("a", 1, 0.5, "x", "abc"),
        ("a", 1, -1.5, "z", "abc7"),
        ("a", 1, 91.0, "z", "7x"),
        (None, 0, float("nan"), None, None),
        (None, 0, -2.0, "y", "A"),
    ]
    findings = evaluate(of(spark, rows), TABLE)
    assert failed(findings) == {
        "id not_nullable": 2,
        "day greater_than(0)": 2,
        "amount greater_than_or_equal_to(-1)": 2,
        "amount less_than_or_equal_to(90)": 2,
        "kind isin(['x', 'y'])": 2,
        "code str_matches('^(?:[a-z]+|7)$')": 3,
        "id, day unique": 3,
    }
    by_check = {finding.check: finding for finding in findings}
    assert by_check["kind isin(['x', 'y'])"].message == "kind is one of x, y: 2 of 5 rows break it"
    assert {row["amount"] for row in by_check["kind isin(['x', 'y'])"].sample} == {-1.5, 91.0}
    assert by_check["id, day unique"].sample == ({"id": "a", "day": 1, "rows": 3}, {"id": None, "day": 0, "rows": 2})
    assert {row["amount"] for row in by_check["amount less_than_or_equal_to(90)"].sample} == {91.0, "nan"}


def test_columns_that_are_missing_or_of_another_type(spark: SparkSession) -> None:
    frame = of(spark, [("a", -1, -5.0, "z", "a")]).drop("kind").withColumnRenamed("id", "key")
    findings = evaluate(
        frame.selectExpr("key", "amount", "code", "`at`", "`on`", "ok", "number", "1L as day", "key as more"), TABLE
    )
    assert failed(findings) == {"columns": 3, "amount greater_than_or_equal_to(-1)": 1}
    assert findings[0].message == "id is missing; day is bigint instead of int; kind is missing"


def test_an_empty_table(spark: SparkSession) -> None:
    assert failed(evaluate(of(spark, []), TABLE)) == {}


def test_samples_end(spark: SparkSession) -> None:
    findings = evaluate(of(spark, [("a" * 1000, -n, None, None, None) for n in range(100)]), TABLE)
    sample = next(finding.sample for finding in findings if finding.check == "day greater_than(0)")
    assert len(sample) == 10
    assert {len(str(row["id"])) for row in sample} == {200}


def test_one_query_where_nothing_fails(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyspark.sql.connect.client import SparkConnectClient

    plans: list[str] = []
    run = SparkConnectClient.to_table

    def counted(self: SparkConnectClient, plan: Any, *rest: Any, **more: Any) -> Any:
        plans.append(str(plan))
        return run(self, plan, *rest, **more)

    monkeypatch.setattr(SparkConnectClient, "to_table", counted)
    evaluate(of(spark, [("a", 1, 0.5, "x", "abc")]), TABLE)
    assert len(plans) == 1
    evaluate(of(spark, [("a", -1, 0.5, "z", "abc")]), TABLE)
    assert len(plans) == 1 + 1 + 2


def test_what_a_schema_must_not_hold(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GraphError, match="no known type"):
        pandera_schema(Table(grain="r", columns=(Column("a", "text", ""),)))
    known = schema_checks.evaluations()
    monkeypatch.setattr(schema_checks, "evaluations", lambda: {name: known[name] for name in known if name != "isin"})
    with pytest.raises(GraphError, match="not evaluated"):
        evaluate(of(spark, []), TABLE)


def own_verdicts(frame: DataFrame) -> set[str]:
    """What pandera itself finds broken, in our words."""
    errors = pandera_schema(TABLE).validate(frame).pandera.errors
    failures = [failure for kinds in errors.values() for each_kind in kinds.values() for failure in each_kind]
    return {
        f"{failure['column']} {failure['check']}" if failure["column"] else "id, day unique" for failure in failures
    }


ROWS = st.tuples(
    st.sampled_from([None, "a", "b"]),
    st.sampled_from([None, 0, 1, 2]),
    st.sampled_from([None, -1.0, -1.01, 0.0, 90.0, 90.5, float("nan"), float("inf")]),
    st.sampled_from([None, "x", "y", "z", ""]),
    st.sampled_from([None, "abc", "7", "77", "A", "abc\n", ""]),
)
GOOD_ROWS = st.tuples(
    st.sampled_from(["a", "b"]), st.sampled_from([1, 2, 3]), st.just(0.0), st.just("x"), st.sampled_from(["abc", None])
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.one_of(st.lists(ROWS, max_size=6), st.lists(GOOD_ROWS, max_size=3)))
def test_verdicts_equal_panderas_own(spark: SparkSession, rows: list[tuple[Any, ...]]) -> None:
    frame = of(spark, rows)
    assert set(failed(evaluate(frame, TABLE))) == own_verdicts(frame)


def test_the_same_on_a_jvm(spark: SparkSession, jvm: SparkSession) -> None:
    rows = [("a", 1, float("nan"), "z", "abc8"), ("a", 1, -5.0, "x", "7"), (None, None, 91.0, None, "A")]
    counts = [failed(evaluate(of(session, rows), TABLE)) for session in (spark, jvm)]
    assert counts[0] == counts[1]
    assert counts[0]["id, day unique"] == 1
