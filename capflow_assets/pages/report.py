"""The report of a customer as one page: no script, nothing to fetch, so that it can be mailed and kept.

Belongs here: what of the validation tables a page tells, and its words. Shapes are in ``charts.py``, the page around
them in ``report.html``. The page is made of the tables and the note of removed rows alone: equal ones give equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from capflow_assets.customers.customer import Customer
from capflow_assets.pages.charts import Bar, columns, span
from capflow_assets.pages.wording import compared, day, is_known, moment, month, number, short, signed
from capflow_assets.tables import removals

if TYPE_CHECKING:
    import pyarrow as pa
    from markupsafe import Markup

    from capflow_assets.stores.lake import Lake

PAGE = "pages/report.html"
REPORT, KPIS, DISTRIBUTIONS, RETENTION = (
    f"validation/{name}" for name in ("report", "kpis", "distributions", "retention")
)
TABLES = (REPORT, KPIS, DISTRIBUTIONS, RETENTION)
MONTHS, COHORTS, STORES, OUTLIERS = 36, 24, 20, 12
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
HISTOGRAMS = {
    "recency": "Days since the last visit",
    "latency": "Days between two visits",
    "repeat": "Visits of a user",
    "bill_amount": "Amount of a bill",
    "line_items": "Line items of a bill",
}


def write_page(lake: Lake, customer: Customer) -> str:
    """Write the page of a customer into the lake, beside its tables, and give its place.

    Raises:
        NotFoundError: a validation table is missing; it says how to make it.
    """
    return lake.save_bytes(customer.name, PAGE, read_page(lake, customer).encode())


def read_page(lake: Lake, customer: Customer) -> str:
    """The page of a customer from the tables in the lake.

    Raises:
        NotFoundError: a validation table is missing; it says how to make it.
    """
    kpis = lake.arrow(customer.name, KPIS)
    rows = {name: lake.arrow(customer.name, name).to_pylist() for name in TABLES if name != KPIS}
    return page(customer, rows | {KPIS: _shown_kpis(kpis)}, removals.told(lake, customer.name))


def _shown_kpis(kpis: pa.Table) -> list[dict[str, Any]]:
    """All months of all stores together, and of each store the newest whole month: a customer may have thousands."""
    import pyarrow.compute as pc

    newest = pc.max(pc.filter(kpis["month"], kpis["is_whole"]))
    kept = pc.or_kleene(pc.is_null(kpis["store_id"]), pc.equal(kpis["month"], newest))
    rows: list[dict[str, Any]] = kpis.filter(kept).to_pylist()
    return rows


def page(customer: Customer, tables: Mapping[str, Sequence[Row]], removed: Sequence[str] = ()) -> str:
    """The page from the rows of the four tables of ``TABLES``, and what cleaning ``removed``, in words."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files("capflow_assets.pages").joinpath("report.html").read_text("utf-8"))
    series = Series.of(tables[KPIS])
    facts = {row["name"]: row for row in tables[REPORT] if row["section"] == "kpi"}
    moments = [row["as_of"] for row in (*tables[DISTRIBUTIONS], *tables[KPIS])]
    return template.render(
        customer=customer,
        as_of=moment(moments[0], customer.time_zone) if moments else "",
        history=_history(facts),
        month=month(series.newest) if series.newest else "",
        rows=[(row["name"].replace("_", " "), number(row["value"], "")) for row in _section(tables[REPORT], "rows")],
        flags=[(_flag(row), number(row["value"], "")) for row in _section(tables[REPORT], "flags")],
        removed=removed,
        facts=[(words, _value(facts[name])) for name, words in FACTS if name in facts],
        tiles=[tile for name, words in MEASURES.items() if (tile := _tile(series, name, words))],
        outliers=list(_outliers(series)),
        stores=_stores(series),
        store_count=len(series.stores),
        store_measures=[MEASURES[name] for name in STORE_MEASURES],
        histograms=[shown for name, words in HISTOGRAMS.items() if (shown := _histogram(tables, name, words))],
        cohorts=_cohorts(tables[RETENTION]),
        outlier_z=OUTLIER_Z,
        fewest_bills=FEWEST_BILLS,
    )


def _flag(row: Row) -> str:
    """Which rows, and what is odd about them: ``line items, negative quantity``."""
    return f"{row['unit']}, {row['name'].replace('_', ' ')}"


FACTS = (
    ("amount_total", "Net amount"),
    ("users", "Users on bills"),
    ("users_28d", "With a visit in 28 days"),
    ("users_91d", "With a visit in 91 days"),
    ("visits", "Visits"),
    ("spend_avg", "Spend a visit"),
    ("bill_amount_avg", "Average bill"),
    ("line_items_avg", "Line items a bill"),
    ("anonymous_share_pct", "Anonymous bills"),
    ("returns_share_pct", "Returns, of bills"),
    ("discount_share_pct", "Discounts, of the price"),
)
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


