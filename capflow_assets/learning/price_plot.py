"""The picture of how users go by the price."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

GROUPS, MOST_CATEGORIES = 10, 12


def price_plot(outcomes: pd.DataFrame, answers: pd.DataFrame) -> Figure:
    """What tenths of the users saved against others, and the elasticity of users by their strongest category."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.5), dpi=80, layout="constrained")
    left, right = figure.subplots(1, 2)
    expected, observed, pieces = answers["expected_saving"], outcomes["saving"], outcomes["pieces"]
    tenths = np.array_split(np.argsort(expected.to_numpy(), kind="stable"), min(GROUPS, max(1, len(expected))))
    means = [
        [100 * np.average(of.to_numpy()[t], weights=pieces.to_numpy()[t]) for t in tenths]
        for of in (expected, observed)
    ]
    left.plot(means[0], means[0], color="grey", linewidth=1)
    left.scatter(*means, color="tab:blue")
    left.set_xlabel("expected to save, %")
    left.set_ylabel("saved, %")
    left.set_title("Paid less than others for the same items", fontsize=10)
    by_category = answers.groupby("strongest_category")["elasticity"]
    shown = by_category.median()[by_category.size().nlargest(MOST_CATEGORIES).index].sort_values()
    right.barh(shown.index.astype(str), shown.to_numpy(), color="tab:blue")
    right.set_xlabel("elasticity, median of the users")
    right.set_title("By the user's strongest category", fontsize=10)
    return figure
