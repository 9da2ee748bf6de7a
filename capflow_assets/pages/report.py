"""The report of a customer as one page: no script, nothing to fetch, so that it can be mailed and kept.

Belongs here: what of the validation tables a page tells, and its words. Shapes are in ``charts.py``, the page around
them in ``report.html``. The page is made of the tables, the note of removed rows and the cards of models alone: equal
ones give equal bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from capflow_assets.customers.customer import Customer
from capflow_assets.pages import model_cards
from capflow_assets.pages.key_figures import (
    FEWEST_BILLS,
    MEASURES,
    OUTLIER_Z,
    STORE_MEASURES,
    Row,
    Series,
    largest_stores,
    outliers,
    tile,
    value_of,
)
from capflow_assets.pages.wording import day, moment, month, number
from capflow_assets.tables import removals

if TYPE_CHECKING:
    import pyarrow as pa

    from capflow_assets.stores.lake import Lake

PAGE = "pages/report.html"
REPORT, KPIS, DISTRIBUTIONS, RETENTION = (
    f"validation/{name}" for name in ("report", "kpis", "distributions", "retention")
)
TABLES = (REPORT, KPIS, DISTRIBUTIONS, RETENTION)
COHORTS = 24

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
    models = model_cards.shown(lake, customer)
    return page(customer, rows | {KPIS: _shown_kpis(kpis)}, removals.removed_in_words(lake, customer.name), models)


def _shown_kpis(kpis: pa.Table) -> list[dict[str, Any]]:
    """All months of all stores together, and of each store the newest whole month: a customer may have thousands."""
    import pyarrow.compute as pc

    newest = pc.max(pc.filter(kpis["month"], kpis["is_whole"]))
    is_shown = pc.or_kleene(pc.is_null(kpis["store_id"]), pc.equal(kpis["month"], newest))
    rows: list[dict[str, Any]] = kpis.filter(is_shown).to_pylist()
    return rows


def page(
    customer: Customer,
    tables: Mapping[str, Sequence[Row]],
    removed: Sequence[str] = (),
    models: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The page from the rows of the four tables of ``TABLES``, what cleaning ``removed``, in words, and its models."""
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
        models=models,
        facts=[(words, value_of(facts[name])) for name, words in FACTS if name in facts],
        tiles=[shown for name, words in MEASURES.items() if (shown := tile(series, name, words))],
        outliers=list(outliers(series)),
        stores=largest_stores(series),
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
