"""A planned night as a picture: who waits, what runs and how much memory that holds, by the hour."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from capflow_assets.nights.plan import Plan

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure(plan: Plan) -> Figure:
    """Three panels over one axis of time, in UTC."""
    from matplotlib.dates import DateFormatter
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(8, 5.5), dpi=100, layout="constrained")
    panels = drawing.subplots(3, 1, sharex=True)
    moments = [datetime.fromtimestamp(level.at, UTC) for level in plan.levels]
    series = (
        ("jobs that wait", [level.waiting for level in plan.levels], "#c0504d"),
        ("runs under way", [level.running for level in plan.levels], "#4f81bd"),
        ("memory, GiB", [level.memory_gib for level in plan.levels], "#9bbb59"),
    )
    for axes, (words, values, colour) in zip(panels, series, strict=True):
        if moments:
            axes.step(moments, values, where="post", color=colour)
            axes.fill_between(moments, values, step="post", color=colour, alpha=0.25)
        axes.set_ylabel(words)
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
    panels[-1].xaxis.set_major_formatter(DateFormatter("%H:%M", tz=UTC))
    panels[-1].set_xlabel("UTC")
    late = f", {len(plan.late):,} late" if plan.late else ", nobody late"
    panels[0].set_title(f"{plan.customers:,} customers, {plan.runs:,} runs{late}", loc="left", fontsize=10)
    return drawing
