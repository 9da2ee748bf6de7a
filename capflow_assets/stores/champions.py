"""Who is champion, who was, and who wants to be: decided here, and kept in MLflow as ``champion_state`` reads it.

One write decides: that of the record, as one row. The alias ``champion``, the tags of the version and the alias
``challenger`` follow from it, and the tag ``capflow.settled`` says that they did. A process that is killed in between
leaves a decision that is whole: it is read as decided, and the next change, training, scoring or
`capflow doctor --mend` carries it out. Where the first champion was rolled back, the decision holds none.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from capflow_assets.errors import ModelError, NotFoundError
from capflow_assets.stores.champion_state import PAST, RECORD, SETTLED, ChampionState, Record, champion_state, tidy

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from capflow_assets.processes.locks import LockStore

# Between two looks whether somebody else has decided.
LOOK_SECONDS = 0.02


@dataclass(frozen=True)
class Champions:
    """Champions and challengers of the models of customers, in one MLflow."""

    uri: str

    if TYPE_CHECKING:

        @property
        def locks(self) -> LockStore:
            """Where the locks of this deployment are."""

        @property
        def client(self) -> MlflowClient:
            """MLflow's client."""

    def champion(self, customer: str, model: str) -> int | None:
        """The version that scores, None where there is none yet."""
        return self.state(customer, model).champion

    def challenger(self, customer: str, model: str) -> int | None:
        """The newest version that wants to score and does not, None where there is none."""
        return self.state(customer, model).challenger

    def frozen(self, customer: str, model: str) -> bool:
        """Whether trainings may not promote."""
        return self.state(customer, model).is_frozen

    def history(self, customer: str, model: str) -> list[int]:
        """Champions before the present one, the latest last."""
        return list(self.state(customer, model).history)

    def state(self, customer: str, model: str) -> ChampionState:
        """Champion, past champions, challenger and what is still to be carried out, in one reading."""
        return champion_state(*self._read_model(f"{customer}.{model}"))

    def versions(self, customer: str, model: str) -> list[int]:
        """All versions, the oldest first."""
        registered = self.client.search_model_versions(f"name = '{customer}.{model}'")
        return sorted(int(version.version) for version in registered)

    def challenge(self, customer: str, model: str, version: int, reason: str) -> None:
        """Name a version the challenger: it waits for a person, or for the next training."""
        self._tag(f"{customer}.{model}", version, "keep", reason)
        self.client.set_registered_model_alias(f"{customer}.{model}", "challenger", str(version))

    def promote(self, customer: str, model: str, version: int | None, reason: str) -> int:
        """Make a version (the challenger unless one is named) the champion, and remember the one before.

        Raises:
            ModelError: there is no challenger, or the model is frozen.
            NotFoundError: no such version.
        """

        def chosen(now: ChampionState) -> tuple[int, ...]:
            chosen_version = version or now.challenger
            if chosen_version is None:
                raise self._nothing_to_promote(customer, model, now)
            known = self.versions(customer, model)
            if chosen_version not in known:
                do = "" if known else f"capflow run {customer} --select models/{model}"
                raise NotFoundError.among(f"version of {customer}.{model}", str(chosen_version), map(str, known), do)
            before = () if now.champion in (None, chosen_version) else (now.champion,)
            return (*now.history, *before, chosen_version)

        return self._decide(customer, model, "promote", reason, chosen)[-1]

    def rollback(self, customer: str, model: str, reason: str) -> int | None:
        """Make the champion before the present one champion again; None where there was none before: nothing scores.

        Raises:
            ModelError: there is no champion and was none before, or the model is frozen.
        """

        def chosen(now: ChampionState) -> tuple[int, ...]:
            known = set(self.versions(customer, model))
            past = [version for version in now.history if version in known]
            while past and past[-1] == now.champion:  # where a person has moved the alias back to it
                past.pop()
            if not past and now.champion is None:
                raise ModelError(f"{customer}.{model} has no champion to go back to")
            return tuple(past)

        return next(reversed(self._decide(customer, model, "rollback", reason, chosen)), None)

    def settle(self, customer: str, model: str) -> str:
        """Carry out a decision that was cut off; says what was done, nothing where all is settled."""
        if self.state(customer, model).unsettled is None:
            return ""
        with deciding(self.locks, self.uri, f"{customer}.{model}"):
            record = self.state(customer, model).unsettled
            if record is None:
                return ""
            what = f"{record.words()} of {customer}.{model}"
            if record.present is not None and record.present not in self.versions(customer, model):
                self.client.set_registered_model_tag(f"{customer}.{model}", SETTLED, record.token)
                return f"{what} was given up: the version was deleted in MLflow, and the alias counts"
            self._carry_out(f"{customer}.{model}", record)
        return f"{what} was carried out"

    def _nothing_to_promote(self, customer: str, model: str, now: ChampionState) -> ModelError:
        """Why there is no challenger: no version at all, or the newest is the champion or was passed over."""
        if not self.versions(customer, model):
            do = f"see what it needs: capflow explain {customer} {model}"
            return ModelError(f"{customer}.{model} has no challenger to promote, nor any version", do=do)
        champion = "" if now.champion is None else f"version {now.champion} is the champion; "
        do = f"{champion}name another one: --version N"
        return ModelError(f"{customer}.{model} has no challenger to promote", do=do)

    def freeze(self, customer: str, model: str, frozen: bool) -> None:
        """Keep the present champion whatever a training finds, or let trainings promote again."""
        if not self.versions(customer, model):
            raise ModelError(f"{customer}.{model} has never been trained", do=f"capflow run {customer}")
        if frozen and self.champion(customer, model) is None:
            do = f"choose one first: capflow promote {customer} {model}"
            raise ModelError(f"{customer}.{model} has no champion that could be kept", do=do)
        self.client.set_registered_model_tag(f"{customer}.{model}", "frozen", str(frozen).lower())

    def decision(self, customer: str, model: str, version: int) -> dict[str, str]:
        """The last thing that was decided about a version (promote, keep, ask, rollback) and why."""
        now = self.state(customer, model)
        if now.unsettled is not None and version == now.champion:
            return {"action": now.unsettled.action, "reason": now.unsettled.reason}
        if now.is_by_hand and version == now.champion:
            return {"action": "by hand", "reason": "the alias champion was set in MLflow"}
        tags = self._version(customer, model, version).tags
        return {"action": tags.get("decision", ""), "reason": tags.get("reason", "")}

    def _decide(
        self, customer: str, model: str, action: str, reason: str, chosen: Callable[[ChampionState], tuple[int, ...]]
    ) -> tuple[int, ...]:
        """One write says who is champion now, and was before; what follows from it is carried out afterwards."""
        name = f"{customer}.{model}"
        with deciding(self.locks, self.uri, name):
            now = self.state(customer, model)
            known = [None, *self.versions(customer, model)]
            if now.unsettled is not None and now.champion in known:
                self._carry_out(name, now.unsettled)
                now = self.state(customer, model)
            if now.is_frozen:
                raise ModelError(f"{name} is frozen", do=f"capflow thaw {customer} {model}")
            record = Record(chosen(now), action, tidy(reason), now.alias, uuid.uuid4().hex)
            self.client.set_registered_model_tag(name, RECORD, record.to_json())
            self._carry_out(name, record)
        return record.versions

    def _carry_out(self, name: str, record: Record) -> None:
        """What follows from a decision. Every step may be done twice, and the last one says that all were done."""
        tags, aliases = self._read_model(name)
        if record.present is None:
            self._withdraw(name, record, aliases)
        else:
            self.client.set_registered_model_alias(name, "champion", str(record.present))
            self._tag(name, record.present, record.action, record.reason)
        if record.present is not None and str(aliases.get("challenger")) == str(record.present):
            self.client.delete_registered_model_alias(name, "challenger")
        if PAST in tags:
            self.client.delete_registered_model_tag(name, PAST)
        self.client.set_registered_model_tag(name, SETTLED, record.token)

    def _withdraw(self, name: str, record: Record, aliases: Mapping[str, str]) -> None:
        """Leave no champion; the version that was one keeps the reason."""
        if record.before is not None and record.before in self.versions(*name.split(".", 1)):
            self._tag(name, record.before, record.action, record.reason)
        if "champion" in aliases:
            self.client.delete_registered_model_alias(name, "champion")

    def _tag(self, name: str, version: int, action: str, reason: str) -> None:
        self.client.set_model_version_tag(name, str(version), "decision", action)
        self.client.set_model_version_tag(name, str(version), "reason", tidy(reason))

    def _version(self, customer: str, model: str, version: int) -> ModelVersion:
        return self.client.get_model_version(f"{customer}.{model}", str(version))

    def _read_model(self, name: str) -> tuple[dict[str, str], dict[str, str]]:
        """The tags and aliases of a registered model, as they were at one time; none where it does not exist."""
        try:
            model = self.client.get_registered_model(name)
        except Exception as error:  # MLflow's own, known by its code: to import it takes a second and 80 MB
            if getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST":
                return {}, {}
            raise
        return dict(model.tags), dict(model.aliases)


@contextmanager
def deciding(locks: LockStore, uri: str, name: str) -> Iterator[None]:
    """Nobody else of this deployment decides about the same model in the meantime; for milliseconds."""
    own = f"champion-{hashlib.sha256(f'{uri} {name}'.encode()).hexdigest()[:16]}"
    while (lock := locks.take(own)) is None:
        time.sleep(LOOK_SECONDS)
    try:
        yield
    finally:
        locks.remove(own)
        lock.release()
