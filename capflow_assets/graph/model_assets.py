"""One multi-asset per model: ``models/{model}``, ``predictions/{model}`` and ``health/{model}``, each selectable alone,
so that tonight's scoring needs no training.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Any

import dagster as dg

from capflow_assets.blueprint.checking import choice
from capflow_assets.blueprint.specs import ModelSpec
from capflow_assets.blueprint.stages import Stages
from capflow_assets.contract import Finding, Verdict
from capflow_assets.customers.checks_settings import resting, severe
from capflow_assets.deployment import Deployment
from capflow_assets.errors import CapflowError, ModelError
from capflow_assets.expressions.as_of import as_of_moment, parse_moment
from capflow_assets.foreign import words_of
from capflow_assets.graph.check_records import check_spec
from capflow_assets.graph.cohort import Outcome, placed, run_cohort, timed
from capflow_assets.graph.cohort_process import Task
from capflow_assets.graph.customer_tables import OWNER
from capflow_assets.graph.decisions import of_report
from capflow_assets.graph.engine import Engine
from capflow_assets.graph.held_work import held
from capflow_assets.graph.partitions import CUSTOMERS, MODELS_COHORT
from capflow_assets.life.examples import Examples
from capflow_assets.life.health import Health, watch
from capflow_assets.life.scoring import Scored, score
from capflow_assets.life.training import NotReady, Trained, params_of, train
from capflow_assets.pages.plots import markdown
from capflow_assets.processes.lifeline import LINE

PARTS = ("models", "predictions", "health")
# The check of each part that warns where there is nothing to ask it of: green is what was done.
WAITING_CHECK = {"models": "ready", "predictions": "skew", "health": "drift"}


def model_asset(
    stages: Stages, spec: ModelSpec, deploy: Callable[[Engine], Deployment], module: str | None = None
) -> dg.AssetsDefinition:
    """The multi-asset of one model of ``stages``, which ``module`` holds, if any does."""

    @dg.multi_asset(
        name=f"{spec.name}_model",
        specs=list(asset_specs(spec)),
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

        given = config.get("params") or {}
        arguments: dict[str, Any] = {
            "model": spec.name,
            "selected": selected,
            "as_of": config.get("as_of"),
            "given": given,
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
    given: dict[str, Any],
) -> Iterator[Outcome]:
    """``live`` by the model's name, each outcome with its seconds."""
    yield from timed(live(deployment, deployment.stages.model(model), customer, selected, as_of, given))


def live(
    deployment: Deployment,
    spec: ModelSpec,
    customer: str,
    selected: frozenset[str],
    as_of: str | None = None,
    given: dict[str, Any] | None = None,
) -> Iterator[Outcome]:
    """Train, score and watch one model of one customer, as far as selected."""
    declared = deployment.customer(customer)
    stages = deployment.stages.of_customer(declared.tables, declared.models, declared.features)
    examples = Examples(deployment.lake, stages, declared, spec)
    absent = sorted(set(spec.model.needs.tables) & set(deployment.stages.absent(declared.tables)))
    if absent:
        reason = f"not ready: needs {', '.join(absent)}, which {customer} does not have"
        for part in sorted(selected, key=PARTS.index):
            yield _waiting(part, spec, "not ready", reason)
        return
    asked = parse_moment(as_of, declared.time_zone) if as_of else None
    moment = as_of_moment(deployment.lake.table(customer, "clean/bills"), asked)
    if "models" in selected:
        LINE.begins(f"models/{spec.name}")
        yield _try_training(deployment, examples, given or {}, moment)
    if not {"predictions", "health"} & selected:
        return
    LINE.begins(f"predictions/{spec.name}")
    try:
        scored = score(deployment, examples, moment)
    except ModelError as error:  # there is a champion, and no version can answer
        part = "predictions" if "predictions" in selected else "health"
        yield Outcome(dg.AssetKey([part, spec.name]), failure=str(error), error=error)
        return
    for part in ("predictions", "health"):
        if part not in selected:
            continue
        if scored is None:
            yield _waiting(part, spec, "no champion", f"{customer}.{spec.name} has no champion, so nothing is scored")
        elif part == "predictions":
            yield _scored(deployment, spec, customer, scored)
        else:
            yield _watched(deployment, spec, customer, watch(deployment, examples, scored))


