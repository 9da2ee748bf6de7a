"""A table's schema, declared with pandera and evaluated in one pass over the rows.

pandera asks one query per rule, and fetches every failing row of a failed one. Here its schema is the declaration, one
aggregate query counts the rows that break each of its rules, and at most ten rows of a broken rule are fetched. The
tests hold the verdicts against pandera's own. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Column, Finding, Scalar, Severity, Table
from capflow_assets.errors import GraphError, listed

if TYPE_CHECKING:
    from pandera.pyspark import Check, DataFrameSchema
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

SAMPLED_ROWS = 10
SHOWN_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a schema: its name, its words, and what is true of a row that breaks it."""

    name: str
    words: str
    broken: Expression
    severity: Severity = "block"


def pandera_schema(table: Table) -> DataFrameSchema:
    """The table's schema in pandera's words: types, required columns, bounds, allowed values, patterns and the key.

    A pattern has to match the whole value. Columns that are not declared are not checked.
    """
    from pandera.pyspark import Column as Declared
    from pandera.pyspark import DataFrameSchema

    columns = {
        column.name: Declared(
            _type(column),
            _checks(column),
            nullable=not column.required,
            name=column.name,
            description=column.description,
        )
        for column in table.columns
    }
    return DataFrameSchema(columns, unique=list(table.key) or None, strict=False)


def evaluate(frame: DataFrame, table: Table, *, at_most_share_pct: float = 0.0) -> list[Finding]:
    """One finding per rule of the table's schema, of the severity that the column declares.

    A rule passes where no more than ``at_most_share_pct`` of the rows break it: none, as pandera has it.

    The columns' presence and types are read off the frame; all other rules are one query. ``found`` holds ``rows`` (all
    there are) and ``breaking`` (the rows that break the rule; of a key, the rows beyond the first of each). ``sample``
    holds at most ten such rows. Rules of a column that is missing or of another type are not asked.

    Raises:
        GraphError: the schema holds a type or a check that is not known here.
    """
    schema = pandera_schema(table)
    columns, sound = _columns(frame, schema)
    key = [name for name in schema.unique or [] if name in sound]
    severities = {column.name: column.severity for column in table.columns}
    rules = [
        rule
        for name, declared in schema.columns.items()
        if name in sound
        for rule in _rules(name, declared, severities[name])
    ]
    if key and len(key) < len(schema.unique or []):
        key = []
    rows, duplicates, counts = _counted(frame, rules, key)
    allowed = at_most_share_pct * rows / 100
    of_rules = (_finding(frame, rule, rows, broken, allowed) for rule, broken in zip(rules, counts, strict=True))
    findings = [columns, *of_rules]
    return [*findings, _key_finding(frame, key, rows, duplicates, allowed)] if key else findings


def _type(column: Column) -> Any:
    import pyspark.sql.types as st

    known = (st.StringType, st.LongType, st.IntegerType, st.DoubleType, st.BooleanType, st.DateType, st.TimestampType)
    types: dict[str, Any] = {kind().simpleString(): kind() for kind in known}
    types |= {f"array<{name}>": st.ArrayType(kind) for name, kind in types.items()}
    if column.type not in types:
        raise GraphError("A column has no known type", expected=" ".join(types), came=column.type, where=column.name)
    return types[column.type]


def _checks(column: Column) -> list[Check]:
    from pandera.pyspark import Check

    checks = []
    if column.at_least is not None:
        checks.append(Check.greater_than_or_equal_to(column.at_least))
    if column.above is not None:
        checks.append(Check.greater_than(column.above))
    if column.at_most is not None:
        checks.append(Check.less_than_or_equal_to(column.at_most))
    if column.one_of:
        checks.append(Check.isin(list(column.one_of)))
    if column.matches is not None:
        checks.append(Check.str_matches(f"^(?:{column.matches})$"))
    return checks


def evaluations() -> Mapping[str, Callable[[Expression, Mapping[str, Any]], tuple[str, Expression]]]:
    """By the name of a pandera check: its words, and what breaks it (null where the value is)."""
    return {
        "greater_than_or_equal_to": lambda value, rule: (
            f"at least {rule['min_value']}",
            value < rule["min_value"],
        ),
        "greater_than": lambda value, rule: (f"above {rule['min_value']}", value <= rule["min_value"]),
        "less_than_or_equal_to": lambda value, rule: (f"at most {rule['max_value']}", value > rule["max_value"]),
        "isin": lambda value, rule: (
            f"one of {', '.join(rule['allowed_values'])}",
            ~value.isin(list(rule["allowed_values"])),
        ),
        "str_matches": lambda value, rule: (f"text like {rule['pattern']}", ~value.rlike(rule["pattern"])),
    }


