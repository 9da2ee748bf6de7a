"""How the reports are drawn for people: the title says what was found, axes say their units. No table of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, GREY, PALE = "tab:blue", "0.45", "0.8"
MOST_COHORTS = 24
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
    said = TITLES.get(name, name)
    if len(at):
        # What is counted stands at the axis.
        counted = "" if unit != "%" and unit.islower() else unit
        said += f": {brief(float(at['value'].iloc[0]), counted)}\n{_change(at)}"
    axes.set_title(said, fontsize=9, loc="left")
    axes.set_ylabel(unit, fontsize=8)
    _thousands(axes)
    months = list(rows["month"])
    ticks = sorted({0, (len(months) - 1) // 2, len(months) - 1})
    axes.set_xticks(ticks, [months[tick] for tick in ticks])
    if not rows["value"].fillna(0).any():
        axes.set_ylim(0, 1)
    _plain(axes)


def _change(at: pd.DataFrame) -> str:
    """How the newest month compares, in words."""
    value, usual, change = (float(at[name].iloc[0]) for name in ("value", "usual", "change_pct"))
    if change == change:
        return f"{change:+.0f} % from usual"
    return "as usual" if value == usual else "no usual value" if usual != usual else "usually none"


def histograms(rows: pd.DataFrame) -> Figure:
    """One picture a distribution, with its share that matters most as title."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6), dpi=72, layout="constrained")
    there = [(name, findings) for name, findings in FINDINGS.items() if _counted(rows, name)]
    for place, (name, (found, axis)) in enumerate(there):
        axes = figure.add_subplot(2, 3, place + 1)
        one = _trimmed(rows[rows["distribution"] == name])
        axes.bar(one["bin"], one["share_pct"], color=BLUE, width=0.85)
        axes.set_title(found(rows[rows["distribution"] == name]), fontsize=9, loc="left")
        axes.set_xlabel(axis.format(unit=one["bin_unit"].iloc[0]), fontsize=8)
        axes.set_ylabel(f"% of {one['count'].sum():,} {one['unit'].iloc[0]}", fontsize=8)
        _plain(axes)
        axes.tick_params(axis="x", rotation=40)
    return figure


def _counted(rows: pd.DataFrame, name: str) -> bool:
    return bool(rows.loc[rows["distribution"] == name, "count"].sum())


def _trimmed(rows: pd.DataFrame) -> pd.DataFrame:
    """Without the empty bins at either end."""
    filled = rows["count"].to_numpy().nonzero()[0]
    return rows.iloc[filled[0] : filled[-1] + 1]


def _before(rows: pd.DataFrame, edge: float) -> float:
    """The share below an edge, in percent."""
    return float(rows.loc[rows["below"] == edge, "up_to_share_pct"].iloc[0])


def _median(rows: pd.DataFrame) -> str:
    return f"{_half(rows)} {rows['bin_unit'].iloc[0]}"


def _half(rows: pd.DataFrame) -> str:
    """The bin that holds the median."""
    return str(rows.loc[rows["up_to_share_pct"] >= 50, "bin"].iloc[0])


FINDINGS: dict[str, tuple[Any, str]] = {
    "recency": (lambda rows: f"{_before(rows, 28):.0f} % of users came in the last 28 days", "days since last visit"),
    "latency": (lambda rows: f"{_before(rows, 8):.0f} % of gaps are a week or less", "days between two visits"),
    "repeat": (lambda rows: f"{100 - _before(rows, 2):.0f} % of users came more than once", "visits of a user"),
    "bill_amount": (lambda rows: f"The median bill is {_median(rows)}", "amount of a bill ({unit})"),
    "line_items": (lambda rows: f"The median bill has {_median(rows)}", "line items of a bill"),
}


def retention_triangle(rows: pd.DataFrame) -> Figure:
    """Cohorts from top to bottom, months since from left to right, the share that came as colour and number."""
    from matplotlib.figure import Figure

    cohorts = sorted(rows["cohort_month"].unique())[-MOST_COHORTS:]
    cells = rows[rows["cohort_month"].isin(cohorts)]
    sizes = cells.groupby("cohort_month")["users"].max()
    shares = cells[cells["age_months"] > 0].pivot(index="cohort_month", columns="age_months", values="retained_pct")
    shares = shares.reindex(cohorts)
    figure = Figure(figsize=(9, 1.6 + 0.24 * max(4, len(cohorts))), dpi=72, layout="constrained")
    axes = figure.subplots()
    axes.set_title(_retained(rows), fontsize=10, loc="left")
    if shares.size:
        picture = axes.pcolormesh(shares.columns, range(len(cohorts)), shares.to_numpy(float), cmap="Blues", vmin=0)
        figure.colorbar(picture, ax=axes, label="% of the cohort with a visit")
        _numbers(axes, shares, float(shares.max().max()))
    first = rows["cohort_month"].min()
    words = [f"{'until ' if month == first else ''}{month} ({sizes[month]:,})" for month in cohorts]
    axes.set_yticks(range(len(cohorts)), words)
    axes.invert_yaxis()
    axes.set_xlabel("months since the first visit", fontsize=8)
    axes.set_ylabel("month of the first visit (users)", fontsize=8)
    axes.tick_params(labelsize=7)
    return figure


def _numbers(axes: Axes, shares: pd.DataFrame, most: float) -> None:
    for row, values in enumerate(shares.to_numpy(float)):
        for age, value in zip(map(int, shares.columns), values, strict=True):
            if value == value:
                colour = "white" if value > most * 0.6 else "black"
                axes.text(age, row, f"{value:.0f}", ha="center", va="center", fontsize=6.5, color=colour)


def _retained(rows: pd.DataFrame) -> str:
    """How many come again after 1, 3 and 12 months, over all cohorts that had the time, but for the first.

    The first holds the users who came before the data began, and would outweigh all others.
    """
    whole = rows[rows["is_whole"].astype(bool) & (rows["cohort_month"] > rows["cohort_month"].min())]
    said = []
    for age, words in ((1, "in the month after"), (3, "3 months after"), (12, "12 months after")):
        cells = whole[whole["age_months"] == age]
        if len(cells):
            said.append(f"{100 * cells['active_users'].sum() / cells['users'].sum():.0f} % come {words}")
    return "Of new users, " + ", ".join(said) if said else "Too few months to see who comes back"


def _thousands(axes: Axes) -> None:
    from matplotlib.ticker import EngFormatter

    if max(map(abs, axes.get_ylim())) >= 10_000:
        axes.yaxis.set_major_formatter(EngFormatter(sep=""))


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=7)