def _try_training(deployment: Deployment, examples: Examples, given: dict[str, Any], moment: datetime) -> Outcome:
    """A training that fails is a failed asset, one that finds too little to learn from is not ready; the champion goes
    on scoring either way.
    """
    spec, customer = examples.spec, examples.customer.name
    key = dg.AssetKey(["models", spec.name])
    try:
        params = params_of(deployment, customer, spec.name, given)
    except CapflowError as error:
        return Outcome(key, failure=str(error), error=error)
    try:
        return _trained(deployment, spec, customer, train(deployment, examples, params, moment))
    except ModelError as error:
        return _waiting("models", spec, "not ready", str(error))
    except Exception as error:  # whatever a model breaks with must not stop the scoring
        return Outcome(key, failure=words_of(error), error=error)


def asset_specs(spec: ModelSpec) -> Iterator[dg.AssetSpec]:
    """The three assets of a model and their lineage."""
    texts = {
        "models": f"{spec.model.question}\n\nThe champion and its challengers, a {spec.model.family} model.",
        "predictions": f"{spec.model.question}\n\nThe champion's answer, one row per user.",
        "health": "Drift of features and scores against the training population, one row per column and scoring.",
    }
    kinds = {"models": {"mlflow", "python"}, "predictions": {"deltalake", "python"}, "health": {"deltalake", "python"}}
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
        description=f"Better than {spec.model.baseline_name} out of time, the 95 % interval above zero.",
    )
    yield check_spec("calibrated", asset=model, description="The calibration error is within its bound.")
    yield check_spec("leakage", asset=model, description="No feature alone tells the label; blocks promotion.")
    yield check_spec(
        "skew",
        asset=dg.AssetKey(["predictions", spec.name]),
        description="The users are described as those that the champion was trained on; else it may not score them.",
    )
    yield check_spec("drift", asset=health, description="No column is over the customer's PSI threshold.")


def config_schema(spec: ModelSpec) -> dict[str, Any]:
    """The launchpad's form: the as-of moment and the model's Params, with their bounds and defaults in words."""
    kinds: dict[Any, Any] = {int: int, float: float, bool: bool, str: str}
    fields = {
        name: dg.Field(
            kinds.get(info.annotation, dg.Noneable(dg.Any)),
            is_required=False,
            description=f"{info.description} Default {info.default!r}; {_bounds(info.metadata)}",
        )
        for name, info in spec.model.params.model_fields.items()
    }
    return {
        "as_of": dg.Field(dg.Noneable(str), is_required=False, description="Read nothing after this moment."),
        "params": dg.Field(dg.Shape(fields), is_required=False, description="Overrides of the customer's TOML."),
    }


def _bounds(rules: list[Any]) -> str:
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    found = [f"{words[name]} {getattr(rule, name)}" for rule in rules for name in words if hasattr(rule, name)]
    return ", ".join(found) or "unbounded"


def _waiting(part: str, spec: ModelSpec, status: str, reason: str) -> Outcome:
    key = dg.AssetKey([part, spec.name])
    finding = Finding(WAITING_CHECK[part], False, reason, found={"absent": True} if part != "models" else {})
    return Outcome(key, {"status": status, "reason": reason}, ((key, finding),))


def _not_ready(spec: ModelSpec, verdict: Verdict) -> Outcome:
    missing = "; ".join(reason.fix for reason in verdict.missing)
    rows = [
        dg.TableRecord({"need": r.need, "found": str(r.found), "needed": str(r.needed), "met": r.met, "fix": r.fix})
        for r in verdict.reasons
    ]
    metadata = {"status": "not ready", "reason": missing, "evidence": dg.MetadataValue.table(rows)}
    key = dg.AssetKey(["models", spec.name])
    return Outcome(key, metadata, ((key, Finding("ready", False, missing)),))


