"""One multi-asset per model: ``models/{model}``, ``predictions/{model}``, ``health/{model}`` and
``delivery/{model}``, each selectable alone, so that tonight's scoring needs no training.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from math import isinf
from typing import Any

import dagster as dg

from capflow_assets.blueprint.specs import ModelSpec
from capflow_assets.blueprint.stages import Stages
from capflow_assets.contract import Rule
from capflow_assets.customers.customer import Customer
from capflow_assets.deployment import Deployment
from capflow_assets.errors import CapflowError, EvidenceError, ModelError
from capflow_assets.expressions.as_of import as_of_moment, parse_moment
from capflow_assets.foreign import words_of
from capflow_assets.graph.check_records import check_spec
from capflow_assets.graph.cohort import placed, run_cohort, timed
from capflow_assets.graph.cohort_process import Task
from capflow_assets.graph.customer_tables import OWNER, column_schema
from capflow_assets.graph.delivery_assets import CHECK_DESCRIPTION, DESCRIPTION, PART, delivered_outcome, not_scored
from capflow_assets.graph.engine import Engine
from capflow_assets.graph.held_work import held
from capflow_assets.graph.launch_config import config_schema
from capflow_assets.graph.model_outcomes import (
    off_outcome,
    scored_outcome,
    trained_outcome,
    waiting_outcome,
    watched_outcome,
)
from capflow_assets.graph.outcomes import Outcome
from capflow_assets.graph.partitions import CUSTOMERS, MODELS_COHORT
from capflow_assets.graph.provenance import champion_version
from capflow_assets.life.answers import table_of
from capflow_assets.life.examples import ExampleReader
from capflow_assets.life.health import watch
from capflow_assets.life.menus import on_menu
from capflow_assets.life.renewal import Renewal, renew
from capflow_assets.life.scoring import score
from capflow_assets.life.training import params_of
from capflow_assets.life.training_answers import TrainingAnswers
from capflow_assets.nights.destinations import CHECK
from capflow_assets.processes.lifeline import LINE
from capflow_assets.serving.publication import publish_night

# What a training makes anew; what is delivered follows with the next night.
TRAINED_PARTS = ("models", "predictions", "health")
PARTS = (*TRAINED_PARTS, PART)
TRAINED_BY_HAND = Renewal()
BEATS = {
    "better": "Better than {baseline} out of time, the 95 % interval above zero.",
    "not worse": "Not surely worse than {baseline} out of time, the 95 % interval not wholly below zero.",
}
OTHERWISE = {"keep": "else it is not promoted", "ask": "else a person decides", "tell": "nothing follows from it"}


def model_asset(
    stages: Stages, spec: ModelSpec, deploy: Callable[[Engine], Deployment], module: str | None = None
) -> dg.AssetsDefinition:
    """The multi-asset of one model of ``stages``, which ``module`` holds, if any does."""

    @dg.multi_asset(
        name=f"{spec.name}_model",
        specs=list(asset_specs(stages, spec)),
        check_specs=list(check_specs(spec)),
        partitions_def=CUSTOMERS,
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.multi_run(MODELS_COHORT),
        config_schema=config_schema(spec),
        required_resource_keys={"pyspark", "step_launcher"},
    )
    def model(context: dg.AssetExecutionContext):  # type: ignore[no-untyped-def]
        deployment = deploy(context.resources.pyspark)
        selected = frozenset(key.path[0] for key in context.selected_asset_keys)
        config: dict[str, Any] = context.op_execution_context.op_config

        overrides = {name: value for name, value in (config.get("params") or {}).items() if value is not None}
        arguments: dict[str, Any] = {
            "model": spec.name,
            "selected": selected,
            "as_of": config.get("as_of"),
            "overrides": overrides,
            "renewal": Renewal(config["action"], config["cause"]),
        }
        engine = deployment.engine
        task = module and Task(module, engine.engine, engine.spark_config, live_of, arguments)
        customers = context.partition_keys
        work = placed(customers, partial(live_of, deployment, **arguments), task or None)
        yield from run_cohort(context, customers, held(context, deployment, work))

    return model


def live_of(
    deployment: Deployment,
    customer: str,
    model: str,
    selected: frozenset[str],
    as_of: str | None,
    overrides: dict[str, Any],
    renewal: Renewal = TRAINED_BY_HAND,
) -> Iterator[Outcome]:
    """``live`` by the model's name, each outcome with its seconds."""
    yield from timed(live(deployment, deployment.stages.model(model), customer, selected, as_of, overrides, renewal))


