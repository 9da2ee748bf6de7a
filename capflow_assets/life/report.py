"""What a training measured and decided: typed, and as the JSON that MLflow keeps beside the version.

The JSON is read by people (`capflow explain`) and by programs of theirs, so its keys stay. Reports of earlier releases
have no ``leakage``, ``candidate``, ``fitted_moments`` or ``judgements``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from capflow_assets.contract import Finding, Reason
from capflow_assets.errors import BrokenModelError
from capflow_assets.learning.intervals import Interval
from capflow_assets.learning.promotion import Decision, Judgement

if TYPE_CHECKING:
    from capflow_assets.stores.registry import Registry


@dataclass(frozen=True, slots=True)
class Choices:
    """How the recipe was chosen, as rows; none of what was not chosen among.

    ``candidates`` are the scores of each on past moments (``life.candidates``), ``ensembles`` the combinations of them
    that were tried, ``columns`` what became of each column that could be read and why (``learning.selection``),
    ``trials`` those of the search for parameters (``learning.tuning``).
    """

    candidates: tuple[Mapping[str, Any], ...] = ()
    ensembles: tuple[Mapping[str, Any], ...] = ()
    columns: tuple[Mapping[str, Any], ...] = ()
    trials: tuple[Mapping[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Those that there are."""
        rows = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: [dict(row) for row in given] for name, given in rows.items() if given}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Choices:
        """The same from a report's JSON."""
        return cls(**{field.name: tuple(content.get(field.name, ())) for field in fields(cls)})


@dataclass(frozen=True, slots=True)
class MetricScore:
    """The metric that judges the model, and the challenger's score; None where it is not judged yet."""

    name: str
    description: str
    higher_is_better: bool
    score: Interval | None

    def to_json(self) -> dict[str, Any]:
        """The metric with the score's value and interval beside it."""
        words = {"name": self.name, "description": self.description, "higher_is_better": self.higher_is_better}
        return words | (self.score._asdict() if self.score else dict.fromkeys(Interval._fields))

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> MetricScore:
        """The same from JSON."""
        score = None if content["value"] is None else _interval(content)
        return cls(content["name"], content["description"], content["higher_is_better"], score)