def _trained(deployment: Deployment, spec: ModelSpec, customer: str, result: Trained | NotReady) -> Outcome:
    if isinstance(result, NotReady):
        return _not_ready(spec, result.verdict)
    report = result.report
    metadata: dict[str, Any] = {
        "status": _status(report),
        "reason": report["decision"]["reason"],
        "version": result.version,
        **of_report(report),
        "report": dg.MetadataValue.json(report),
        "artifacts": deployment.registry.artifacts(customer, spec.name, result.version),
    }
    for name, content in result.plots.items():
        metadata["plot"] = dg.MetadataValue.md(markdown(content, f"{spec.name} {name}"))
        file = f"plots/models.{spec.name}.png"
        metadata["plot_file"] = dg.MetadataValue.path(deployment.lake.save_bytes(customer, file, content))
    key = dg.AssetKey(["models", spec.name])
    return Outcome(key, metadata, tuple((key, finding) for finding in _findings(report)))


def _status(report: dict[str, Any]) -> str:
    kept = "kept the champion" if report["champion"] else "not promoted"
    return {"promote": "promoted", "keep": kept, "ask": "asks"}[report["decision"]["action"]]


def _findings(report: dict[str, Any]) -> Iterator[Finding]:
    yield Finding("ready", True, "every need is met")
    decision = report["decision"]
    is_settled = decision["action"] == "promote" or (decision["action"] == "keep" and bool(report["champion"]))
    yield Finding("promotion", is_settled, decision["reason"], found={"action": decision["action"]})
    difference, calibration = report["baseline"]["difference"], report["calibration"]
    yield Finding(
        "beats_baseline",
        difference["low"] > 0,
        f"{report['metric']['name']} {report['metric']['value']:.4g} against {report['baseline']['value']:.4g} of "
        f"{report['baseline']['name']}; better by {difference['value']:.4g} "
        f"({difference['low']:.4g} to {difference['high']:.4g})",
        found=difference,
    )
    yield Finding(
        "calibrated",
        calibration["error"] <= calibration["at_most"],
        f"calibration error {calibration['error']:.4g}, at most {calibration['at_most']:.4g}",
        found=calibration,
    )
    yield Finding(**report["leakage"])


def _scored(deployment: Deployment, spec: ModelSpec, customer: str, scored: Scored) -> Outcome:
    key = dg.AssetKey(["predictions", spec.name])
    findings = ((key, scored.skew),)
    if scored.version is None:
        error = ModelError(
            f"{customer}.{spec.name} was not scored: the last good predictions stay",
            came=scored.skew.message,
            do="mend the data, train again, or set [checks.skew] in the customer's TOML",
        )
        return Outcome(key, findings=findings, failure=str(error), error=error)
    bands = scored.frame["band"].value_counts().to_dict()
    metadata: dict[str, Any] = {
        "status": "done",
        "dagster/row_count": len(scored.frame),
        "champion": scored.champion,
        "version": scored.version,
        "as_of": scored.as_of.isoformat(),
        "location": deployment.lake.path(customer, f"predictions/{spec.name}"),
        "bands": dg.MetadataValue.json({str(band): int(count) for band, count in bands.items()}),
        "score_mean": float(scored.frame["score"].mean()),
    } | ({"warning": scored.warning} if scored.warning else {})
    return Outcome(key, metadata, findings)


def _watched(deployment: Deployment, spec: ModelSpec, customer: str, health: Health) -> Outcome:
    file = deployment.lake.save_bytes(customer, f"plots/health.{spec.name}.png", health.plot)
    metadata: dict[str, Any] = {
        "status": "done",
        "as_of": health.as_of.isoformat(),
        "champion": health.champion,
        "worst": health.worst,
        "psi_max": health.psi_max,
        "threshold": health.threshold,
        "over": health.over,
        "version": health.version,
        "plot": dg.MetadataValue.md(markdown(health.plot, f"drift of {spec.name}")),
        "plot_file": dg.MetadataValue.path(file),
    }
    message = f"PSI of {health.worst} is {health.psi_max:.3f}, threshold {health.threshold:g}"
    chosen = choice(deployment.stages, deployment.customer(customer), "drift", f"health/{spec.name}")
    drifted = Finding("drift", not health.over, message, found={"psi_max": health.psi_max})
    finding = resting("drift") if chosen.is_off else severe(drifted, chosen)
    key = dg.AssetKey(["health", spec.name])
    return Outcome(key, metadata, ((key, finding),))
