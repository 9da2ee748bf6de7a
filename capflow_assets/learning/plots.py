"""Pictures that several models draw of how their answers held out of time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

    from capflow_assets.learning.calibration_errors import Numbers


def calibration_plot(
    outcomes: Numbers, chances: Numbers, outcome: str, error: float, weights: np.ndarray | None = None
) -> Figure:
    """The chance that was predicted against the share with the ``outcome``, in ten groups; the diagonal is perfect.

    ``error`` is the mean distance from the diagonal beyond chance, for the title; ``weights`` how many each row counts.
    """
    from matplotlib.figure import Figure

    from capflow_assets.learning.calibration_errors import calibration_table

    table = calibration_table(outcomes, chances, weights=weights)
    most = max(float(table[["predicted_mean", "observed_mean"]].max().max()), 0.01) * 1.05
    figure = Figure(figsize=(5, 3.8), dpi=80, layout="constrained")
    axes = figure.subplots()
    axes.plot([0, most], [0, most], color="black", linestyle=":", linewidth=1)
    axes.plot(table["predicted_mean"], table["observed_mean"], marker="o")
    axes.set_xlabel(f"predicted chance that {outcome}, mean of each tenth")
    axes.set_ylabel(f"share that {outcome}")
    axes.set_title(f"Mean distance from the diagonal, beyond chance: {error:.3f}")
    return figure


def qini_plot(share: np.ndarray, gain: np.ndarray, outcome: str) -> Figure:
    """What treating the best ``share`` gains, beside what treating as many at random does."""
    from matplotlib.figure import Figure

    from capflow_assets.learning.qini import area_beyond_random

    figure = Figure(figsize=(5, 3.8), dpi=80, layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 100], [0, gain[-1]], color="black", linestyle=":", linewidth=1, label="at random")
    axes.plot(100 * share, gain, label="best score first")
    axes.set_xlabel("users who are addressed (%)")
    axes.set_ylabel(f"extra {outcome} per user")
    axes.set_title(f"Qini coefficient {area_beyond_random(share, gain):.3f}; all addressed: {gain[-1]:+.2f} {outcome}")
    axes.legend()
    return figure


def series_plot(days: pd.DataFrame, measure: str, size: str) -> Figure:
    """A measure of the three largest subjects by ``size``: outcomes as dots, forecasts as lines with their bands.

    ``days`` has rows per subject and ``day``, with ``{measure}``, its intervals and ``{measure}_outcome``.
    """
    from matplotlib.figure import Figure

    largest = days.groupby(level=0)[size].first().nlargest(3).index
    figure = Figure(figsize=(7, 4.5), dpi=60, layout="constrained")
    for axes, subject in zip(figure.subplots(len(largest), sharex=True, squeeze=False).ravel(), largest, strict=True):
        rows = days.loc[[subject]].sort_values("day")
        # Plain colours and steps without smoothing: a picture of waves takes twice the bytes.
        for level, colour in ((95, "#d5e4f2"), (80, "#a3c5e3")):
            ends = rows[f"{measure}_low_{level}"], rows[f"{measure}_high_{level}"]
            axes.fill_between(rows["day"], *ends, step="mid", color=colour, antialiased=False, label=f"{level} %")
        axes.step(rows["day"], rows[measure], where="mid", color="tab:blue", antialiased=False, label="forecast")
        axes.plot(rows["day"], rows[f"{measure}_outcome"], "ks", markersize=2, antialiased=False, label="came")
        axes.set_ylabel(f"{measure}, {subject}"[:24])
    expected, actual = days[measure].sum(), days[f"{measure}_outcome"].sum()
    figure.axes[0].set_title(f"All together: {expected:,.0f} {measure} forecast, {actual:,.0f} came", fontsize=10)
    figure.axes[0].legend(ncols=4, fontsize=7)
    figure.axes[-1].tick_params(axis="x", labelsize=7)
    return figure


def totals_plot(actual: Numbers, forecast: Numbers, outcome: str) -> Figure:
    """The mean forecast against the mean ``outcome``, in ten groups of subjects; the diagonal is perfect."""
    import numpy as np
    from matplotlib.figure import Figure

    from capflow_assets.learning.calibration_errors import calibration_table

    table = calibration_table(actual, forecast)
    most = max(float(table[["predicted_mean", "observed_mean"]].max().max()), 0.01) * 1.05
    figure = Figure(figsize=(5, 3.8), dpi=80, layout="constrained")
    axes = figure.subplots()
    axes.plot([0, most], [0, most], color="black", linestyle=":", linewidth=1)
    axes.plot(table["predicted_mean"], table["observed_mean"], marker="o")
    axes.set_xlabel(f"{outcome} forecast, mean of each tenth")
    axes.set_ylabel(f"actual {outcome}, mean")
    axes.set_title(
        f"{np.nansum(np.asarray(forecast)):,.0f} {outcome} forecast, {np.nansum(np.asarray(actual)):,.0f} came"
    )
    return figure


def actions_plot(actions: pd.Series, gains: pd.Series, value: float, outcome: str) -> Figure:
    """How many subjects get each action, with what it is expected to bring each of them."""
    from matplotlib.figure import Figure

    counts = actions.value_counts().sort_index()[::-1]
    brings = gains.groupby(actions.to_numpy()).mean()
    figure = Figure(figsize=(6, 3.8), dpi=80, layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(list(counts.index), counts.to_numpy(), color="tab:blue")
    axes.bar_label(bars, [f"{brings[name]:+.2f} {outcome} each" for name in counts.index], fontsize=8, padding=3)
    axes.set_xlabel("users")
    axes.margins(x=0.35)
    axes.set_title(f"{value:.3f} {outcome} per user if it were followed, less its costs", fontsize=10)
    return figure
