"""Which version of a model scores: the champion, else the last champion before it whose files are whole.

A version whose files are missing, damaged or not those that were registered is never loaded. It stops neither scoring
nor training: the one before it scores, and predictions, status and doctor name both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from capflow_assets.contract import Estimator, Model
from capflow_assets.deployment import Deployment
from capflow_assets.errors import BrokenModelError, ModelError
from capflow_assets.life.examples import ExampleReader
from capflow_assets.life.reference import TrainingPopulation, training_population
from capflow_assets.life.rungs import rung_of
from capflow_assets.stores.model_files import MODEL, REPORT
from capflow_assets.stores.registry import Registry
from capflow_assets.stores.saved_estimators import IsolatedLoader, foreign_types, types_of
from capflow_assets.stores.sound_files import SoundFiles

# The files of a version that ``damage_of`` reads.
READ_FILES = frozenset((MODEL, f"{REPORT}/report.json", f"{REPORT}/reference.json"))


@dataclass(frozen=True, slots=True)
class ScoringVersion:
    """The version that scores for a customer's model; None where none can.

    ``broken`` names the champions before it in line, each with what is wrong with it.
    """

    customer: str
    model: str
    champion: int | None
    version: int | None
    broken: tuple[tuple[int, str], ...] = ()

    @property
    def warning(self) -> str:
        """What a person should know and do; empty where the champion scores, or where there is none."""
        if not self.broken:
            return ""
        name = f"{self.customer}.{self.model}"
        why = "; ".join(f"version {version}: {damage}" for version, damage in self.broken)
        train = f"train again: capflow run {self.customer} --select models/{self.model},predictions/{self.model}"
        if self.version is None:
            return f"no version of {name} can answer, its champion is broken ({why}); {train}"
        back = f"or capflow rollback {self.customer} {self.model}" if len(self.broken) == 1 else ""
        return f"the champion of {name} is broken ({why}); version {self.version} answers in its place; {train} {back}"


@dataclass(frozen=True, slots=True)
class LoadedVersion:
    """The version that scores, loaded, with the users that it was trained on; ``rung`` says who answers by it."""

    version: int
    estimator: Estimator
    population: TrainingPopulation
    warning: str
    rung: str


def load_scoring_version(deployment: Deployment, reader: ExampleReader) -> LoadedVersion | None:
    """The estimator that scores; None where there is no champion.

    Raises:
        ModelError: there is a champion, and neither it nor one before it can be loaded.
    """
    customer, name, registry = reader.customer.name, reader.spec.name, deployment.registry
    registry.settle(customer, name)
    broken: list[tuple[int, str]] = []
    champion = registry.champion(customer, name)
    for version in succession(registry, customer, name):
        try:
            estimator = registry.load(customer, name, version, types_of(reader.spec.model))
            population = training_population(deployment, reader, version)
            rung = rung_of(reader.spec.model, registry.report(customer, name, version))
        except BrokenModelError as error:
            broken.append((version, in_one_line(error)))
            continue
        warning = ScoringVersion(customer, name, champion, version, tuple(broken)).warning
        return LoadedVersion(version, estimator, population, warning, rung)
    if not broken:
        return None
    warning = ScoringVersion(customer, name, champion, None, tuple(broken)).warning
    raise ModelError(f"{customer}.{name} was not scored: the last good predictions stay", came=warning)


def scoring_version(
    registry: Registry, customer: str, name: str, model: Model[Any], sound: SoundFiles | None = None
) -> ScoringVersion:
    """The version that would score now, judged by the files as they are; no estimator is loaded.

    Files that ``sound`` remembers as whole are not read again.
    """
    broken: list[tuple[int, str]] = []
    champion = registry.champion(customer, name)
    for version in succession(registry, customer, name):
        damage = damage_of(registry, customer, name, version, types_of(model), sound)
        if not damage:
            return ScoringVersion(customer, name, champion, version, tuple(broken))
        broken.append((version, damage))
    return ScoringVersion(customer, name, champion, None, tuple(broken))


def succession(registry: Registry, customer: str, name: str) -> Iterator[int]:
    """The champion and those before it, the latest first; a champion that was deleted in MLflow keeps its place."""
    state = registry.state(customer, name)
    past = reversed(state.history)
    line = dict.fromkeys(past if state.champion is None else (state.champion, *past))
    if not line:
        return
    known, first = set(registry.versions(customer, name)), next(iter(line))
    # MLflow takes the alias with a version that is deleted. Taken from a version that is there, a person took it.
    if state.champion is not None or first not in known:
        yield from (version for version in line if version in known or version == first)


def damage_of(
    registry: Registry,
    customer: str,
    name: str,
    version: int,
    types: frozenset[str],
    sound: SoundFiles | None = None,
) -> str:
    """What is wrong with the files of a version; empty where it could score.

    Files that ``sound`` remembers as whole are not read again.
    """
    from capflow_assets.monitoring.drift import Reference

    try:
        sign = None if sound is None else _sign(registry, customer, name, version, types, sound)
        if sound is not None and sound.has(sign):
            return ""
        content = registry.read(customer, name, version, MODEL)
        foreign = foreign_types(content, types)
        registry.trained_as_of(customer, name, version)
        Reference.from_json(registry.file(customer, name, version, "reference.json").decode())
    except BrokenModelError as error:
        return in_one_line(error)
    except (ValueError, KeyError, TypeError) as error:
        return f"its reference distribution is damaged: {type(error).__name__}"
    if foreign:
        return f"it holds types that its code does not declare: {', '.join(foreign[:5])}"
    if sound is not None:
        sound.add(sign)
    return ""


def _sign(
    registry: Registry, customer: str, name: str, version: int, types: frozenset[str], sound: SoundFiles
) -> str | None:
    """What tells the files that ``damage_of`` reads from any others; None where MLflow does not know the version."""
    if version not in registry.versions(customer, name):
        return None
    paths = registry.paths(customer, name, version)
    if not paths.keys() >= READ_FILES:
        return None
    return sound.sign({file: paths[file] for file in READ_FILES}, types)


def damage_when_loaded(
    registry: Registry, customer: str, name: str, version: int, model: Model[Any], loader: IsolatedLoader
) -> str:
    """As ``damage_of``; and the estimator is loaded as well, by the safe loader, in the process of ``loader``."""
    damage = damage_of(registry, customer, name, version, types_of(model))
    if damage:
        return damage
    try:
        damage = loader.damage(registry.read(customer, name, version, MODEL), types_of(model))
    except BrokenModelError as error:
        return in_one_line(error)
    return " ".join(damage.split())[:500]


def in_one_line(error: BrokenModelError) -> str:
    """What is wrong, in one line."""
    lines = [line.strip() for line in str(error).splitlines()]
    details = [line for line in lines if line.startswith(("Came:", "Where:"))]
    return ", ".join([lines[0].partition(" cannot be used: ")[2] or lines[0], *details])[:500].replace(".,", ",")
