"""What a model's card says, in a terminal or on a page: lines with a name each, and tables with a title each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def lines(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What is said in a line each."""
    standing = "the champion" if report["is_champion"] else f"a challenger; the champion is {_champion(report)}"
    yield "standing", standing + (", frozen" if report["frozen"] else "")
    if report.get("warning"):
        yield "warning", str(report["warning"])
    yield "decision", str(report["decision"]["reason"])
    if report["promotion"].get("reason") not in (None, report["decision"]["reason"]):
        yield "since then", str(report["promotion"]["reason"])
    yield "to do", _to_do(report)
    yield from _health(report.get("health") or {})
    if report.get("not_judged"):
        yield "not judged", str(report["not_judged"])
    yield "answers by", str(report.get("candidate") or report["family"])
    if report.get("metric") and report["metric"]["value"] is not None:
        yield report["metric"]["name"], f"{_interval(report['metric'])}: {report['metric']['description']}"
    if report.get("baseline"):
        baseline = report["baseline"]
        yield "baseline", f"{_interval(baseline)} of {baseline['name']}; ahead by {_interval(baseline['difference'])}"
    moments = [moment[:10] for moment in report.get("train_moments", ())]
    if moments:
        yield "learned from", f"{report['examples']['train']:,} examples as of {', '.join(moments)}"
    if report.get("test_moment"):
        days = f"{report['examples']['test']:,} examples as of {report['test_moment'][:10]}"
        yield "judged on", f"{days}, by the {report['horizon_days']} days after"
    if report["feature_columns"]:
        yield "reads", ", ".join(report["feature_columns"])
    yield "data", ", ".join(f"{table} v{number}" for table, number in report["data_versions"].items())
    yield "code", f"{report['code_version']}, seed {report['seed']}"
    if report["plots"]:
        yield "pictures", ", ".join(report["plots"])
    yield "files", str(report["artifacts"])


def tables(report: Mapping[str, Any]) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """What is said in rows: conditions, slices, candidates, columns, the search for parameters."""
    judgements = report.get("judgements", ())
    if judgements:
        rows = [
            ["✓" if one["passed"] else "✗", one["name"], one["message"], "" if one["passed"] else one["otherwise"]]
            for one in judgements
        ]
        yield "conditions", ["", "name", "found", "else"], rows
    if report.get("slices"):
        named = ("score", "baseline", "difference")
        rows = [
            [one["slice"], f"{one['subjects']:,}", *(_ends(one[name]) for name in named), one["standing"]]
            for one in report["slices"]
        ]
        yield "slices", ["users", "count", *named, "standing"], rows
    if report.get("retrainings"):
        rows = [
            [str(one["version"]), one["as_of"][:10], one["action"], one["cause"], one["decision"], *_brought(one)]
            for one in report["retrainings"]
        ]
        yield (
            "trainings",
            ["version", "as of", "action", "cause", "decision", "ahead of the champion by", "measured since"],
            rows,
        )
    if report.get("candidates"):
        rows = [
            [one["name"], ", ".join(f"{value:.4g}" for value in one["values"]), one["error"]]
            for one in report["candidates"]
        ]
        yield "candidates on past moments", ["name", report["metric"]["name"], "error"], rows
    if report.get("columns"):
        ordered = sorted(report["columns"], key=lambda one: one["verdict"] != "chosen")
        rows = [[one["column"], one["verdict"], one["reason"]] for one in ordered]
        yield "columns", ["name", "verdict", "why"], rows
    if report.get("trials"):
        rows = [
            [str(one["number"]), one["origin"], _gain(one), one["state"], _params(one["params"])]
            for one in report["trials"]
        ]
        yield "search for parameters", ["trial", "from", "gain", "state", "parameters"], rows


def _health(health: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What health calls for and why; how good the answers were, by what users did and by the scores alone."""
    if health:
        calls_for = "" if health["action"] == "none" else f"{health['action']} ({health['cause']}): "
        yield "health", f"{calls_for}{health['reason']}"
    for name, words in (("live", "measured on outcomes"), ("estimate", "estimated from the scores alone")):
        for key in health:
            if key.startswith(f"{name}_") and not key.endswith(("_interval", "_as_of")):
                day = f" as of {health['live_as_of'][:10]}" if name == "live" else ""
                metric = key.removeprefix(f"{name}_")
                yield name, f"{metric} {health[key]:.4g} ({health[f'{name}_interval']}) {words}{day}"
    if health.get("blind"):
        yield "unsure", str(health["blind"])


# What follows from what a scoring's health calls for; where nothing does, there is nothing to do.
AFTER_HEALTH = {
    "wait": "nothing yet; it is looked at again after the next scoring",
    "fix the feed": "mend what the customer sends, then capflow run {customer}",
    "recalibrate": "nothing by hand: the retraining sensor gives it a new calibration",
    "retrain": "nothing by hand: the retraining sensor trains it. Now: capflow run {customer} --select models/{model}",
    "ask": "decide whether to train again: capflow run {customer} --select models/{model}",
}


def _to_do(report: Mapping[str, Any]) -> str:
    """What a person is to do next, with the command."""
    names = {"customer": report["customer"], "model": report["model"]}
    if report["is_champion"]:
        health = report.get("health") or {}
        words = AFTER_HEALTH.get(health.get("action", "none"), "nothing").format(**names)
        words += "; frozen until capflow thaw {customer} {model}".format(**names) if report["frozen"] else ""
        if (report.get("challenger_decision") or {}).get("action") != "ask":
            return words
        asking = report["challenger_version"]
        look = "capflow explain {customer} {model} --version {version}".format(**names, version=asking)
        decide = f"decide about version {asking} ({look}). To promote it: {_promotion(names, asking)}"
        return decide if words == "nothing" else f"{words}. And {decide}"
    promote = _promotion(names, report["version"])
    if report["decision"]["action"] == "ask":
        return f"decide. To promote it: {promote}. To leave things as they are: nothing"
    train = "capflow run {customer} --select models/{model}".format(**names)
    return f"nothing; the next training competes again ({train}). To promote this version all the same: {promote}"


def _promotion(names: Mapping[str, str], version: int) -> str:
    return "capflow promote {customer} {model} --version {version}".format(**names, version=version)


def _brought(training: Mapping[str, Any]) -> Iterator[str]:
    """What a training promised, and what was measured of it while the former champion answered in shadow."""
    for value, low, high in (("gain", "gain_low", "gain_high"), ("measured_gain", "measured_low", "measured_high")):
        if training.get(value) is None:
            yield "–"
        else:
            yield f"{training[value]:.3g} ({training[low]:.3g} to {training[high]:.3g})"


def _champion(report: Mapping[str, Any]) -> str:
    return f"version {report['champion_version']}" if report["champion_version"] else "nobody"


def _interval(interval: Mapping[str, Any]) -> str:
    return f"{interval['value']:.4g} ({interval['low']:.4g} to {interval['high']:.4g})"


def _ends(interval: Sequence[float] | None) -> str:
    return "–" if interval is None else "{:.3g} ({:.3g} to {:.3g})".format(*interval)


def _gain(trial: Mapping[str, Any]) -> str:
    return "–" if trial["gain"] is None else f"{trial['gain']:+.4f}"


def _params(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in params.items())
