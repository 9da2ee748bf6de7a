"""No mapping reads another customer's rows or files, makes several rows of one, or stops more than its own table.

On the real engine, with a table and files of another customer in its reach. Whatever is not refused is computed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from pyspark.errors import PySparkException

from capflow_assets.contract import Column, Table
from capflow_assets.errors import MappingError
from capflow_assets.landing import row_expressions
from capflow_assets.landing.canonical_rows import conform
from capflow_assets.landing.row_expressions.lexing import MOST_CHARACTERS
from capflow_assets_tests.landing.expression_spellings import CANARY, COLUMNS, DISGUISES, PAYLOADS, spellings
from capflow_assets_tests.reliability import record

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

TABLE = Table(grain="r", columns=(Column("value", "string", ""),))
ROWS = [("u1", 1.5, "Ann", "x", "y"), ("u2", 2.5, "Bob", None, "z")]
READS = "(select concat_ws(';', collect_list(secret)) from delta.`{table}`)"
NAMED = {
    "a raw text": rf"r'\' || {READS} || r'\'",
    "a letter that is lowered to s": READS.replace("(select", "(\u017felect"),
    "a carriage return": "user_id || -- x\r (select max(value) from text.`{file}`)",
    "dollar quotes": f"$$'$$ || {READS} || $$'$$",
    "nested comments": f"/* /* */ ' */ {READS} /* ' */",
}
REFUSED = {
    "`explode`(split('a,b', ','))": "'explode', which makes several rows of one",
    "`now`()": "'now', which gives something else every time",
    "`uuid`()": "'uuid', which gives something else every time",
    "unix_timestamp()": "'unix_timestamp()', which gives something else every time",
    "current_user()": "'current_user', which tells of the session",
    "input_file_name()": "'input_file_name', which reaches outside the row",
    "count(*)": "'count', which sums up many rows",
    "*": "'*', which is every column",
    "user_id.*": "A mapping cannot be read",
    "max(amount) over ()": "'max', which sums up many rows",
    "lag(amount) over (order by user_id)": "'lag', which looks at other rows",
    "amount in (select 1)": "'select', which reads another table",
    "exists(select 1)": "'select', which reads another table",
    "transform(split(name, ','), x -> explode(array(x)))": "'explode', which makes several rows of one",
    "x -> x": "A mapping holds a function of its own",
    "upper(str => name)": "A mapping names an argument",
    "cast('now' as timestamp)": "gives something else every time",
    "timestamp 'now'": "begins with a digit",
    "cast(name as nonsense)": "names a type that there is not",
    "upperr(name)": "did you mean upper",
    "from_xml(name, 'a int')": "'from_xml', which reaches outside the row",
    "'a' || '\\ud800'": "names no character",
    "name || :name": "A mapping cannot be read",
    "name || ?": "A mapping cannot be read",
    "(amount, name)": "holds a list",
    "raise_error(name)": "'raise_error', which stops the whole table",
}


@pytest.fixture(scope="module")
def places(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("lake") / "acme"
    rows = spark.createDataFrame([(f"{CANARY} {number}",) for number in range(3)], "secret string")
    locations = {
        "table": str(folder / "raw" / "users"),
        "parquet": str(folder / "parquet"),
        "file": str(folder / "a.txt"),
    }
    rows.write.format("delta").save(locations["table"])
    rows.write.parquet(locations["parquet"])
    Path(locations["file"]).write_text(f"{CANARY}\n")
    return locations


@pytest.fixture(scope="module")
def frame(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame(ROWS, ", ".join(f"`{name.replace('`', '``')}` {kind}" for name, kind in zip(
        COLUMNS, ("string", "double", "string", "string", "string"), strict=True)))  # fmt: skip


def placed(text: str, places: dict[str, str]) -> str:
    for name, path in places.items():
        text = text.replace(f"{{{name}}}", path)
    return text


def _silent(error: Exception, became: str) -> str:
    """The text itself may be shown; what it would have read may not."""
    assert CANARY not in str(error)
    return became


def judged(frame: DataFrame, text: str) -> str:
    """What became of a mapping; whatever the engine says or gives must not hold a canary, or more rows than sent."""
    try:
        expression = row_expressions.expression(text, frame.columns)
    except MappingError as error:
        return _silent(error, "refused")
    try:
        values: list[Any] = [row[0] for row in frame.select(expression.alias("value").cast("string")).collect()]
        again: list[Any] = [row[0] for row in frame.select(expression.alias("value").cast("string")).collect()]
    except PySparkException as error:
        return _silent(error, "not computed")
    assert len(values) == len(ROWS), text
    assert values == again, text
    assert not any(CANARY in (value or "") for value in values), text
    return "computed"


@pytest.mark.parametrize("name", NAMED)
def test_what_a_filter_of_words_let_through(frame: DataFrame, places: dict[str, str], name: str) -> None:
    from pyspark.sql import functions as F

    text = placed(NAMED[name], places)
    assert CANARY in str(frame.select(F.expr(text)).collect())  # or else this would prove nothing
    with pytest.raises(MappingError):
        conform(frame, TABLE, {"value": text}, zone="UTC")


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_refused_says_why(frame: DataFrame, text: str) -> None:
    with pytest.raises(MappingError) as caught:
        conform(frame, TABLE, {"value": text}, zone="UTC", name="raw/bills")
    assert REFUSED[text] in str(caught.value)
    assert "To do: " in str(caught.value) or "Expected: " in str(caught.value)
    assert f"raw/bills, value = {text!r}" in str(caught.value)


def test_every_payload_in_every_disguise_is_refused(frame: DataFrame, places: dict[str, str]) -> None:
    texts = [placed(way.replace("{{", "{").replace("}}", "}").replace("{}", payload), places)
             for way in ("{}", *DISGUISES) for payload in PAYLOADS]  # fmt: skip
    became = [judged(frame, text) for text in texts]
    assert became.count("refused") == len(texts)


@pytest.mark.parametrize("star", ["*", "struct(*)", "to_json(struct(*))"])
def test_a_star_in_any_disguise_gives_the_row_itself_or_is_refused(
    frame: DataFrame, places: dict[str, str], star: str
) -> None:
    texts = [placed(way.replace("{{", "{").replace("}}", "}").replace("{}", star), places) for way in DISGUISES]
    # ``judged`` holds what is computed to one value a row, the same twice, and no canary.
    assert {judged(frame, text) for text in texts} <= {"refused", "computed", "not computed"}


def test_a_star_in_a_function_is_every_column_of_the_source(frame: DataFrame) -> None:
    expression = row_expressions.expression("to_json(struct(*))", frame.columns)
    values = [json.loads(row[0]) for row in frame.select(expression.alias("value")).collect()]
    assert values == [
        {name: value for name, value in zip(frame.columns, row, strict=True) if value is not None} for row in ROWS
    ]


def attacked(frame: DataFrame, places: dict[str, str], count: int) -> dict[str, int]:
    """What became of ``count`` generated spellings."""
    counts: dict[str, int] = {}

    @settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(spellings())
    def attack(text: str) -> None:
        became = judged(frame, placed(text, places))
        counts[became] = counts.get(became, 0) + 1

    attack()
    return counts


def test_generated_spellings(frame: DataFrame, places: dict[str, str]) -> None:
    assert attacked(frame, places, 200).get("refused", 0) > 100


@pytest.mark.long
def test_a_thousand_generated_spellings(frame: DataFrame, places: dict[str, str]) -> None:
    counts = attacked(frame, places, 1000)
    record("hostile mapping expressions", generated=sum(counts.values()), reached_another=0, **counts)
    assert sum(counts.values()) >= 1000
    assert counts["refused"] > 500


DEEP = {
    "parentheses": ("(" * 20_000, "name", ")" * 20_000),
    "some parentheses": ("(" * 5_000, "name", ")" * 5_000),
    "functions": ("upper(" * 3_000, "name", ")" * 3_000),
    "NOT": ("not " * 4_900, "true", ""),
    "signs": ("- " * 9_000, "1", ""),
    "tildes": ("~" * 19_000, "1", ""),
    "CASE": ("case when true then " * 900, "1", " end" * 500),
    "div": ("amount div " * 12, "2", ""),
    "lists of lists": ("array(" * 6, "amount", ")[0]" * 6),
    "coalesce": ("coalesce(" * 20, "amount", ", 0)" * 20),
    "hex": ("hex(" * 30, "amount", ")" * 30),
    "BETWEEN": ("cast((" * 15, "amount", " between 0 and 2) as int)" * 15),
    "CASE of a value": ("case (" * 15, "amount", ") when 1 then 1 else 2 end" * 15),
    "sums": ("", "1", " + 1" * 4_000),
    "comparisons": ("", "1", " = 1" * 4_000),
    "truths": ("", "true", " and true" * 2_000),
    "parts": ("", "name", "[0]" * 6_000),
    "fields": ("", "name", ".a" * 9_000),
    "casts": ("", "name", "::string" * 2_000),
    "lists": ("array(" * 3_000, "1", ")" * 3_000),
    "types": ("cast(name as " + "array<" * 3_000, "int", ">" * 3_000 + ")"),
    "lambdas": ("transform(name, x -> " * 900, "x", ")" * 900),
    "brackets": ("name[" * 3_000, "0", "]" * 3_000),
    "comments": ("/*" * 9_000, "name", ""),
    "quotes": ("'" * 19_999, "", ""),
    "backquotes": ("`" * 19_999, "", ""),
    "both sides": ("(1 + " * 2_000, "1", " + 1)" * 2_000),
    "intervals": ("interval " * 2_000, "1 day", ""),
    "a billion signs": ("repeat(name, ", "1000000000", ")"),
    "a billion signs by steps": ("repeat(" * 3, "name", ", 1000)" * 3),
    "a billion signs computed": ("repeat(name, ", "1000 * 1000 * 1000", ")"),
    "a billion signs shifted": ("rpad(name, ", "1 << 30", ", 'x')"),
    "a billion signs as text": ("space(", "'1e9'", ")"),
    "a width": ("printf('%0", "2000000000", "d', 1)"),
    "a long list": ("size(sequence(1, ", "1e12", "))"),
    "loops in loops": ("transform(sequence(1, 9999), x -> size(" * 3, "sequence(1, 9999)", "))" * 3),
    "a huge text": ("'" + "x" * 1_000_000, "", "'"),
}


@pytest.mark.parametrize("kind", DEEP)
def test_what_is_too_deep_or_too_long_is_refused_before_the_engine_sees_it(kind: str) -> None:
    text = "".join(DEEP[kind])
    error = row_expressions.problem(text)
    assert error is not None
    assert len(str(error)) < 1500
    with pytest.raises(MappingError):
        row_expressions.expression(text, COLUMNS)


@pytest.mark.parametrize(
    ("before", "inner", "after"),
    [
        ("replace(", "name", ", 'a', 'b')"),
        ("hex(", "amount", ")"),
        ("array(", "amount", ")[0]"),
        ("cast((", "amount", " between 0 and 2) as int)"),
        ("case (", "amount", ") when 1 then 1 when 2 then 3 else 2 end"),
        ("(" , "amount", " + 1)"),
        ("abs(", "amount", ")"),
        ("case when amount > 0 then ", "amount", " else 0 end"),
        ("not (", "amount > 0", ")"),
        ("- (", "amount", ")"),
        ("if(amount > 0, ", "amount", ", 0)"),
        ("coalesce(1 * (2 + ", "amount", "), 0)"),
    ],
)  # fmt: skip
def test_what_is_as_deep_as_may_be_is_computed(frame: DataFrame, before: str, inner: str, after: str) -> None:
    depth = next(n for n in range(200) if row_expressions.problem(before * (n + 1) + inner + after * (n + 1)))
    assert depth >= 2
    assert judged(frame, before * depth + inner + after * depth) == "computed"


@pytest.mark.parametrize(
    "text",
    [
        "lpad(user_id, 10, '0') || rpad(name, greatest(length(name), 12), '.') || space(3)",
        "format_number(amount, 2) || format_string('%05d', cast(amount as int))",
        "aggregate(sequence(1, 40), 0, (sum, each) -> sum + each)",
        "repeat('*', cast(amount as int))",
    ],
)
def test_what_makes_some_of_one_row_is_computed(frame: DataFrame, text: str) -> None:
    assert judged(frame, text) == "computed"


@pytest.mark.parametrize("sign", ["+", "||", "and", "=", "*"])
def test_as_many_operators_as_may_be_are_computed(frame: DataFrame, sign: str) -> None:
    operand = {"||": "name", "and": "true", "=": "true"}.get(sign, "amount")
    text = f" {sign} ".join([operand] * 250)
    assert judged(frame, text) == "computed"
    wide = f"name in ({', '.join(repr(str(number)) for number in range(1_500))})"
    assert len(wide) < MOST_CHARACTERS
    assert judged(frame, wide) == "computed"
    cases = "case " + " ".join(f"when amount = {number} then 'x{number}'" for number in range(400)) + " end"
    assert judged(frame, cases) == "computed"
