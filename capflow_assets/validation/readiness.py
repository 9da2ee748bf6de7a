"""Readiness: which models a customer can have, and for each that it cannot, what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Column, Reason, Requirements, Table, Verdict
from capflow_assets.contract.needs import JUDGING
from capflow_assets.expressions.days import local_day_of
from capflow_assets.learning.measures import MEASURES
from capflow_assets.learning.readiness import feed, judge

if TYPE_CHECKING:
    from datetime import datetime

    from pyspark.sql import DataFrame

TABLE = Table(
    grain="model (null: what holds for all of them) and need",
    columns=(
        Column("model", "string", "The model; null for what holds for all of them."),
        Column("need", "string", "A table or a measure of validation/evidence; judging: … if to judge.", required=True),
        Column("position", "int", "The need's place among those of the model, from 1.", required=True, at_least=1),
        Column("readiness", "string", "Of this need.", required=True, one_of=("ready", "at risk", "not ready")),
        Column("found", "double", "What was found; null where it is unknown. Of a table: 1 if it has rows."),
        Column("needed", "double", "What is needed; of the feed, the most days without a bill.", required=True),
        Column("unit", "string", "What both count.", required=True),
        Column("fix", "string", "What would close the gap, and when; what judging waits for; empty where it is met."),
        Column("risk", "string", "Why a need that is met may soon not be; empty where nothing speaks for it."),
        Column("as_of", "timestamp", "The moment up to which rows were read.", required=True),
    ),
    key=("model", "need"),
)


def readiness(evidence: DataFrame, as_of: datetime, zone: str, needs: Mapping[str, Requirements]) -> DataFrame:
    """For each model whether the customer's evidence is enough, with every reason, met or not.

    **Grain**: one row per model and need; ``feed``, which every model shares, has one row without a model. A model is
    not ready where one of its needs, or that without a model, is not; else at risk where one is; else ready. Trainings
    judge by the same rules and numbers.

    **At risk** is a need that is met by less than a tenth; an outcome that grew so much rarer from one horizon to the
    next that one more such step is too much; a feed whose newest bill is more than seven days before the as-of moment.

    **Not judged** yet is a model that describes by a rule and answers from the first day: it is ready, and rows whose
    need begins with ``judging: `` say by ``fix`` what it takes to judge it.

    **Dates** are those of the customer's time zone: history grows a day a day, users as in the last 28 days.
    """
    from pyspark.sql import functions as F

    rows = [row.asDict() for row in evidence.select("model", "measure", "category", "value").collect()]
    today = local_day_of(as_of, zone)
    age = next((row["value"] for row in rows if row["measure"] == "newest_bill_age_days"), None)
    verdicts: dict[str | None, Verdict] = {None: Verdict((feed(age),))}
    verdicts |= {model: judge(model, requirements, rows, today) for model, requirements in needs.items()}
    judged = [row for model, verdict in verdicts.items() for row in _rows(model, verdict)]
    schema = ", ".join(f"{column.name} {column.type}" for column in TABLE.columns[:-1])
    return evidence.sparkSession.createDataFrame(judged, schema).withColumn("as_of", F.lit(as_of)).select(*TABLE.names)


def _rows(model: str | None, verdict: Verdict) -> Iterator[tuple[Any, ...]]:
    for position, reason in enumerate(verdict.reasons, start=1):
        state = Verdict((reason,)).state
        available, needed = (_number(value) for value in (reason.found, reason.needed))
        yield model, reason.need, position, state, available, needed, _unit(reason), reason.fix, reason.risk


def _number(value: Any) -> float | None:
    """A figure; of a table, whether it is there and has rows."""
    if isinstance(value, str):
        return float(value == "present")
    return None if value is None else float(value)


def _unit(reason: Reason) -> str:
    if reason.need == "feed":
        return "days"
    need = reason.need.removeprefix(JUDGING)
    return MEASURES[need].unit if need in MEASURES else "moments" if "moments" in need else "table"
