"""What is to be done of one customer, in parts that processes may take: its tables, each model, and its deliveries.

The tables come first, in one part. Each model is a part that waits for the tables and for the models whose answers it
reads. Where the customer has destinations, what is delivered to them is the last part: each of them counts what the
others have sent. Does not belong here: processes, threads and locks; they are in ``side_by_side``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg

from capflow_assets.blueprint.stages import Stages
from capflow_assets.graph.delivery_assets import PART as DELIVERY
from capflow_assets.graph.failures import AssetFailure
from capflow_assets.graph.launch import Finished, Progress, asset_edges, upstream
from capflow_assets.graph.newest import newest
from capflow_assets.graph.outcomes import Outcome

TABLES, DELIVERIES = "the tables", "the deliveries"


@dataclass(frozen=True, slots=True)
class Part:
    """Assets of one customer that one process makes, one after another, once the parts ``after`` which it is are over.

    ``seconds`` is what it took the last time, 0 where that is not known.
    """

    name: str
    keys: tuple[str, ...]
    after: frozenset[str] = frozenset()
    seconds: float = 0.0


def parts_of(
    stages: Stages, keys: Sequence[str], seconds: Mapping[str, float] | None = None, *, is_delivered: bool = False
) -> list[Part]:
    """The parts that the assets ``keys`` of a customer come in, each after those that it is made of.

    ``seconds`` has what assets took the last time; ``is_delivered`` says that the customer has destinations.
    """
    edges, took = asset_edges(stages), seconds or {}
    tables = tuple(key for key in keys if key in stages.tables)
    parts = [Part(TABLES, tables)] if tables else []
    of_model: dict[str, list[str]] = {}
    for key in keys:
        stage, name = key.split("/")
        if key not in stages.tables and not (is_delivered and stage == DELIVERY):
            of_model.setdefault(name, []).append(key)
    for name in (name for name in stages.models if name in of_model):
        above = upstream(edges, of_model[name])
        after = {part.name for part in parts if part.name == TABLES or above & set(part.keys)}
        total = sum(took.get(key, 0.0) for key in of_model[name])
        parts.append(Part(name, tuple(of_model[name]), frozenset(after), total))
    delivered = [f"{DELIVERY}/{name}" for name in stages.models if f"{DELIVERY}/{name}" in keys]
    if is_delivered and delivered:
        parts.append(Part(DELIVERIES, tuple(delivered), frozenset(part.name for part in parts)))
    return parts


def last_seconds(instance: dg.DagsterInstance, customer: str, keys: Sequence[str]) -> dict[str, float]:
    """What each asset took the last time that it was made, as far as that is known."""
    known = newest(instance, dict.fromkeys(keys, ("seconds",)), [customer])
    return {key: float(own[customer].get("seconds") or 0.0) for key, own in known.items() if customer in own}


@dataclass
class CustomerWork:
    """The parts of one customer: which wait, which are under way, and what became of their assets."""

    stages: Stages
    finished: Finished
    waiting: list[Part]
    under_way: set[str] = field(default_factory=set)

    @property
    def customer(self) -> str:
        """Whose parts they are."""
        return self.finished.customer

    @property
    def is_over(self) -> bool:
        """Whether nothing waits, and nothing is under way."""
        return not self.waiting and not self.under_way

    def take(self) -> Part | None:
        """A part that may begin now; None where there is none.

        Those that others wait for go first, then those that took longest. Assets that are made of failed ones fail.
        """
        while ready := [part for part in self.waiting if not part.after & self._unfinished]:
            wanted = {name for part in self.waiting for name in part.after}
            first = max(ready, key=lambda part: (part.name in wanted, part.seconds))
            self.waiting.remove(first)
            if keys := self._sound(first):
                self.under_way.add(first.name)
                return Part(first.name, keys, first.after, first.seconds)
        return None

    def take_in(self, part: Part, message: Progress | Finished | Outcome) -> None:
        """What a process says of a part: an asset that is done, the end of the part, or why it broke."""
        if isinstance(message, Progress):
            self.finished.done[message.key] = message.metadata
        elif isinstance(message, Finished):
            self.finished.done |= message.done
            self.finished.failures |= message.failures
            self.finished.warnings += message.warnings
        else:
            self.fail(part, message.failure)

    def end(self, part: Part) -> None:
        """The part is over, well or not. Where the customer as a whole has failed, nothing more begins."""
        self.under_way.discard(part.name)
        if "customer" in self.finished.failures:
            self.waiting.clear()

    def fail(self, part: Part, reason: str) -> None:
        """The part ended before its assets did, and nothing is known of which it was: of the tables, the customer."""
        left = [key for key in part.keys if key not in self.finished.done and key not in self.finished.failures]
        if part.name == TABLES or not left:
            self.finished.fail(reason)
            return
        self.finished.failures[left[0]] = AssetFailure(self.customer, left[0], reason)
        for key in left[1:]:
            self.finished.failures[key] = AssetFailure.of_failed_inputs(self.customer, key, left[:1])

    def keys_with(self, part: Part) -> list[str]:
        """The assets that are lost with a part's process: its own, and where it is of the tables, all others."""
        parts = (part, *self.waiting) if part.name == TABLES else (part,)
        return [key for lost in parts for key in lost.keys]

    def lose(self, part: Part, of_dead: Finished) -> None:
        """The process died that made the part: ``of_dead`` is what it had done, and what failed with it."""
        self.finished.done |= of_dead.done
        self.finished.failures |= of_dead.failures
        if part.name == TABLES:
            self.waiting.clear()

    def merged(self, keys: Sequence[str]) -> Finished:
        """What became of the customer, in the order of ``keys`` whoever was first."""
        finished, place = self.finished, {key: number for number, key in enumerate(keys)}
        for results in (finished.done, finished.failures):
            ordered = sorted(results.items(), key=lambda item: place.get(item[0], len(place)))
            results.clear()
            results.update(ordered)  # type: ignore[arg-type]
        finished.warnings.sort(key=lambda warned: place.get(warned.key, len(place)))
        return finished

    @property
    def _unfinished(self) -> set[str]:
        return {part.name for part in self.waiting} | self.under_way

    def _sound(self, part: Part) -> tuple[str, ...]:
        """The assets of a part that can be made, and the failures of the others."""
        edges = asset_edges(self.stages)
        if part.name == DELIVERIES:  # what a champion has answered is sent, whatever became of a training
            broken_of = {key: sorted(edges[key] & set(self.finished.failures)) for key in part.keys}
        else:
            broken = sorted(upstream(edges, part.keys) & set(self.finished.failures))
            broken_of = dict.fromkeys(part.keys, broken)
        for key, failed in broken_of.items():
            if failed:
                self.finished.failures[key] = AssetFailure.of_failed_inputs(self.customer, key, failed)
        return tuple(key for key, failed in broken_of.items() if not failed)
