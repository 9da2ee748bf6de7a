"""Features that know their labels: looked for before a training, and a bar to its promotion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capflow_assets.blueprint.checking import choice
from capflow_assets.contract import Finding
from capflow_assets.customers.checks_settings import resting, severe
from capflow_assets.learning.promotion import Decision
from capflow_assets.life.examples import Examples

if TYPE_CHECKING:
    import pandas as pd


def leakage_finding(examples: Examples, features: pd.DataFrame, labels: pd.DataFrame) -> Finding:
    """Whether a feature of the examples knows their labels, by the customer's settings."""
    from capflow_assets.learning import leakage

    model, name = examples.spec.model, examples.spec.name
    settings = choice(examples.stages, examples.customer, "leakage", f"models/{name}")
    if settings.is_off:
        return resting("leakage")
    return severe(leakage.judge(leakage.leaks(features, labels, model.columns), **settings.thresholds), settings)


def barred(decision: Decision, leak: Finding) -> Decision:
    """The decision; or, where a leak blocks, that the version stays a challenger."""
    if leak.passed or leak.severity != "block":
        return decision
    return Decision("keep", f"Not promoted, since a feature leaks: {leak.message}.")