def _tile(series: Series, name: str, words: str) -> dict[str, Any] | None:
    """One measure: the newest whole month large, its changes, and all months as a picture."""
    rows = series.months.get(name, [])[-MONTHS:]
    if all(row["value"] is None for row in rows):
        return None
    at = next((row for row in rows if row["month"] == series.newest), None)
    return {
        "words": words,
        "value": _value(at) if at else "–",
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
    told = f"{words} by month, {rows[0]['month']} to {rows[-1]['month']}; the last: {bars[-1].words}"
    return columns(bars, told, edges if high > 0 else ("", "0", edges[2]))


def _outliers(series: Series) -> Iterable[dict[str, str]]:
    """What is out of the ordinary in the newest whole month: of all stores, then one figure of each larger store."""
    newest = [row for rows in series.months.values() for row in rows if row["month"] == series.newest]
    found = [("All stores", row) for row in _ranked(newest)]
    large = [(name, rows) for name, rows in series.stores.items() if _is_large(rows)]
    stores = [(f"Store {name}", row) for name, rows in large for row in _ranked(rows.values())[:1]]
    stores.sort(key=lambda each: (-abs(each[1]["robust_z"]), each[0]))
    for where, row in [*found, *stores][:OUTLIERS]:
        yield {
            "where": where,
            "measure": MEASURES[row["measure"]],
            "value": _value(row),
            "usual": number(row["usual"], _unit(row)),
            "change": signed(row["change_pct"]),
        }


def _ranked(rows: Iterable[Row]) -> list[Row]:
    """The outliers among the measures, the first that people ask for first."""
    order = list(MEASURES)
    outliers = [row for row in rows if row["measure"] in MEASURES and _is_outlier(row)]
    return sorted(outliers, key=lambda row: order.index(row["measure"]))


def _stores(series: Series) -> list[dict[str, Any]]:
    """The stores with the largest amounts of the newest whole month."""
    ranked = sorted(series.stores.items(), key=lambda each: (-(each[1]["amount_total"]["value"] or 0), each[0]))
    return [
        {
            "name": store,
            "cells": [
                {
                    "value": _value(rows[name]),
                    "change": signed(rows[name]["change_pct"]) if is_known(rows[name]["change_pct"]) else "",
                    "is_outlier": _is_outlier(rows[name]) and _is_large(rows),
                }
                for name in STORE_MEASURES
            ],
        }
        for store, rows in ranked[:STORES]
    ]


def _histogram(tables: Mapping[str, Sequence[Row]], name: str, words: str) -> dict[str, Any] | None:
    """One distribution without the empty bins at its ends; None where nothing is counted."""
    rows = sorted((row for row in tables[DISTRIBUTIONS] if row["distribution"] == name), key=lambda r: r["position"])
    filled = [place for place, row in enumerate(rows) if row["count"]]
    if not filled:
        return None
    shown = rows[filled[0] : filled[-1] + 1]
    most = max(row["share_pct"] for row in shown)
    total = sum(row["count"] for row in rows)
    unit = rows[0]["bin_unit"]
    return {
        "words": words + (f" ({unit})" if name == "bill_amount" else ""),
        "total": f"{total:,} {rows[0]['unit']}",
        "bins": [
            {
                "name": row["bin"].replace("-", "–"),
                "count": f"{row['count']:,}",
                "share": number(row["share_pct"], "%"),
                "width": round(100 * row["share_pct"] / most, 1),
            }
            for row in shown
        ],
    }


def _cohorts(retention: Sequence[Row]) -> dict[str, Any]:
    """The newest cohorts, each with its shares by months since."""
    names = sorted({row["cohort_month"] for row in retention})
    first, shown = (names[0] if names else ""), names[-COHORTS:]
    by_cohort: dict[str, list[Row]] = {name: [] for name in shown}
    for row in sorted(retention, key=lambda row: row["age_months"]):
        if row["cohort_month"] in by_cohort and 0 < row["age_months"] < COHORTS:
            by_cohort[row["cohort_month"]].append(row)
    sizes = {row["cohort_month"]: row["users"] for row in retention}
    return {
        "ages": list(range(1, max((len(rows) for rows in by_cohort.values()), default=0) + 1)),
        "rows": [
            {
                "name": f"until {name}" if name == first else name,
                "users": f"{sizes[name]:,}",
                "cells": [
                    {
                        "share": f"{row['retained_pct']:.0f}",
                        "shade": round(0.55 * row["retained_pct"] / 100, 3),
                        "is_whole": row["is_whole"],
                    }
                    for row in rows
                ],
            }
            for name, rows in by_cohort.items()
        ],
    }


def _section(report: Sequence[Row], name: str) -> list[Row]:
    return sorted((row for row in report if row["section"] == name), key=lambda row: row["position"])


def _history(facts: Mapping[str, Row]) -> str:
    """From which day to which there are bills."""
    first, last = (facts[name]["value"] if name in facts else None for name in ("first_day", "last_day"))
    return f"{day(first)} to {day(last)}" if first and last else ""


def _is_outlier(row: Row) -> bool:
    return is_known(row["robust_z"]) and abs(row["robust_z"]) > OUTLIER_Z


def _is_large(store: Mapping[str, Row]) -> bool:
    return (store["bills"]["usual"] or 0) >= FEWEST_BILLS


def _value(row: Row) -> str:
    return number(row["value"], _unit(row))


def _unit(row: Row) -> str:
    """Currencies and per cents are said; what is counted stands in the title."""
    unit: str = row["unit"]
    return unit if unit == "%" or unit.isupper() else ""