def _rules(name: str, declared: Any, severity: Severity) -> Iterator[Rule]:
    from pyspark.sql import functions as F

    value = F.col(name)
    if not declared.nullable:
        yield Rule(f"{name} not_nullable", f"{name} is never empty", value.isNull(), severity)
    known = evaluations()
    for check in declared.checks:
        if check.name not in known:
            expected = f"one of {', '.join(known)}"
            raise GraphError("A schema holds a check that is not evaluated", expected=expected, came=check.name)
        words, broken = known[check.name](value, check.statistics)
        yield Rule(f"{name} {check.error}", f"{name} is {words}", F.coalesce(broken, F.lit(False)), severity)


def _columns(frame: DataFrame, schema: DataFrameSchema) -> tuple[Finding, set[str]]:
    """Whether the declared columns are there with their types, and which of them are."""
    from pandera.engines.pyspark_engine import Engine

    types = {field.name: field.dataType for field in frame.schema.fields}
    wrong = {}
    for name, declared in schema.columns.items():
        if name not in types:
            wrong[name] = "missing"
        elif not declared.dtype.check(Engine.dtype(types[name])):
            wrong[name] = f"{types[name].simpleString()} instead of {declared.dtype.type.simpleString()}"
    message = listed((f"{name} is {what}" for name, what in wrong.items()), "; ")
    finding = Finding(
        check="columns",
        passed=not wrong,
        message=message or f"all {len(schema.columns)} columns are there with their types",
        severity="block",
        found={"columns": len(schema.columns), "breaking": len(wrong)},
    )
    return finding, set(schema.columns) - set(wrong)


def _counted(frame: DataFrame, rules: list[Rule], key: list[str]) -> tuple[int, int, list[int]]:
    """The rows, the rows beyond the first of each key, and the rows that break each rule: one query.

    Keys are counted by their hashes, which are fast to tell apart beside other sums. Equal keys have equal hashes, so
    only where hashes repeat are the keys themselves counted, in a second query.
    """
    from pyspark.sql import functions as F

    different = F.countDistinct(F.xxhash64(*key)) if key else F.count(F.lit(1))
    sums = [F.count_if(rule.broken).alias(f"broken_{place}") for place, rule in enumerate(rules)]
    row = frame.agg(F.count(F.lit(1)).alias("rows"), different.alias("different"), *sums).collect()[0]
    rows, repeated = int(row[0]), int(row[0]) - int(row[1])
    if repeated:
        # A struct is never null, so keys that hold nulls are compared like others, as pandera's grouping does.
        repeated = rows - int(frame.agg(F.countDistinct(F.struct(*key))).collect()[0][0])
    return rows, repeated, [int(count) for count in row[2:]]


def _finding(frame: DataFrame, rule: Rule, rows: int, broken: int, allowed: float) -> Finding:
    message = f"{rule.words}: {broken:,} of {rows:,} rows break it" if broken else rule.words
    sample = _sample(frame.where(rule.broken)) if broken > allowed else ()
    return Finding(rule.name, broken <= allowed, message, rule.severity, {"rows": rows, "breaking": broken}, sample)


def _key_finding(frame: DataFrame, key: list[str], rows: int, duplicates: int, allowed: float) -> Finding:
    from pyspark.sql import functions as F

    words = f"{', '.join(key)} {'is' if len(key) == 1 else 'are together'} unique"
    message = f"{words}: {duplicates:,} of {rows:,} rows repeat another" if duplicates else words
    repeated = frame.groupBy(*key).agg(F.count(F.lit(1)).alias("rows")).where("rows > 1")
    sample = _sample(repeated.orderBy(F.desc("rows"), *key)) if duplicates > allowed else ()
    counts = {"rows": rows, "breaking": duplicates}
    return Finding(f"{', '.join(key)} unique", duplicates <= allowed, message, "block", counts, sample)


def _sample(frame: DataFrame) -> tuple[dict[str, Scalar], ...]:
    return tuple(
        {name: _scalar(value) for name, value in row.asDict().items()} for row in frame.limit(SAMPLED_ROWS).collect()
    )


def _scalar(value: Any) -> Scalar:
    """What people and JSON can read of a value."""
    plain = isinstance(value, bool | int) or (isinstance(value, float) and isfinite(value))
    return value if value is None or plain else str(value)[:SHOWN_CHARACTERS]
