"""What trainings, scorings and health say of themselves: the metadata and checks of a model's assets."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from capflow_assets.blueprint.checking import choice
from capflow_assets.blueprint.specs import ModelSpec
from capflow_assets.contract import Finding, Verdict
from capflow_assets.customers.checks_settings import resting, severe
from capflow_assets.deployment import Deployment
from capflow_assets.errors import ModelError
from capflow_assets.graph.column_lineage import answers_lineage
from capflow_assets.graph.decision_records import of_report
from capflow_assets.graph.outcomes import Outcome
from capflow_assets.life.answers import table_of
from capflow_assets.life.health import Health
from capflow_assets.life.report import TrainingReport
from capflow_assets.life.rungs import POOLED_CANDIDATE
from capflow_assets.life.scoring import Scored
from capflow_assets.life.training import NotReady, Trained
from capflow_assets.life.verdicts import OFF
from capflow_assets.pages import model_cards
from capflow_assets.pages.plots import markdown

# The conditions of every promotion, and those of them that have a check of their own besides each rule of the model.
CONDITIONS = ("coverage", "beats_baseline", "enough", "holds_against_champion")
CHECKED = ("beats_baseline", "enough")
# The check of each part that warns where there is nothing to ask it of: green is what was done.
WAITING_CHECK = {"models": "ready", "predictions": "skew", "health": "drift", "delivery": "reconciles"}


def waiting_outcome(part: str, spec: ModelSpec, status: str, reason: str) -> Outcome:
    """A part that waits: the customer lacks something, or nobody is champion; it is materialized all the same."""
    key = dg.AssetKey([part, spec.name])
    finding = Finding(WAITING_CHECK[part], False, reason, found={"absent": True} if part != "models" else {})
    return Outcome(key, {"status": status, "reason": reason}, ((key, finding),))


def off_outcome(part: str, spec: ModelSpec, reason: str) -> Outcome:
    """A part of a model that the customer is not to have: that is as it should be."""
    key = dg.AssetKey([part, spec.name])
    finding = Finding(WAITING_CHECK[part], True, f"Nothing to do: {reason}")
    return Outcome(key, {"status": OFF, "reason": reason}, ((key, finding),))


def _not_ready(spec: ModelSpec, verdict: Verdict) -> Outcome:
    missing = "; ".join(reason.fix for reason in verdict.missing)
    rows = [
        dg.TableRecord({"need": r.need, "found": str(r.found), "needed": str(r.needed), "met": r.met, "fix": r.fix})
        for r in verdict.reasons
    ]
    metadata = {"status": "not ready", "reason": missing, "evidence": dg.MetadataValue.table(rows)}
    key = dg.AssetKey(["models", spec.name])
    return Outcome(key, metadata, ((key, Finding("ready", False, missing)),))


def trained_outcome(deployment: Deployment, spec: ModelSpec, customer: str, result: Trained | NotReady) -> Outcome:
    """A training, or why there was none."""
    if isinstance(result, NotReady):
        return _not_ready(spec, result.verdict)
    report = result.report
    # What a person wants first stands first: what happened, the pictures, the page that says what to do.
    metadata: dict[str, Any] = {
        "status": _status(report),
        "reason": report.decision.reason,
        **_pictures(deployment, customer, result),
        "version": result.version,
        **of_report(report),
        "report": dg.MetadataValue.json(report.to_json() | {"version": result.version}),
        "artifacts": deployment.registry.artifacts(customer, spec.name, result.version),
    }
    key = dg.AssetKey(["models", spec.name])
    return Outcome(key, metadata, tuple((key, finding) for finding in _findings(report)))


def _pictures(deployment: Deployment, customer: str, result: Trained) -> dict[str, Any]:
    """The version's card and pictures, kept under names of their own, as metadata: all pictures, and where they lie."""
    report, score, baseline = result.report, result.report.metric.score, result.report.baseline
    card = model_cards.ModelCard(
        model=report.model,
        version=result.version,
        question=report.question,
        as_of=report.as_of.isoformat(),
        status=_status(report),
        reason=report.decision.reason,
        metric=report.metric.name,
        score=f"{score.value:.4g} ({score.low:.4g} to {score.high:.4g})" if score else report.not_judged,
        baseline=f"{baseline.score.value:.4g} of {baseline.rival}" if baseline else "not judged yet",
    )
    places = model_cards.keep_card(deployment.lake, customer, card, result.plots)
    if not places:
        return {}
    title = f"{report.model} v{result.version}"
    pictures = "\n\n".join(markdown(content, f"{title} {name}") for name, content in result.plots.items())
    files = {f"plot_file_{place}": dg.MetadataValue.path(file) for place, file in enumerate(places.values(), 1)}
    files["plot_file"] = files.pop("plot_file_1")
    page = dg.MetadataValue.url(f"/customers/{customer}/models/{report.model}")
    return {"plot": dg.MetadataValue.md(pictures), "card_page": page, **files}


def _status(report: TrainingReport) -> str:
    otherwise = "kept the champion" if report.champion else "not promoted"
    return {"promote": "promoted", "keep": otherwise, "ask": "asks"}[report.decision.action]


