"""Days long before all others, on which no history can be built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capflow_assets.contract import Finding
from capflow_assets.expressions.history import GAP_DAYS, first_day

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def lone_days(bills: DataFrame) -> Finding:
    """Whether all bills lie in the history: a few days more than a year before all others do not belong to it.

    Such as those of a till whose clock began anew. The bills stay, and the history that models ask for is counted from
    the first day after (``expressions.history``). Bills of days that always stand for none, such as 1970-01-01,
    are set aside by cleaning as ``placeholder_time``.
    """
    counted = {row[0]: int(row[1]) for row in bills.groupBy("billed_on").count().collect()}
    first = first_day(list(counted))
    lone = sorted(day for day in counted if first is not None and day < first)
    rows = sum(counted[day] for day in lone)
    shown = ", ".join(map(str, lone[:3])) + (" …" if len(lone) > 3 else "")
    bills_of, lie = ("bill of", "lies") if rows == 1 else ("bills of", "lie")
    message = (
        f"{rows:,} {bills_of} {shown} {lie} more than {GAP_DAYS} days before all others; history counts from {first}, "
        "see whether their dates are right"
        if lone
        else f"no day lies more than {GAP_DAYS} days before all others"
    )
    figures = {"lone_days": len(lone), "bills": rows, "history_from": str(first) if first else None}
    return Finding("lone_days", not lone, message, "warn", figures, tuple({"billed_on": str(day)} for day in lone[:10]))