@dataclass(frozen=True, slots=True)
class RivalScore:
    """A rival (the baseline by its name, the champion by its version): its score, and how far the challenger is ahead.

    ``difference`` is above 0 where the challenger is better.
    """

    rival: str | int
    score: Interval
    difference: Interval

    def to_json(self) -> dict[str, Any]:
        """The rival with the score's value and interval beside it."""
        key = "name" if isinstance(self.rival, str) else "version"
        return {key: self.rival, **self.score._asdict(), "difference": self.difference._asdict()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> RivalScore:
        """The same from JSON."""
        rival = content["name"] if "name" in content else int(content["version"])
        return cls(rival, _interval(content), _interval(content["difference"]))


@dataclass(frozen=True, slots=True)
class Calibration:
    """The calibration error, and the largest that the model's rule allows."""

    error: float
    at_most: float


@dataclass(frozen=True, slots=True)
class Coverage:
    """The share of subjects that got an answer, and the smallest that the model allows."""

    share: float
    at_least: float


@dataclass(frozen=True, slots=True)
class ExampleCounts:
    """The rows that the challenger learned from, and those that it was judged on."""

    train: int
    test: int


@dataclass(frozen=True, slots=True)
class BrokenChampion:
    """A champion that the challenger could not be compared with, and what is wrong with it."""

    version: int
    damage: str

    def to_json(self) -> dict[str, Any]:
        """The champion as the report keeps it."""
        return {"version": self.version, "came": self.damage, "comparison": "not possible"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingReport:
    """One training of one model for one customer. ``metric`` is of the challenger, which the training made.

    ``params`` is what a person may set, ``parameters`` what the estimator learned or chose. ``champion`` is None where
    there was none to compare with. ``candidate`` is the one that was chosen, ``fitted_moments`` are those whose
    outcomes the version to serve has learned from, and ``judgements`` the conditions of its promotion. ``choices`` are
    how the recipe was chosen, ``slices`` how good it is on some of the users (``learning.slices``).

    ``not_judged`` says why a model that answers from the first day is not judged yet; then there is no
    ``test_moment``, score, baseline or coverage.
    """

    customer: str
    model: str
    family: str
    question: str
    as_of: datetime
    horizon_days: int
    test_moment: datetime | None
    train_moments: tuple[datetime, ...]
    params: Mapping[str, Any]
    parameters: Mapping[str, Any]
    metric: MetricScore
    baseline: RivalScore | None
    champion: RivalScore | None
    calibration: Calibration | None
    coverage: Coverage | None
    feature_columns: tuple[str, ...]
    data_versions: Mapping[str, int]
    code_version: str
    seed: int
    examples: ExampleCounts
    decision: Decision
    readiness: tuple[Reason, ...]
    leakage: Finding | None = None
    broken_champion: BrokenChampion | None = None
    candidate: str = ""
    fitted_moments: tuple[datetime, ...] = ()
    judgements: tuple[Judgement, ...] = ()
    choices: Choices = Choices()
    slices: tuple[Mapping[str, Any], ...] = ()
    not_judged: str = ""
    shared: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_settled(self) -> bool:
        """Whether nobody has to decide: the challenger was promoted, or it gave way to the champion."""
        return self.decision.action == "promote" or (self.decision.action == "keep" and self.champion is not None)

    def to_json(self) -> dict[str, Any]:
        """The report as MLflow keeps it."""
        content = {
            "customer": self.customer,
            "model": self.model,
            "family": self.family,
            "question": self.question,
            "as_of": self.as_of.isoformat(),
            "horizon_days": self.horizon_days,
            "test_moment": self.test_moment.isoformat() if self.test_moment else None,
            "train_moments": [moment.isoformat() for moment in self.train_moments],
            "params": dict(self.params),
            "parameters": dict(self.parameters),
            "metric": self.metric.to_json(),
            "baseline": self.baseline.to_json() if self.baseline else None,
            "champion": self.champion.to_json() if self.champion else None,
            "calibration": asdict(self.calibration) if self.calibration else None,
            "coverage": asdict(self.coverage) if self.coverage else None,
            "feature_columns": list(self.feature_columns),
            "data_versions": dict(self.data_versions),
            "code_version": self.code_version,
            "seed": self.seed,
            "examples": asdict(self.examples),
        }
        if self.leakage is not None:
            content["leakage"] = _finding_to_json(self.leakage)
        content["decision"] = asdict(self.decision)
        content["readiness"] = [_reason_to_json(reason) for reason in self.readiness]
        if self.candidate:
            content["candidate"] = self.candidate
            content["fitted_moments"] = [moment.isoformat() for moment in self.fitted_moments]
            content["judgements"] = [asdict(judgement) for judgement in self.judgements]
        content |= self.choices.to_json()
        if self.slices:
            content["slices"] = [dict(row) for row in self.slices]
        if self.not_judged:
            content["not_judged"] = self.not_judged
        if self.shared:
            content["shared"] = dict(self.shared)
        if self.broken_champion is not None:
            content["broken_champion"] = self.broken_champion.to_json()
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> TrainingReport:
        """The report from JSON, of this release or an earlier one."""
        champion, leakage, broken = (content.get(name) for name in ("champion", "leakage", "broken_champion"))
        calibration = content["calibration"]
        return cls(
            **{name: content[name] for name in ("customer", "model", "family", "question", "horizon_days", "seed")},
            as_of=datetime.fromisoformat(content["as_of"]),
            test_moment=datetime.fromisoformat(content["test_moment"]) if content["test_moment"] else None,
            train_moments=tuple(datetime.fromisoformat(moment) for moment in content["train_moments"]),
            params=content["params"],
            parameters=content["parameters"],
            metric=MetricScore.from_json(content["metric"]),
            baseline=RivalScore.from_json(content["baseline"]) if content["baseline"] else None,
            champion=RivalScore.from_json(champion) if champion else None,
            calibration=Calibration(calibration["error"], calibration["at_most"]) if calibration else None,
            coverage=Coverage(**content["coverage"]) if content["coverage"] else None,
            feature_columns=tuple(content["feature_columns"]),
            data_versions=content["data_versions"],
            code_version=content["code_version"],
            examples=ExampleCounts(content["examples"]["train"], content["examples"]["test"]),
            decision=Decision(content["decision"]["action"], content["decision"]["reason"]),
            readiness=tuple(Reason(**reason) for reason in content["readiness"]),
            leakage=_finding(leakage) if leakage else None,
            broken_champion=BrokenChampion(broken["version"], broken["came"]) if broken else None,
            candidate=content.get("candidate", ""),
            fitted_moments=tuple(datetime.fromisoformat(moment) for moment in content.get("fitted_moments", ())),
            judgements=tuple(Judgement(**judgement) for judgement in content.get("judgements", ())),
            choices=Choices.from_json(content),
            slices=tuple(content.get("slices", ())),
            not_judged=content.get("not_judged", ""),
            shared=content.get("shared", {}),
        )


def training_report(registry: Registry, customer: str, model: str, version: int) -> TrainingReport:
    """The report of one version.

    Raises:
        BrokenModelError: it is missing, damaged, or not the one that was registered.
    """
    content = registry.report(customer, model, version)
    try:
        return TrainingReport.from_json(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:  # without a digest it may be anything
        raise BrokenModelError(
            f"The report of version {version} of {customer}.{model} is damaged", came=f"{type(error).__name__}: {error}"
        ) from error


def earlier_trials(registry: Registry, customer: str, model: str, as_of: datetime) -> tuple[Mapping[str, Any], ...]:
    """The trials of the newest search for parameters as of an earlier moment; none where there was none, or it cannot
    be read.

    Versions as of the same moment do not count: to train again on the same data begins as the first time, and makes the
    same model.
    """
    looked_at = 0
    for version in sorted(registry.versions(customer, model), reverse=True):
        try:
            report = training_report(registry, customer, model, version)
        except BrokenModelError:
            continue
        if report.as_of >= as_of:
            continue
        if report.choices.trials:
            return report.choices.trials
        looked_at += 1
        if looked_at == 2:  # the rule is registered after the version that it answers for
            break
    return ()


def _interval(content: Mapping[str, Any]) -> Interval:
    return Interval(content["value"], content["low"], content["high"])


def _finding(content: Mapping[str, Any]) -> Finding:
    return Finding(**{**content, "sample": tuple(content["sample"])})


def _finding_to_json(finding: Finding) -> dict[str, Any]:
    return {
        "check": finding.check,
        "passed": finding.passed,
        "message": finding.message,
        "severity": finding.severity,
        "found": dict(finding.found),
        "sample": [dict(row) for row in finding.sample],
    }


def _reason_to_json(reason: Reason) -> dict[str, Any]:
    """What made the customer ready; the risk is of the day of the training, and is not kept."""
    return {name: getattr(reason, name) for name in ("need", "found", "needed", "met", "fix")}
