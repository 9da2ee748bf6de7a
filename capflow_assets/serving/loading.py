"""Making a version ready to answer: the champion, or the last before it that is whole, converted and tried."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from capflow_assets.blueprint.specs import ModelSpec
from capflow_assets.blueprint.stages import Stages
from capflow_assets.contract import USER, Examples
from capflow_assets.deployment import Deployment
from capflow_assets.errors import BrokenModelError, ModelError, listed
from capflow_assets.learning.online.by_code import columns_of, frame_of
from capflow_assets.learning.online.files import NAME, OnlineModel, unpacked
from capflow_assets.learning.online.scorers import SCORES, Scorer, ready_scorer
from capflow_assets.learning.online.visit_lists import VISITS, VisitLists, ready_lists
from capflow_assets.life.rungs import rung_of
from capflow_assets.life.scoring_version import in_one_line, succession
from capflow_assets.serving.converted import converted, converted_path
from capflow_assets.serving.ladder import bands_of
from capflow_assets.serving.lookups import LooksUp, sampled_features
from capflow_assets.serving.scorer_cache import LoadedScorer, NightOnly
from capflow_assets.serving.scorers import code_scorer, import_xgboost
from capflow_assets.stores.model_files import LARGEST_BYTES, MODEL, REPORT
from capflow_assets.stores.registry import Registry
from capflow_assets.stores.saved_estimators import types_of

TRIAL_ROWS = 1_000
ID = "user_id"
LOG = logging.getLogger("capflow.serving")


def why_not_live(spec: ModelSpec, stages: Stages) -> str:
    """Why a model cannot answer from one user's features alone; empty where it can.

    It can where it gives a score of a user and reads nothing but that user's rows. Which users it asks about in the
    night does not matter: who gives features says that the user is one of them.
    """
    model = spec.model
    if model.answer.shape != "score":
        return f"it answers with a {model.answer.shape}"
    if model.subject.key != USER.key:
        return f"it is about a {model.subject.name}"
    if model.subject.events is not None:
        return "it is asked when something begins, as of that moment"
    if model.frames:
        return f"it reads whole tables: {listed(reads.table for reads in model.frames)}"
    others = [reads.table for reads in model.joined if set(stages.tables[reads.table].table.key) - {"as_of"} != {ID}]
    return f"it reads rows that are not of a user: {listed(others)}" if others else ""


def load_scorer(
    deployment: Deployment,
    registry: Registry,
    lookups: LooksUp,
    customer: str,
    model: str,
    champion: int,
    most_bytes: int = LARGEST_BYTES,
) -> LoadedScorer:
    """The version that scores, ready; it has been tried on users' features and on such with holes in them.

    It is ``champion``, the one that was asked for, also where another has become the champion in the meantime. A file
    of more than ``most_bytes`` is not read, and the version before it answers.

    Raises:
        ModelError: neither the champion nor one before it can be loaded.
    """
    spec, broken = deployment.stages.model(model), []
    for version in dict.fromkeys((champion, *succession(registry, customer, model))):
        try:
            scorer = _ready(deployment, registry, lookups, customer, spec, version, most_bytes)
            rung = rung_of(spec.model, registry.report(customer, model, version))
        except BrokenModelError as error:
            broken.append(f"version {version}: {in_one_line(error)}")
            continue
        scores: list[float] = []
        if isinstance(scorer, Scorer):
            rows = sampled_features(lookups, customer, scorer.columns, TRIAL_ROWS // 2)
            scores = scorer.figures(rows)["score"].tolist() if len(rows) else []
        accepted = frozenset((*spec.model.columns, *(scorer.columns if isinstance(scorer, Scorer) else ())))
        return LoadedScorer(version, rung, scorer, bands_of(scores, spec.model.answer.bands), accepted)
    received = "; ".join(broken) or "no champion"
    raise ModelError(f"no version of {customer}.{model} can answer", came=received)


def _ready(
    deployment: Deployment,
    registry: Registry,
    lookups: LooksUp,
    customer: str,
    spec: ModelSpec,
    version: int,
    most_bytes: int,
) -> Scorer | VisitLists | NightOnly:
    """A version by its file for online answers; by its own code where the file says so.

    Raises:
        BrokenModelError: it has no file yet, or none that is whole; the process that publishes is to write one.
    """
    online, broken = _online(registry, customer, spec.name, version, most_bytes)
    if online is None and not why_not_live(spec, deployment.stages):
        online = converted(converted_path(deployment.home, registry, customer, spec.name, version), most_bytes)
    if online is not None and online.recipe["kind"] == SCORES:
        return ready_scorer(online)
    if online is not None and online.recipe["kind"] == VISITS:
        return ready_lists(online)
    if spec.model.answer.shape == "list":
        return NightOnly("it has no file for online answers" if online is None else str(online.recipe["why"]))
    if online is None:
        do = "nothing: it is written within a minute"
        raise broken or BrokenModelError("It has no file for online answers yet", do=do)
    # It was tried, and does not agree.
    content = registry.read(customer, spec.name, version, MODEL, most_bytes)
    import_xgboost()
    estimator = registry.loaded(customer, spec.name, version, content, types_of(spec.model))
    return code_scorer(estimator, columns_of(estimator, tuple(dict.fromkeys(spec.model.columns))), len(content))


def _online(
    registry: Registry, customer: str, model: str, version: int, most_bytes: int
) -> tuple[OnlineModel | None, BrokenModelError | None]:
    """What lies beside a version for online answers, if anything that is whole; and what is wrong with it."""
    name = f"{REPORT}/{NAME}"
    if name not in registry.paths(customer, model, version):
        return None, None
    try:
        return unpacked(registry.read(customer, model, version, name, most_bytes)), None
    except BrokenModelError as error:
        who = [customer, model, version]
        LOG.warning({"what": "a file for online answers is broken", "version": who, "error": in_one_line(error)})
        return None, error


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
    import_xgboost()
    estimator = registry.load(customer, model, version, types_of(deployment.stages.model(model).model))
    answers = estimator.predict(Examples(frame_of(rows, columns), None, {}, (datetime.now(UTC),)))
    return [str(words) for words in answers["reasons"]] if "reasons" in answers else [""] * len(rows)
