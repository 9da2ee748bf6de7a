"""The feature catalogue of a customer as one page, to look features up in: no script, nothing to fetch.

Belongs here: how the rows of ``features/catalogue`` look. Does not belong here: what they say (``catalogue.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from itertools import groupby
from typing import TYPE_CHECKING, Any

from capflow_assets.customers.customer import Customer
from capflow_assets.pages.wording import moment, number, short
from capflow_assets.tables.catalogue import catalogue_of

if TYPE_CHECKING:
    from markupsafe import Markup

    from capflow_assets.stores.lake import Lake

PAGE = "pages/features.html"
WIDTH, HEIGHT, MARGIN = 120, 14, 2
Row = Mapping[str, Any]


def write_page(lake: Lake, customer: Customer) -> str:
    """Write the page into the lake, beside the tables, and give its place."""
    return lake.save_bytes(customer.name, PAGE, read_page(lake, customer).encode())


def read_page(lake: Lake, customer: Customer) -> str:
    """The page of what the catalogue says now.

    Raises:
        NotFoundError: no feature table was made yet; it says how to make one.
    """
    return page(customer, catalogue_of(lake, customer.name, "features")[0].to_pylist())


def page(customer: Customer, rows: Sequence[Row]) -> str:
    """The page of the given rows."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files("capflow_assets.pages").joinpath("catalogue.html").read_text("utf-8"))
    blocks = [_block(name, list(own), customer.time_zone) for name, own in groupby(rows, lambda row: row["block"])]
    return template.render(customer=customer, blocks=blocks, features=len(rows))


def _block(name: str, rows: Sequence[Row], zone: str) -> dict[str, Any]:
    first = rows[0]
    return {
        "name": name,
        "grain": first["grain"],
        "owner": first["owner"],
        "version": first["version"],
        "rows": number(float(first["rows"])),
        "as_of": moment(first["as_of"], zone) if first["as_of"] else "",
        "sources": sorted({source for row in rows for source in row["source_tables"].split(",")}),
        "features": [{**row, "fill": number(row["fill_pct"], "%"), "spread": _spread(row)} for row in rows],
    }


def _spread(row: Row) -> Markup | str:
    if row["top_value"] is not None:
        return f"mostly {row['top_value'][:40]} ({number(row['top_pct'], '%')})"
    if row["median"] is None:
        return ""
    return box(*(row[name] for name in ("min", "p05", "p25", "median", "p75", "p95", "max")))


def box(low: float, p05: float, p25: float, median: float, p75: float, p95: float, high: float) -> Markup:
    """A box plot from the least to the greatest value: whiskers from p05 to p95, a box from p25 to p75.

    Where a few values lie far out, the picture ends at twice the stretch of the whiskers beyond them.
    """
    from markupsafe import Markup

    reach = 2 * (p95 - p05)
    left, right = (max(low, p05 - reach), min(high, p95 + reach)) if reach else (low, high)
    size = (right - left) or 1.0

    def x(value: float) -> float:
        return round(MARGIN + (WIDTH - 2 * MARGIN) * (value - left) / size, 1)

    words = f"least {short(low)}, median {short(median)}, greatest {short(high)}"
    shape = Markup(
        '<svg viewBox="0 0 {w} {h}" role="img" aria-label="{words}"><title>{words}</title>'
        '<line class="axis" x1="{m}" x2="{end}" y1="{mid}" y2="{mid}"/>'
        '<line class="whisker" x1="{p05}" x2="{p95}" y1="{mid}" y2="{mid}"/>'
        '<rect class="whole" x="{p25}" width="{width}" y="2" height="{box}"/>'
        '<line class="median" x1="{p50}" x2="{p50}" y1="1" y2="{bottom}"/></svg>'
    )
    return shape.format(
        w=WIDTH,
        h=HEIGHT,
        words=words,
        m=MARGIN,
        end=WIDTH - MARGIN,
        mid=HEIGHT / 2,
        p05=x(p05),
        p95=x(p95),
        p25=x(p25),
        width=max(1.0, round(x(p75) - x(p25), 1)),
        box=HEIGHT - 4,
        p50=x(median),
        bottom=HEIGHT - 1,
    )
