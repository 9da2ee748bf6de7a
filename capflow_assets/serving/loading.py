"""Making a version ready to answer: the champion, or the last before it that is whole, converted and tried."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from capflow_assets.blueprint.specs import ModelSpec
from capflow_assets.contract import USER, Examples
from capflow_assets.deployment import Deployment
from capflow_assets.errors import BrokenModelError, ModelError
from capflow_assets.life.rungs import rung_of
from capflow_assets.life.scoring_version import in_one_line, succession
from capflow_assets.serving.ladder import bands_of
from capflow_assets.serving.lookups import sampled_features
from capflow_assets.serving.scorer_cache import LoadedScorer
from capflow_assets.serving.scorers import frame_of, scorer_of
from capflow_assets.stores.model_files import MODEL
from capflow_assets.stores.registry import Registry
from capflow_assets.stores.saved_estimators import types_of

TRIAL_ROWS = 1_000


def is_live(spec: ModelSpec) -> bool:
    """Whether a model can answer from one user's features alone: a score, of a user, that reads no table whole."""
    model = spec.model
    return model.answer.shape == "score" and model.subject == USER and not model.frames


def load_scorer(deployment: Deployment, registry: Registry, customer: str, model: str, champion: int) -> LoadedScorer:
    """The version that scores, ready; it has been tried on users' features and on such with holes in them.

    It is ``champion``, the one that was asked for, also where another has become the champion in the meantime.

    Raises:
        ModelError: neither the champion nor one before it can be loaded.
    """
    spec, broken = deployment.stages.model(model), []
    for version in dict.fromkeys((champion, *succession(registry, customer, model))):
        try:
            estimator = registry.load(customer, model, version, types_of(spec.model))
            stored_bytes = len(registry.read(customer, model, version, MODEL))
            rung = rung_of(spec.model, registry.report(customer, model, version))
        except BrokenModelError as error:
            broken.append(f"version {version}: {in_one_line(error)}")
            continue
        columns = tuple(dict.fromkeys(spec.model.columns))
        trial = sampled_features(deployment.home, customer, columns, TRIAL_ROWS)
        scorer = scorer_of(estimator, columns, trial, stored_bytes)
        rows = trial[: TRIAL_ROWS // 2, [columns.index(name) for name in scorer.columns]]
        scores = scorer.figures(rows)["score"].tolist() if len(rows) else []
        return LoadedScorer(version, rung, scorer, bands_of(scores, spec.model.answer.bands))
    came = "; ".join(broken) or "no champion"
    raise ModelError(f"no version of {customer}.{model} can answer", came=came)


def explained(
    deployment: Deployment,
    registry: Registry,
    customer: str,
    model: str,
    version: int,
    columns: tuple[str, ...],
    rows: Any,
) -> list[str]:
    """What moved the score of each row most, in words, from the estimator itself; it is loaded for the purpose."""
    estimator = registry.load(customer, model, version, types_of(deployment.stages.model(model).model))
    asked = Examples(frame_of(rows, columns), None, {}, (datetime.now(UTC),))
    answers = estimator.predict(asked)
    return [str(words) for words in answers["reasons"]] if "reasons" in answers else [""] * len(rows)
