"""Which version of a model answers: the champion, else the last champion before it whose files are whole.

A version whose files are missing, damaged or not those that were registered is never loaded. It stops neither scoring
nor training: the one before it answers, and predictions, status and doctor name both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from capflow_assets.contract import Estimator, Model
from capflow_assets.deployment import Deployment
from capflow_assets.errors import BrokenModelError, ModelError
from capflow_assets.life.examples import Examples
from capflow_assets.life.trained_on import TrainedOn, trained_on
from capflow_assets.stores.model_files import MODEL, REPORT
from capflow_assets.stores.registry import Registry
from capflow_assets.stores.saved_estimators import Trials, foreign_types, types_of
from capflow_assets.stores.sound_files import SoundFiles

# The files of a version that ``damage`` reads.
READ_FILES = frozenset((MODEL, f"{REPORT}/report.json", f"{REPORT}/reference.json"))


@dataclass(frozen=True, slots=True)
class Answers:
    """Who answers for a customer's model. ``broken`` names the champions before it in line, and what is wrong."""

    customer: str
    model: str
    champion: int | None
    version: int | None
    broken: tuple[tuple[int, str], ...] = ()

    @property
    def warning(self) -> str:
        """What a person should know and do; empty where the champion answers, or where there is none."""
        if not self.broken:
            return ""
        name = f"{self.customer}.{self.model}"
        why = "; ".join(f"version {version}: {words}" for version, words in self.broken)
        train = f"train again: capflow run {self.customer} --select models/{self.model},predictions/{self.model}"
        if self.version is None:
            return f"no version of {name} can answer, its champion is broken ({why}); {train}"
        back = f"or capflow rollback {self.customer} {self.model}" if len(self.broken) == 1 else ""
        return f"the champion of {name} is broken ({why}); version {self.version} answers in its place; {train} {back}"


@dataclass(frozen=True, slots=True)
class Answerer:
    """The version that answers, loaded."""

    answers: Answers
    version: int
    estimator: Estimator
    then: TrainedOn


def answerer(deployment: Deployment, examples: Examples) -> Answerer | None:
    """The estimator that scores, with what it was trained on; None where there is no champion.

    Raises:
        ModelError: there is a champion, and neither it nor one before it can be loaded.
    """
    customer, name, registry = examples.customer.name, examples.spec.name, deployment.registry
    registry.settle(customer, name)
    broken: list[tuple[int, str]] = []
    champion = registry.champion(customer, name)
    for version in in_line(registry, customer, name):
        try:
            estimator = registry.load(customer, name, version, types_of(examples.spec.model))
            then = trained_on(deployment, examples, version)
        except BrokenModelError as error:
            broken.append((version, in_short(error)))
            continue
        return Answerer(Answers(customer, name, champion, version, tuple(broken)), version, estimator, then)
    if not broken:
        return None
    warning = Answers(customer, name, champion, None, tuple(broken)).warning
    raise ModelError(f"{customer}.{name} was not scored: the last good predictions stay", came=warning)


def answers(registry: Registry, customer: str, name: str, model: Model, sound: SoundFiles | None = None) -> Answers:
    """Who would answer now, from the files as they are; nothing of them is loaded.

    Files that ``sound`` remembers as whole are not read again.
    """
    broken: list[tuple[int, str]] = []
    champion = registry.champion(customer, name)
    for version in in_line(registry, customer, name):
        words = damage(registry, customer, name, version, types_of(model), sound)
        if not words:
            return Answers(customer, name, champion, version, tuple(broken))
        broken.append((version, words))
    return Answers(customer, name, champion, None, tuple(broken))


def in_line(registry: Registry, customer: str, name: str) -> Iterator[int]:
    """The champion and those before it, the latest first; a champion that was deleted in MLflow has its place."""
    now = registry.standing(customer, name)
    line = dict.fromkeys((*reversed(now.history),) if now.champion is None else (now.champion, *reversed(now.history)))
    if not line:
        return
    known, first = set(registry.versions(customer, name)), next(iter(line))
    # MLflow takes the alias with a version that is deleted. Taken from a version that is there, a person took it.
    if now.champion is not None or first not in known:
        yield from (version for version in line if version in known or version == first)


def damage(
    registry: Registry,
    customer: str,
    name: str,
    version: int,
    types: frozenset[str],
    sound: SoundFiles | None = None,
) -> str:
    """What is wrong with the files of a version; empty where it could answer.

    Files that ``sound`` remembers as whole are not read again.
    """
    from capflow_assets.monitoring.drift import Reference

    try:
        sign = None if sound is None else _sign(registry, customer, name, version, types, sound)
        if sound is not None and sound.has(sign):
            return ""
        content = registry.read(customer, name, version, MODEL)
        foreign = foreign_types(content, types)
        registry.report(customer, name, version)
        Reference.from_json(registry.file(customer, name, version, "reference.json").decode())
    except BrokenModelError as error:
        return in_short(error)
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
    """What tells the files that ``damage`` reads from any others; None where MLflow does not know the version."""
    if version not in registry.versions(customer, name):
        return None
    paths = registry.paths(customer, name, version)
    if not paths.keys() >= READ_FILES:
        return None
    return sound.sign({file: paths[file] for file in READ_FILES}, types)


def checked(registry: Registry, customer: str, name: str, version: int, model: Model, trials: Trials) -> str:
    """As ``damage``, and the estimator is loaded as well, by the safe loader, in the process of ``trials``."""
    words = damage(registry, customer, name, version, types_of(model))
    if words:
        return words
    try:
        words = trials.words(registry.read(customer, name, version, MODEL), types_of(model))
    except BrokenModelError as error:
        return in_short(error)
    return " ".join(words.split())[:500]


def in_short(error: BrokenModelError) -> str:
    """What is wrong, in one line."""
    lines = [line.strip() for line in str(error).splitlines()]
    came = [line for line in lines if line.startswith(("Came:", "Where:"))]
    return ", ".join([lines[0].partition(" cannot be used: ")[2] or lines[0], *came])[:500].replace(".,", ",")
