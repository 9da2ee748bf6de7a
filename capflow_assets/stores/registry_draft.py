"""Many decisions about champions in one transaction of MLflow's database: drafted from memory, then written at once.

A draft answers and takes what a ``Registry`` asks of MLflow's client, so that the same rules decide about one model
and about a thousand. What was written to it is lost unless it is flushed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from capflow_assets.errors import CapflowError
from capflow_assets.stores.champion_state import tidy
from capflow_assets.stores.champions import deciding
from capflow_assets.stores.registry import Registry
from capflow_assets.stores.registry_snapshot import Snapshot, from_database, snapshot

if TYPE_CHECKING:
    from mlflow import MlflowClient

Action = Literal["promote", "rollback", "freeze", "thaw"]
# Locks that are held at a time, and the names of one query.
AT_ONCE = 200
# The tag of a version that says what a person decided about it last: what, who, when and why.
SIGNED = "decided"


@dataclass(frozen=True, slots=True)
class Change:
    """What an action does to one model of one customer; ``problem`` says why it does nothing.

    ``before`` and ``after`` are the champions, None where nobody is. ``is_idle`` where there is nothing to do at all.
    """

    customer: str
    model: str
    before: int | None
    after: int | None
    problem: str = ""
    is_idle: bool = False

    @property
    def is_made(self) -> bool:
        """Whether anything changes."""
        return not self.problem and not self.is_idle

    def words(self, action: Action) -> str:
        """The change as a person reads it.

        >>> Change("boots", "churn", 3, None).words("rollback")
        'boots.churn: version 3 -> nobody'
        """
        name = f"{self.customer}.{self.model}"
        if self.problem:
            return f"{name} stays: {self.problem}"
        if action in ("freeze", "thaw"):
            return f"{name}: {_words(self.before)}, {'frozen' if action == 'freeze' else 'no longer frozen'}"
        return f"{name}: {_words(self.before)} -> {_words(self.after)}"


@dataclass(frozen=True, slots=True)
class Draft(Snapshot):
    """A snapshot that takes writes, with the methods of MLflow's client that decide about a model."""

    rows: dict[tuple[str, ...], Any] = field(default_factory=dict)

    def set_registered_model_tag(self, name: str, key: str, value: str) -> None:
        """Set a tag of a model."""
        self.models[name].tags[key] = value
        self.rows["tag", name, key] = value

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        """Remove a tag of a model."""
        self.models[name].tags.pop(key, None)
        self.rows["tag", name, key] = None

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        """Point an alias at a version."""
        self.models[name].aliases[alias] = int(version)
        self.rows["alias", name, alias] = int(version)

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        """Remove an alias."""
        self.models[name].aliases.pop(alias, None)
        self.rows["alias", name, alias] = None

    def set_model_version_tag(self, name: str, version: str, key: str, value: str) -> None:
        """Set a tag of a version."""
        self.models[name].versions[int(version)].tags[key] = value
        self.rows["version", name, key, version] = value

    def flush(self, client: MlflowClient) -> None:
        """Write all of it to the database, in one transaction."""
        from mlflow.store.model_registry.dbmodels.models import (
            SqlModelVersionTag,
            SqlRegisteredModelAlias,
            SqlRegisteredModelTag,
        )

        store: Any = client._get_registry_client().store
        workspace = {"workspace": store._get_active_workspace()}
        kinds: dict[str, Callable[..., Any]] = {
            "tag": lambda value, name, key: SqlRegisteredModelTag(**workspace, name=name, key=key, value=value),
            "alias": lambda value, name, key: SqlRegisteredModelAlias(
                **workspace, name=name, alias=key, version=value or 0
            ),
            "version": lambda value, name, key, version: SqlModelVersionTag(
                **workspace, name=name, version=int(version), key=key, value=value
            ),
        }
        with store.ManagedSessionMaker(read_only=False) as session:
            for (kind, *place), value in self.rows.items():
                row = session.merge(kinds[kind](value, *place))
                if value is None:
                    session.delete(row)


class _NoLocks:
    """The locks of a draft, whose models are locked as long as it is one."""

    def take(self, name: str) -> _NoLocks:
        return self

    def remove(self, name: str) -> None:
        pass

    def release(self) -> None:
        pass


@dataclass(frozen=True)
class DraftedRegistry(Registry):
    """A registry that decides on a draft."""

    @cached_property
    def locks(self) -> Any:
        """None are needed."""
        return _NoLocks()


def planned(registry: Registry, pairs: Sequence[tuple[str, str]], action: Action, reason: str) -> list[Change]:
    """What an action would change of each customer and model; nothing is written."""
    read = snapshot(registry, {customer for customer, _ in pairs}).reader
    return [_change(_drafted(registry, Draft(read.models)), pair, action, reason) for pair in pairs]


def decided(
    registry: Registry, pairs: Sequence[tuple[str, str]], action: Action, reason: str, by: str
) -> Iterator[Change]:
    """Carry an action out for each customer and model, some hundred in one transaction, and say what changed.

    An MLflow server has no such transactions: there, one model is decided about after the other. ``by`` says who
    decides and when; versions keep it, see ``sign``.
    """
    client = registry.client
    if not hasattr(client._get_registry_client().store, "ManagedSessionMaker"):
        for pair in pairs:
            change = _change(registry, pair, action, reason)
            sign(registry, change, action, reason, by)
            yield change
        return
    ordered = sorted(set(pairs))
    for start in range(0, len(ordered), AT_ONCE):
        part = ordered[start : start + AT_ONCE]
        names = [f"{customer}.{model}" for customer, model in part]
        with ExitStack() as held:
            for name in names:
                held.enter_context(deciding(registry.locks, registry.uri, name))
            draft = Draft(from_database(client, names))
            drafting = _drafted(registry, draft)
            changes = [_change(drafting, pair, action, reason) for pair in part]
            for change in changes:
                sign(drafting, change, action, reason, by)
            draft.flush(client)
        yield from changes


def _drafted(registry: Registry, draft: Draft) -> Registry:
    return DraftedRegistry(registry.uri, registry.lake, registry.home, draft)


def _change(registry: Registry, pair: tuple[str, str], action: Action, reason: str) -> Change:
    customer, model = pair
    before = registry.state(customer, model)
    if _is_idle(registry, pair, action):
        return Change(customer, model, before.champion, before.champion, is_idle=True)
    after = before.champion
    try:
        if action == "promote":
            after = registry.promote(customer, model, None, reason)
        elif action == "rollback":
            after = registry.rollback(customer, model, reason)
        else:
            registry.freeze(customer, model, frozen=action == "freeze")
    except CapflowError as error:
        return Change(customer, model, before.champion, before.champion, " ".join(str(error).split()))
    return Change(customer, model, before.champion, after)


def _is_idle(registry: Registry, pair: tuple[str, str], action: Action) -> bool:
    """Whether a model gives no occasion for the action: nobody to promote, nobody to go back from, frozen already."""
    now = registry.state(*pair)
    return {
        "promote": now.challenger is None,
        "rollback": now.champion is None,
        "freeze": now.champion is None or now.is_frozen,
        "thaw": not now.is_frozen,
    }[action]


def sign(registry: Registry, change: Change, action: Action, reason: str, by: str) -> None:
    """Keep who decided what, when and why, with the version that is champion now, else with the one that was."""
    version = change.after or change.before
    if change.is_made and version is not None:
        words = tidy(f"{action} by {by}: {reason}")
        registry.client.set_model_version_tag(f"{change.customer}.{change.model}", str(version), SIGNED, words)


def _words(version: int | None) -> str:
    return f"version {version}" if version is not None else "nobody"
