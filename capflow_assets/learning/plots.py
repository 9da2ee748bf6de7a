"""Pictures that several models draw of how their answers held out of time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from capflow_assets.learning.calibration import Numbers


def calibration_plot(outcomes: Numbers, chances: Numbers, outcome: str, error: float) -> Figure:
    """The chance that was predicted against the share with the ``outcome``, in ten groups; the diagonal is perfect.

    ``error`` is the mean distance from the diagonal beyond chance, for the title.
    """
    from matplotlib.figure import Figure

    from capflow_assets.learning.calibration import calibration_table

    table = calibration_table(outcomes, chances)
    most = max(float(table[["predicted_mean", "observed_mean"]].max().max()), 0.01) * 1.05
    figure = Figure(figsize=(5, 3.8), dpi=80, layout="constrained")
    axes = figure.subplots()
    axes.plot([0, most], [0, most], color="black", linestyle=":", linewidth=1)
    axes.plot(table["predicted_mean"], table["observed_mean"], marker="o")
    axes.set_xlabel(f"predicted chance that {outcome}, mean of each tenth")
    axes.set_ylabel(f"share that {outcome}")
    axes.set_title(f"Mean distance from the diagonal, beyond chance: {error:.3f}")
    return figure