def _findings(report: TrainingReport) -> Iterator[Finding]:
    """What the asset's checks tell: the conditions of the promotion, as they were asked for it."""
    missing = "; ".join(reason.fix for reason in report.readiness if not reason.met)
    waits = f"it answers from the first day, and is {report.not_judged}" if report.not_judged else ""
    if missing:
        who = (
            f"a model {POOLED_CANDIDATE}" if report.candidate == POOLED_CANDIDATE else f"the rule, {report.candidate},"
        )
        yield Finding("ready", False, f"{missing}; until then {who} answers")
    else:
        yield Finding("ready", True, waits or "every need is met")
    yield Finding("promotion", report.is_settled, report.decision.reason, found={"action": report.decision.action})
    for judgement in report.judgements:
        if judgement.name in CHECKED or judgement.name not in CONDITIONS:
            yield Finding(judgement.name, judgement.passed, judgement.message, found=judgement.found)
    if report.leakage is not None:
        yield report.leakage


def scored_outcome(
    deployment: Deployment, spec: ModelSpec, customer: str, scored: Scored, unpublished: str = ""
) -> Outcome:
    """A scoring, or why it was refused: its users are not described as those that the champion learned from.

    ``unpublished`` says why online answers are not of this scoring, where they are not.
    """
    key = dg.AssetKey(["predictions", spec.name])
    findings = ((key, scored.skew),)
    if scored.version is None:
        error = ModelError(
            f"{customer}.{spec.name} was not scored: the last good predictions stay",
            came=scored.skew.message,
            do="mend the data, train again, or set [checks.skew] in the customer's TOML",
        )
        return Outcome(key, findings=findings, failure=str(error), error=error)
    metadata: dict[str, Any] = {
        "status": "done",
        "dagster/row_count": scored.totals.rows,
        "champion": scored.champion,
        "rung": scored.rung,
        **({"shadow": scored.shadow} if scored.shadow else {}),
        "version": scored.version,
        "as_of": scored.as_of.isoformat(),
        "location": deployment.lake.path(customer, f"predictions/{spec.name}"),
        "subjects": scored.totals.subjects,
        **_figures(scored),
        **_lineage(deployment, spec, customer, scored),
    } | ({"warning": scored.warning} if scored.warning else {})
    metadata |= {"online_answers": unpublished} if unpublished else {}
    return Outcome(key, metadata, findings)


def _lineage(deployment: Deployment, spec: ModelSpec, customer: str, scored: Scored) -> dict[str, Any]:
    names = dict.fromkeys((*table_of(spec.model).names, *scored.answers.columns))
    absent = deployment.stages.absent(deployment.customer(customer).tables)
    return answers_lineage(deployment.stages, spec, set(scored.examples.columns.columns), names, absent)


def _figures(scored: Scored) -> dict[str, Any]:
    """What the answers' shape lets one say of all of them: bands and a mean score, or the means of what is declared."""
    totals = scored.totals
    counts = {"bands": dg.MetadataValue.json(dict(totals.bands))} if totals.bands else {}
    return counts | {f"{name}_mean": mean for name, mean in totals.means.items()}


def watched_outcome(deployment: Deployment, spec: ModelSpec, customer: str, health: Health) -> Outcome:
    """What health found of the newest scoring."""
    file = deployment.lake.save_bytes(customer, f"plots/health.{spec.name}.png", health.plot)
    decision = health.decision
    metadata: dict[str, Any] = {
        "status": "done",
        "action": decision.action,
        "cause": decision.cause,
        "reason": decision.reason,
        "as_of": health.as_of.isoformat(),
        "champion": health.champion,
        "trained_as_of": health.trained_as_of.isoformat(),
        "worst": health.worst,
        "psi_max": health.psi_max,
        "threshold": health.threshold,
        "over": health.is_over,
        "version": health.version,
        "plot": dg.MetadataValue.md(markdown(health.plot, f"drift of {spec.name}")),
        "plot_file": dg.MetadataValue.path(file),
        "night": dg.MetadataValue.json(health.night.to_json()),
        **_performance(health),
        **_history_plots(deployment, spec, customer, health),
    }
    message = f"PSI of {health.worst} is {health.psi_max:.3f}, threshold {health.threshold:g}"
    chosen = choice(deployment.stages, deployment.customer(customer), "drift", f"health/{spec.name}")
    drifted = Finding("drift", not health.is_over, message, found={"psi_max": health.psi_max})
    finding = resting("drift") if chosen.is_off else severe(drifted, chosen)
    key = dg.AssetKey(["health", spec.name])
    return Outcome(key, metadata, ((key, finding),))


def _performance(health: Health) -> dict[str, Any]:
    """How good the answers are: measured on what came, estimated of the scores, or why neither is known."""
    scoring = health.scoring
    figures: dict[str, Any] = {}
    for name, live in (("live", scoring.live), ("estimate", scoring.night.estimate)):
        if live is not None:
            figures[f"{name}_{live.metric}"] = live.value
            figures[f"{name}_interval"] = f"{live.low:.4g} to {live.high:.4g}"
    if scoring.live_as_of is not None:
        figures["live_as_of"] = scoring.live_as_of.isoformat()
    words = {"blind": scoring.blind, "unknown": scoring.unknown}
    return figures | {name: text for name, text in words.items() if text}


def _history_plots(deployment: Deployment, spec: ModelSpec, customer: str, health: Health) -> dict[str, Any]:
    """The pictures of many nights, as files: the record of each night is read often, and stays small."""
    return {
        f"plot_file_{name}": dg.MetadataValue.path(
            deployment.lake.save_bytes(customer, f"plots/health.{spec.name}.{name}.png", content)
        )
        for name, content in health.plots.items()
    }
