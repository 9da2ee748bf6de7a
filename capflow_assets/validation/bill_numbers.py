"""Whether a bill's number is one bill's: purchases of several people under one number would become one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capflow_assets.contract import Finding
from capflow_assets.expressions.bills import LONGEST_BILL_MICROS
from capflow_assets.expressions.ids import identifiers

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

SEVERITY = "block"
KINDS = ("users", "stores", "days")


def bill_numbers(
    line_items: DataFrame,
    raw_line_items: DataFrame,
    *,
    at_most_users_pct: float = 3.0,
    at_most_stores_pct: float = 3.0,
    at_most_days_pct: float = 3.0,
) -> Finding:
    """Whether bills have line items of one user, one store and one day: at most 3 % of them may have several.

    These shares are ``at_most_users_pct``, ``at_most_stores_pct`` (more for a marketplace whose orders have several)
    and ``at_most_days_pct``. Lines without a user or store go with any; days are several where the lines lie more than
    24 hours apart, so that a bill over midnight is one. All lines that landed are looked at, since cleaning removes
    those of other days. Beyond, the line items are not written: numbers restart, and a ``bill_key`` in the TOML tells
    them apart. The sample shows the bills of the most lines.
    """
    from pyspark.sql import functions as F

    del line_items  # the table that must not be written; its bill numbers are those of all that landed
    bills = _bills(raw_line_items)
    sums = [F.count(F.lit(1)), *(F.count_if(kind) for kind in KINDS)]
    count, *several = (int(value) for value in bills.agg(*sums).collect()[0])
    mixed = dict(zip(KINDS, several, strict=True))
    allowed_pct = dict(zip(KINDS, (at_most_users_pct, at_most_stores_pct, at_most_days_pct), strict=True))
    shares = {kind: 100 * mixed[kind] / max(count, 1) for kind in KINDS}
    broken = [kind for kind in KINDS if shares[kind] > allowed_pct[kind]]
    counts = ", ".join(f"{mixed[kind]:,} ({shares[kind]:.2f} %) of several {kind}" for kind in KINDS)
    allowed = ", ".join(f"{allowed_pct[kind]:g} % of several {kind}" for kind in broken)
    advice = f"; at most {allowed} may: numbers restart, and become one bill; {_advice(broken)}" if broken else ""
    return Finding(
        check="bill_numbers",
        passed=not broken,
        message=f"of {count:,} bills these have line items: {counts}{advice}",
        found={"bills": count, **{f"several_{kind}": mixed[kind] for kind in KINDS}},
        sample=_sample(bills) if broken else (),
    )


def _bills(lines: DataFrame) -> DataFrame:
    """One row per bill: its lines, and whether they are of several users, stores and days."""
    from pyspark.sql import functions as F

    ids = identifiers("bill_id", "user_id", "store_id")
    named = lines.select(*ids, F.unix_micros("billed_at").alias("at"))

    def differ(name: str) -> Expression:
        return F.coalesce(F.min(name) != F.max(name), F.lit(False))

    is_apart = F.max("at") - F.min("at") > LONGEST_BILL_MICROS
    return (
        named.where("bill_id is not null")
        .groupBy("bill_id")
        .agg(
            F.count(F.lit(1)).alias("lines"),
            differ("user_id").alias("users"),
            differ("store_id").alias("stores"),
            F.coalesce(is_apart, F.lit(False)).alias("days"),
        )
    )


def _advice(broken: list[str]) -> str:
    """What to write, by what the numbers are shared among."""
    parts = [part for part, kind in (("store", "stores"), ("day", "days")) if kind in broken] or ["TILL"]
    key = ", ".join(f'"{part}"' for part in (*parts, "bill"))
    what = ", TILL the source column that tells such bills apart," if "TILL" in parts else ""
    return f"to do: write bill_key = [{key}]{what} under [tables.line_items], and under [tables.bills] if there is one"


def _sample(bills: DataFrame) -> tuple[dict[str, str | int], ...]:
    from pyspark.sql import functions as F

    mixed = bills.where("users or stores or days").orderBy(F.desc("lines"), "bill_id").limit(10)
    return tuple({"bill_id": row["bill_id"], "lines": row["lines"]} for row in mixed.collect())
