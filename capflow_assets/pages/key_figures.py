"""Key figures by month and store, as the report shows them: tiles, what stands out, and the largest stores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from capflow_assets.pages.charts import Bar, columns, span
from capflow_assets.pages.wording import compared, is_known, month, number, short, signed

if TYPE_CHECKING:
    from markupsafe import Markup

MONTHS, STORES, OUTLIERS = 36, 20, 12
# Beyond so many robust standard deviations a value is called an outlier (Iglewicz and Hoaglin 1993).
OUTLIER_Z = 3.5
# In a store of fewer bills a month, large changes are a matter of luck.
FEWEST_BILLS = 30
Row = Mapping[str, Any]

MEASURES = {
    "amount_total": "Net amount",
    "users": "Active users",
    "visits": "Visits",
    "spend_avg": "Spend a visit",
    "bills": "Bills",
    "bill_amount_avg": "Average bill",
    "line_items_avg": "Line items a bill",
    "anonymous_share_pct": "Anonymous bills",
    "returns_share_pct": "Returns, of bills",
    "discount_share_pct": "Discounts, of the price",
}
STORE_MEASURES = ("amount_total", "bills", "bill_amount_avg", "users", "returns_share_pct")


@dataclass(frozen=True)
class Series:
    """The key figures, by measure over the months and, of the newest whole month, by store."""

    newest: str | None
    months: Mapping[str, Sequence[Row]]
    stores: Mapping[str, Mapping[str, Row]]

    @classmethod
    def of(cls, kpis: Sequence[Row]) -> Series:
        """Sort the rows of ``validation/kpis``."""
        ordered = sorted(kpis, key=lambda row: row["month"])
        newest = max((row["month"] for row in kpis if row["store_id"] is None and row["is_whole"]), default=None)
        months: dict[str, list[Row]] = {}
        stores: dict[str, dict[str, Row]] = {}
        for row in ordered:
            if row["store_id"] is None:
                months.setdefault(row["measure"], []).append(row)
            elif row["month"] == newest:
                stores.setdefault(row["store_id"], {})[row["measure"]] = row
        return cls(newest, months, stores)


def tile(series: Series, name: str, words: str) -> dict[str, Any] | None:
    """One measure: the newest whole month large, its changes, and all months as a picture."""
    rows = series.months.get(name, [])[-MONTHS:]
    if all(row["value"] is None for row in rows):
        return None
    at = next((row for row in rows if row["month"] == series.newest), None)
    return {
        "words": words,
        "value": value_of(at) if at else "–",
        "usual": compared(at["value"], at["usual"], at["change_pct"], _unit(at)) if at else "no whole month yet",
        "year": f"{signed(at['year_change_pct'])} from a year before" if at and is_known(at["year_change_pct"]) else "",
        "is_outlier": at is not None and _is_outlier(at),
        "chart": _chart(rows, words) if any(row["value"] for row in rows) else "",
    }


def _chart(rows: Sequence[Row], words: str) -> Markup:
    bars = [
        Bar(
            label=row["month"],
            value=row["value"],
            usual=row["usual"],
            words=f"{month(row['month'])}: {number(row['value'], row['unit'])}"
            + ("" if row["is_whole"] else ", not a whole month"),
            is_whole=row["is_whole"],
        )
        for row in rows
    ]
    low, high = span(bars)
    edges = (short(high), "0", short(low) if low < 0 else "")
    description = f"{words} by month, {rows[0]['month']} to {rows[-1]['month']}; the last: {bars[-1].words}"
    return columns(bars, description, edges if high > 0 else ("", "0", edges[2]))


def outliers(series: Series) -> Iterable[dict[str, str]]:
    """What is out of the ordinary in the newest whole month: of all stores, then one figure of each larger store."""
    newest = [row for rows in series.months.values() for row in rows if row["month"] == series.newest]
    overall = [("All stores", row) for row in _ranked(newest)]
    large = [(name, rows) for name, rows in series.stores.items() if _is_large(rows)]
    stores = [(f"Store {name}", row) for name, rows in large for row in _ranked(rows.values())[:1]]
    stores.sort(key=lambda store: (-abs(store[1]["robust_z"]), store[0]))
    for where, row in [*overall, *stores][:OUTLIERS]:
        yield {
            "where": where,
            "measure": MEASURES[row["measure"]],
            "value": value_of(row),
            "usual": number(row["usual"], _unit(row)),
            "change": signed(row["change_pct"]),
        }


def _ranked(rows: Iterable[Row]) -> list[Row]:
    """The outliers among the measures, the first that people ask for first."""
    order = list(MEASURES)
    outliers = [row for row in rows if row["measure"] in MEASURES and _is_outlier(row)]
    return sorted(outliers, key=lambda row: order.index(row["measure"]))


def largest_stores(series: Series) -> list[dict[str, Any]]:
    """The stores with the largest amounts of the newest whole month."""
    ranked = sorted(series.stores.items(), key=lambda store: (-(store[1]["amount_total"]["value"] or 0), store[0]))
    return [
        {
            "name": store,
            "cells": [
                {
                    "value": value_of(rows[name]),
                    "change": signed(rows[name]["change_pct"]) if is_known(rows[name]["change_pct"]) else "",
                    "is_outlier": _is_outlier(rows[name]) and _is_large(rows),
                }
                for name in STORE_MEASURES
            ],
        }
        for store, rows in ranked[:STORES]
    ]


def _is_outlier(row: Row) -> bool:
    return is_known(row["robust_z"]) and abs(row["robust_z"]) > OUTLIER_Z


def _is_large(store: Mapping[str, Row]) -> bool:
    return (store["bills"]["usual"] or 0) >= FEWEST_BILLS


def value_of(row: Row) -> str:
    """A figure in its unit."""
    return number(row["value"], _unit(row))


def _unit(row: Row) -> str:
    """The unit to print: currencies and per cents; what is counted is in the title."""
    unit: str = row["unit"]
    return unit if unit == "%" or unit.isupper() else ""