def live(
    deployment: Deployment,
    spec: ModelSpec,
    customer: str,
    selected: frozenset[str],
    as_of: str | None = None,
    overrides: dict[str, Any] | None = None,
    renewal: Renewal = TRAINED_BY_HAND,
) -> Iterator[Outcome]:
    """Train, score, watch and deliver one model of one customer: the parts that are selected."""
    declared = deployment.customer(customer)
    requested = parse_moment(as_of, declared.time_zone) if as_of else None
    stages = deployment.stages.of_customer(declared.tables, declared.models, declared.features, declared.only_models)
    spec = on_menu(spec, stages, declared, deployment.lake)
    reader = ExampleReader(deployment.lake, stages, declared, spec)
    if resting := _resting(deployment, declared, spec):
        yield from (resting(part) for part in sorted(selected, key=PARTS.index))
        return
    is_scored = True
    if selected - {PART}:
        moment = as_of_moment(deployment.lake.table(customer, "clean/bills"), requested)
        is_to_score = bool({"predictions", "health"} & selected)
        with TrainingAnswers() as kept:
            if "models" in selected:
                LINE.begins(f"models/{spec.name}")
                answers = kept if is_to_score else None
                yield _try_training(deployment, reader, overrides or {}, moment, renewal, answers)
            if is_to_score:
                is_scored = yield from _answering(deployment, reader, selected, moment, kept)
    if PART in selected:
        LINE.begins(f"{PART}/{spec.name}")
        yield delivered_outcome(deployment, spec, declared) if is_scored else not_scored(spec)


def _answering(
    deployment: Deployment, reader: ExampleReader, selected: frozenset[str], moment: datetime, kept: TrainingAnswers
) -> Generator[Outcome, None, bool]:
    """Score and watch: the parts that are selected; whether there are predictions that may be delivered."""
    spec, customer = reader.spec, reader.customer.name
    LINE.begins(f"predictions/{spec.name}")
    try:
        scored = score(deployment, reader, moment, kept=kept)
    except ModelError as error:  # there is a champion, and no version can answer
        part = "predictions" if "predictions" in selected else "health"
        yield Outcome(dg.AssetKey([part, spec.name]), failure=str(error), error=error)
        return False
    for part in ("predictions", "health"):
        if part not in selected:
            continue
        if scored is None:
            yield waiting_outcome(
                part, spec, "no champion", f"{customer}.{spec.name} has no champion, so nothing is scored"
            )
        elif part == "predictions":
            yield scored_outcome(deployment, spec, customer, scored, publish_night(deployment, customer, spec.name))
        else:
            yield watched_outcome(deployment, spec, customer, watch(deployment, reader, scored))
    return scored is None or scored.version is not None


def _resting(deployment: Deployment, customer: Customer, spec: ModelSpec) -> Callable[[str], Outcome] | None:
    """The outcome of each part where a customer is not to have the model, or cannot; None where there is work."""
    if not customer.has_model(spec.name):
        reason = f"only_models of {customer.name}'s TOML does not name {spec.name}"
        return lambda part: off_outcome(part, spec, reason)
    absent = sorted(set(spec.model.needs.tables) & set(deployment.stages.absent(customer.tables)))
    if absent:
        reason = f"not ready: needs {', '.join(absent)}, which {customer.name} does not have"
        return lambda part: waiting_outcome(part, spec, "not ready", reason)
    return None


