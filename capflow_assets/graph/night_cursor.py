"""What the sensor of nights remembers from tick to tick: when each customer is due, and whose night is under way."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from math import inf
from typing import Any

from capflow_assets.customers.night_settings import DeclaredNight
from capflow_assets.graph.partitions import of_same_customers
from capflow_assets.nights.windows import due_night, newest_night, next_night


@dataclass
class Due:
    """A customer with a night: of which TOML it was read, the last day that was begun, and when the next one begins.

    ``last_deadline`` is that of the last day, 0 where it had none; ``refusal`` says why the TOML cannot be read.
    """

    stamp: str
    last_day: str = ""
    last_deadline: float = 0.0
    next_start: float = inf
    refusal: str = ""


@dataclass
class Active:
    """A night under way: its local day, start and deadline (0 where it has none), and the customer's vertical."""

    day: str
    start: float
    deadline: float
    vertical: str


@dataclass
class Cursor:
    """All that is remembered. ``waits`` is why jobs waited at the last tick: kind, words, until (0 if never)."""

    due: dict[str, Due] = field(default_factory=dict)
    active: dict[str, Active] = field(default_factory=dict)
    waits: dict[str, tuple[str, str, float]] = field(default_factory=dict)
    signs: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None) -> Cursor:
        """The cursor that a tick of this release or another left."""
        content: dict[str, Any] = json.loads(text) if text else {}
        return cls(
            {name: Due(**_known(Due, entry)) for name, entry in content.get("due", {}).items()},
            {name: Active(**_known(Active, entry)) for name, entry in content.get("active", {}).items()},
            {name: (entry[0], entry[1], entry[2]) for name, entry in content.get("waits", {}).items()},
            content.get("signs", {}),
        )

    def text(self) -> str:
        """What the next tick is to be given."""
        return json.dumps(asdict(self), separators=(",", ":"))

    def forget_others(self, signs: Mapping[str, str]) -> None:
        """Forget customers who are gone, or whose name another one has now."""
        same = of_same_customers(dict.fromkeys({*self.due, *self.active}, ""), self.signs, signs)
        self.due = {name: entry for name, entry in self.due.items() if name in same}
        self.active = {name: entry for name, entry in self.active.items() if name in same}
        self.signs = dict(signs)

    def declare(self, name: str, stamp: str, declared: DeclaredNight | None, refusal: str, now: float) -> None:
        """Take what a TOML says now. A customer seen for the first time begins with its next night."""
        before = self.due.get(name)
        entry = Due(stamp, refusal=refusal)
        if before is not None:
            entry.last_day, entry.last_deadline = before.last_day, before.last_deadline
        if declared is not None and declared.night is not None:
            if not entry.last_day:
                entry.last_day = newest_night(declared.night, now, declared.zone).day
            newest = due_night(declared.night, now, declared.zone, entry.last_day)
            upcoming = newest or next_night(declared.night, now, declared.zone, entry.last_day)
            entry.next_start = upcoming.start
        self.due[name] = entry

    def miss(self, name: str) -> None:
        """A TOML is not there. Which day was begun last is kept, so that no night is lost where it comes back."""
        if name in self.due:
            self.due[name].stamp, self.due[name].next_start = "", inf

    def begin(self, name: str, declared: DeclaredNight, now: float) -> None:
        """Begin a customer's newest night; those that were missed before it are made up for by it."""
        if declared.night is None:
            return
        entry = self.due[name]
        night = due_night(declared.night, now, declared.zone, entry.last_day)
        if night is not None:
            deadline = 0.0 if night.deadline == inf else night.deadline
            entry.last_day, entry.last_deadline = night.day, deadline
            self.active[name] = Active(night.day, night.start, deadline, declared.vertical)
        entry.next_start = next_night(declared.night, now, declared.zone, entry.last_day).start


def _known(kind: type[Due] | type[Active], entry: Mapping[str, Any]) -> dict[str, Any]:
    """Of what a cursor holds of a customer, what this release knows."""
    return {part.name: entry[part.name] for part in fields(kind) if part.name in entry}
