"""Pictures of a model's health: drift of tonight's columns, of columns over nights, and how good its answers were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

MOST_COLUMNS = 20
MOST_NIGHTS = 60
MOST_BARS = 15


def drift_bars(rows: pd.DataFrame, threshold: float) -> Figure:
    """A bar of PSI per column, the largest, with the threshold as a line; those over it and over chance in red."""
    from matplotlib.figure import Figure

    largest = rows.sort_values("psi", ascending=False).head(MOST_BARS).iloc[::-1]
    over = int(rows["is_over"].sum())
    figure = Figure(figsize=(7, max(2.0, 0.6 + 0.28 * len(largest))), dpi=80, layout="constrained")
    axes = figure.subplots()
    colors = ["tab:red" if is_over else "tab:blue" for is_over in largest["is_over"]]
    axes.barh(largest["column"], largest["psi"], color=colors)
    axes.axvline(threshold, color="black", linestyle="--", linewidth=1)
    axes.set_xlabel("population stability index")
    axes.set_title(f"{over} of {len(rows)} columns have drifted (PSI above {threshold:g})")
    return figure


def history_plots(drift: pd.DataFrame, scorings: Sequence[Mapping[str, Any]]) -> dict[str, Figure]:
    """The pictures that need more than one night, by file name: those that there is something to draw of.

    ``drift`` has a row per ``column`` and ``as_of`` with ``psi``; ``scorings`` are the rows of ``performance/{model}``.
    """
    plots = {}
    if drift["as_of"].nunique() > 1:
        plots["heat"] = heat_map(drift)
    live = [row for row in scorings if row["live"] is not None]
    if live:
        plots["performance"] = performance_plot(scorings)
    if any(row["observed"] is not None for row in scorings):
        plots["calibration"] = calibration_over_time(scorings)
    return plots


def heat_map(drift: pd.DataFrame) -> Figure:
    """PSI of columns by nights, the columns that moved most at the top; white is none, dark 0.5 and more."""
    from matplotlib.figure import Figure

    nights = sorted(drift["as_of"].unique())[-MOST_NIGHTS:]
    shown = drift[drift["as_of"].isin(nights)]
    grid = shown.pivot_table(index="column", columns="as_of", values="psi", aggfunc="last")
    grid = grid.loc[grid.max(axis=1).sort_values(ascending=False).index[:MOST_COLUMNS]]
    figure = Figure(figsize=(7, max(2.0, 0.9 + 0.25 * len(grid))), dpi=80, layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(grid.to_numpy(dtype=float), aspect="auto", cmap="Reds", vmin=0, vmax=0.5, interpolation="none")
    axes.set_yticks(range(len(grid)), list(grid.index), fontsize=7)
    places = sorted({0, len(grid.columns) // 2, len(grid.columns) - 1})
    axes.set_xticks(places, [f"{grid.columns[place]:%Y-%m-%d}" for place in places], fontsize=7)
    axes.set_title("Drift by night (population stability index)", fontsize=10)
    figure.colorbar(image, ax=axes, fraction=0.03)
    return figure


def performance_plot(scorings: Sequence[Mapping[str, Any]]) -> Figure:
    """The metric over time: what came of each night's answers with its interval, what was estimated, and promised."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.5), dpi=80, layout="constrained")
    axes = figure.subplots()
    estimated = [row for row in scorings if row["estimate"] is not None]
    if estimated:
        days = [row["as_of"] for row in estimated]
        axes.fill_between(
            days,
            [row["estimate_low"] for row in estimated],
            [row["estimate_high"] for row in estimated],
            color="#d5e4f2",
            antialiased=False,
        )
        axes.plot(days, [row["estimate"] for row in estimated], color="tab:blue", label="estimated of the scores")
    newest = {row["live_as_of"]: row for row in scorings if row["live"] is not None}
    live = [newest[moment] for moment in sorted(newest)]
    reach = [[row["live"] - row["live_low"] for row in live], [row["live_high"] - row["live"] for row in live]]
    moments = [row["live_as_of"] for row in live]
    axes.errorbar(moments, [row["live"] for row in live], yerr=reach, fmt="ko", markersize=3, label="on what came")
    promised = [row for row in scorings if row["promised"] is not None]
    if promised:
        days = [row["as_of"] for row in promised]
        steps = [row["promised"] for row in promised]
        axes.step(days, steps, where="post", color="tab:green", linestyle="--", label="measured by its training")
    axes.set_ylabel(str(live[-1]["metric"]))
    axes.tick_params(axis="x", labelsize=7)
    axes.legend(fontsize=7)
    axes.set_title("How good the answers of each night were", fontsize=10)
    return figure


def calibration_over_time(scorings: Sequence[Mapping[str, Any]]) -> Figure:
    """The mean chance that was answered against the share that came, then and now; the diagonal is perfect."""
    from matplotlib.figure import Figure

    known = {row["live_as_of"]: row for row in scorings if row["observed"] is not None}
    rows = [known[moment] for moment in sorted(known)]
    most = 1.1 * max(max(row["predicted"], row["observed_high"]) for row in rows)
    figure = Figure(figsize=(5, 3.8), dpi=80, layout="constrained")
    axes = figure.subplots()
    axes.plot([0, most], [0, most], color="black", linestyle=":", linewidth=1)
    axes.plot([row["predicted"] for row in rows], [row["observed"] for row in rows], "o", color="#a3c5e3")
    for row, colour, words in ((rows[0], "tab:blue", "then"), (rows[-1], "tab:red", "now")):
        reach = [[row["observed"] - row["observed_low"]], [row["observed_high"] - row["observed"]]]
        label = f"{words}, {row['live_as_of']:%Y-%m-%d}"
        axes.errorbar([row["predicted"]], [row["observed"]], yerr=reach, fmt="o", color=colour, label=label)
    axes.set_xlabel("mean chance that was answered")
    axes.set_ylabel("share that came")
    axes.legend(fontsize=7)
    axes.set_title("Calibration then and now", fontsize=10)
    return figure
