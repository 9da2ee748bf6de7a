"""The primitives that aggregate rows, as data. ``groups`` computes them."""

from __future__ import annotations

from dataclasses import dataclass

from capflow_assets.synthesis.entities import Kind, Variable


@dataclass(frozen=True, slots=True)
class Aggregation:
    """A primitive that makes one value of the rows of a child.

    ``takes`` is the kind of variable that it aggregates, ``figure`` is what it is computed as (one of
    ``figures.FIGURES``, ``rows`` or ``different``), ``empty`` is its value where there is no row. ``is_whole`` where it
    counts, else it is in ticks. ``only_sums`` where its variable must add up. ``collapses_over`` are the aggregations
    over which it adds nothing: the greatest of the greatest lines is the greatest line. ``reaches_far`` where it is
    also computed over the children's children, all of them at once. ``is_latest`` where it takes the newest row.
    """

    name: str
    takes: Kind
    figure: str
    unit: str | None = ""
    empty: int | None = None
    only_sums: bool = False
    collapses_over: tuple[str, ...] = ()
    reaches_far: bool = True
    is_latest: bool = False
    is_whole: bool = False
    featuretools: str = ""


# ``unit=""`` keeps the unit of what is summed up.
AGGREGATIONS = {
    aggregation.name: aggregation
    for aggregation in (
        Aggregation("count", "row", "rows", None, 0, is_whole=True, featuretools="COUNT"),
        Aggregation("sum", "number", "total", empty=0, only_sums=True, featuretools="SUM"),
        Aggregation("mean", "number", "mean", featuretools="MEAN"),
        Aggregation("std", "number", "deviation", featuretools="STD"),
        Aggregation("min", "number", "least", collapses_over=("min",), featuretools="MIN"),
        Aggregation("max", "number", "greatest", collapses_over=("max",), featuretools="MAX"),
        Aggregation("last", "number", "newest", reaches_far=False, is_latest=True, featuretools="LAST"),
        Aggregation("share_true", "truth", "mean", "share", featuretools="PERCENT_TRUE"),
        Aggregation(
            "n_unique", "category", "different", None, 0, reaches_far=False, is_whole=True, featuretools="NUM_UNIQUE"
        ),
    )
}


def aggregation_of(variable: Variable) -> Aggregation:
    """The outermost primitive of a variable that is an aggregation."""
    return AGGREGATIONS[variable.primitives[0]]
