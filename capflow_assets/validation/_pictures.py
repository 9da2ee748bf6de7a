"""How key figures are drawn for people: the title says how the newest month compares, axes say their units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, GREY, PALE = "tab:blue", "0.45", "0.8"
TITLES = {
    "amount_total": "Net amount",
    "bills": "Bills",
    "bill_amount_avg": "Average bill",
    "users": "Active users",
    "visits": "Visits",
    "spend_avg": "Spend a visit",
    "line_items_avg": "Line items a bill",
    "anonymous_share_pct": "Anonymous bills",
    "returns_share_pct": "Returns, of bills",
    "discount_share_pct": "Discounts, of the price",
}


def brief(value: float | None, unit: str) -> str:
    """A value as people say it.

    >>> [brief(value, unit) for value, unit in ((1234567.0, "EUR"), (12345.0, "users"), (12.345, "%"), (None, "%"))]
    ['1.23 M EUR', '12.3 k users', '12.3 %', '–']
    """
    if value is None or value != value:
        return "–"
    if unit == "%":
        return f"{value:.1f} %"
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if abs(value) >= size:
            scaled = value / (1e3 if letter == " k" else size)
            return f"{scaled:.3g}{letter} {unit}".strip()
    return (f"{value:,.0f} {unit}" if value == int(value) else f"{value:,.2f} {unit}").strip()


def month_series(rows: pd.DataFrame, measures: Sequence[str]) -> Figure:
    """One small picture a measure: the months, what was usual then, and the newest whole month in words."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6), dpi=72, layout="constrained")
    shown = [name for name in measures if rows.loc[rows["measure"] == name, "value"].notna().any()]
    whole = rows.loc[rows["is_whole"].astype(bool), "month"]
    newest = str(whole.max()) if len(whole) else None
    figure.suptitle(
        f"{newest}, the newest whole month, against the median of the 12 before" if newest else "No month is whole yet",
        fontsize=11,
    )
    columns = 5 if len(shown) > 8 else max(1, -(-len(shown) // 2))
    for place, name in enumerate(shown):
        axes = figure.add_subplot(-(-len(shown) // columns), columns, place + 1)
        _one_series(axes, rows[rows["measure"] == name], name, newest)
    return figure


def _one_series(axes: Axes, rows: pd.DataFrame, name: str, newest: str | None) -> None:
    places = range(len(rows))
    unit = str(rows["unit"].iloc[0])
    is_whole = rows["is_whole"].astype(bool).to_numpy()
    axes.bar(places, rows["value"], color=[BLUE if whole else PALE for whole in is_whole], width=0.8)
    axes.plot(places, rows["usual"], color=GREY, linewidth=1.2, linestyle="--")
    at = rows[rows["month"] == newest] if newest else rows.tail(0)
    title = TITLES.get(name, name)
    if len(at):
        # What is counted stands at the axis.
        counted = "" if unit != "%" and unit.islower() else unit
        title += f": {brief(float(at['value'].iloc[0]), counted)}\n{_change(at)}"
    axes.set_title(title, fontsize=9, loc="left")
    axes.set_ylabel(unit, fontsize=8)
    _thousands(axes)
    months = list(rows["month"])
    ticks = sorted({0, (len(months) - 1) // 2, len(months) - 1})
    axes.set_xticks(ticks, [months[tick] for tick in ticks])
    if not rows["value"].fillna(0).any():
        axes.set_ylim(0, 1)
    plain(axes)


def _change(at: pd.DataFrame) -> str:
    """How the newest month compares, in words."""
    value, usual, change = (float(at[name].iloc[0]) for name in ("value", "usual", "change_pct"))
    if change == change:
        return f"{change:+.0f} % from usual"
    return "as usual" if value == usual else "no usual value" if usual != usual else "usually none"


def _thousands(axes: Axes) -> None:
    from matplotlib.ticker import EngFormatter

    if max(map(abs, axes.get_ylim())) >= 10_000:
        axes.yaxis.set_major_formatter(EngFormatter(sep=""))


def plain(axes: Axes) -> None:
    """Small labels, and no frame above and on the right."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=7)
