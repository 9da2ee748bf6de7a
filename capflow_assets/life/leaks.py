"""Features that know their outcomes: looked for before a training, and a bar to its promotion."""

from __future__ import annotations

from math import inf

from capflow_assets.blueprint.checking import choice
from capflow_assets.contract import Examples, Finding
from capflow_assets.customers.checks_settings import resting, severe
from capflow_assets.learning.example_weights import without_weights
from capflow_assets.learning.promotion import Decision
from capflow_assets.life.examples import ExampleReader

BOUNDS = ("auc_at_most", "r2_at_most", "missing_auc_at_most")


def leakage_finding(reader: ExampleReader, examples: Examples) -> Finding:
    """Whether a feature of the examples knows their outcomes, by the customer's settings."""
    from capflow_assets.learning import leakage

    model, name = reader.spec.model, reader.spec.name
    settings = choice(reader.stages, reader.customer, "leakage", f"models/{name}")
    if settings.is_off:
        return resting("leakage")
    outcomes = examples.outcomes
    if outcomes is None or model.outcome.per or not model.columns:
        return Finding("leakage", True, "no feature stands beside an outcome", "block")
    effects = without_weights(outcomes).drop(columns=model.outcome.treatment or [])
    return severe(
        leakage.judge(leakage.leaks(examples.columns, effects, model.columns), **settings.thresholds), settings
    )


def leak_bounds(reader: ExampleReader) -> dict[str, float]:
    """What a column may tell of the outcome before a training leaves it out: the customer's, where its check blocks.

    Where it only warns, or is off, a person knows better.
    """
    settings = choice(reader.stages, reader.customer, "leakage", f"models/{reader.spec.name}")
    if settings.is_off or settings.severity != "block":
        return dict.fromkeys(BOUNDS, inf)
    return {name: float(bound) for name, bound in settings.thresholds.items() if name in BOUNDS}


def barred(decision: Decision, leak: Finding) -> Decision:
    """The decision; or, where a leak blocks, that the version stays a challenger."""
    if leak.passed or leak.severity != "block":
        return decision
    return Decision("keep", f"Not promoted, since a feature leaks: {leak.message}.")