def _try_training(
    deployment: Deployment,
    reader: ExampleReader,
    overrides: dict[str, Any],
    moment: datetime,
    renewal: Renewal,
    kept: TrainingAnswers | None,
) -> Outcome:
    """A training that fails is a failed asset, one that finds too little to learn from is not ready; the champion goes
    on answering either way.
    """
    spec, customer = reader.spec, reader.customer.name
    key = dg.AssetKey(["models", spec.name])
    try:
        params = params_of(deployment, customer, spec.name, overrides)
    except CapflowError as error:
        return Outcome(key, failure=str(error), error=error)
    reader = replace(reader, params=params)
    try:
        try:
            result = renew(deployment, reader, params, moment, renewal, kept)
            outcome = trained_outcome(deployment, spec, customer, result)
        except EvidenceError as error:
            outcome = waiting_outcome("models", spec, "not ready", str(error))
        # What an earlier champion predicted is stale, whichever version was trained.
        return replace(outcome, data_version=champion_version(deployment.registry.champion(customer, spec.name)))
    except Exception as error:  # whatever a model breaks with must not stop the scoring
        return Outcome(key, failure=words_of(error), error=error)


def asset_specs(stages: Stages, spec: ModelSpec) -> Iterator[dg.AssetSpec]:
    """The four assets of a model, their lineage and their code."""
    texts = {
        "models": f"{spec.model.question}\n\nThe champion and its challengers, a {spec.model.family} model.",
        "predictions": f"{spec.model.question}\n\nThe champion's answer, one row per {table_of(spec.model).grain}.",
        "health": "Drift of features and scores against the training population, one row per column and scoring.",
        PART: DESCRIPTION,
    }
    metadata = {"predictions": {"dagster/column_schema": column_schema(table_of(spec.model), {})}}
    kinds = {part: {"mlflow" if part == "models" else "deltalake", "python"} for part in PARTS}
    for part in PARTS:
        yield dg.AssetSpec(
            key=[part, spec.name],
            deps=[dg.AssetKey(key.split("/")) for key in sorted(spec.edges[f"{part}/{spec.name}"])],
            description=texts[part],
            group_name=part,
            owners=[OWNER],
            kinds=kinds[part],
            skippable=True,
            partitions_def=CUSTOMERS,
            code_version=stages.code_versions.get(f"{part}/{spec.name}"),
            metadata=metadata.get(part),
        )


def check_specs(spec: ModelSpec) -> Iterator[dg.AssetCheckSpec]:
    """Is the customer ready, does the model beat its baseline, is it calibrated, has its world drifted."""
    model, health = dg.AssetKey(["models", spec.name]), dg.AssetKey(["health", spec.name])
    yield check_spec("ready", asset=model, description="The customer's evidence is enough to train on.")
    yield check_spec(
        "promotion", asset=model, description="A champion scores, and no person is asked about the last training."
    )
    yield check_spec(
        "beats_baseline",
        asset=model,
        description=BEATS[spec.model.beats].format(baseline=spec.model.baseline.name),
    )
    yield check_spec(
        "enough",
        asset=model,
        description=f"Judged on {spec.model.least_judged} or more, which are not all alike; else a person decides.",
    )
    for rule in spec.model.rules:
        yield check_spec(rule.name, asset=model, description=_rule_words(rule))
    yield check_spec("leakage", asset=model, description="No feature alone tells the label; blocks promotion.")
    yield check_spec(
        "skew",
        asset=dg.AssetKey(["predictions", spec.name]),
        description="The users are described as those that the champion was trained on; else it may not score them.",
    )
    yield check_spec("drift", asset=health, description="No column is over the customer's PSI threshold.")
    yield check_spec(CHECK, asset=dg.AssetKey([PART, spec.name]), description=CHECK_DESCRIPTION)


def _rule_words(rule: Rule) -> str:
    """What a rule asks, and what follows where it does not hold."""
    bounds = [
        f"{words} {bound:g}"
        for words, bound in (("at least", rule.at_least), ("at most", rule.at_most))
        if not isinf(bound)
    ]
    figure = rule.words.removeprefix("its ")
    return f"{figure[0].upper()}{figure[1:]} is {' and '.join(bounds) or 'told'}; {OTHERWISE[rule.otherwise]}."
