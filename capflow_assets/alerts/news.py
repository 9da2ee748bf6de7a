"""What is wrong, what of it is new to whom, and how it is said. Pure.

A trouble is told once and not again until it changes: its reason is another one, or it was over in between. What is
over is told too, once. All that is new to one rule goes into one message.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from capflow_assets.alerts.settings import KINDS, AlertRule
from capflow_assets.errors import shortened

# Troubles that a message spells out; the others are counted.
MOST_SPELLED = 20
MOST_CHARACTERS = 500
TOML = ".toml"


@dataclass(frozen=True, slots=True)
class Alarm:
    """One trouble: its kind, whose it is, what of the customer it is about, why, and where to look."""

    what: str
    customer: str
    subject: str
    reason: str
    link: str = ""

    @property
    def key(self) -> str:
        """What stays the same as long as it is the same trouble."""
        return f"{self.what}|{self.customer}|{self.subject}"

    @property
    def sign(self) -> str:
        """What changes with its reason."""
        return hashlib.sha256(self.reason.encode()).hexdigest()[:16]

    def line(self) -> str:
        """The trouble in a line."""
        subject = f" {self.subject}" if self.subject.removesuffix(TOML) not in ("", self.customer) else ""
        reason = _in_a_line(self.reason)
        return f"{self.customer}{subject}: {reason}" + (f" ({self.link})" if self.link else "")


@dataclass(frozen=True, slots=True)
class Message:
    """What one rule is told: troubles that are new or have changed, and the keys of those that are over."""

    rule: str
    fresh: tuple[Alarm, ...]
    over: tuple[str, ...]

    @property
    def title(self) -> str:
        """The message in a line."""
        counts = [f"{sum(one.what == kind for one in self.fresh)} {kind}" for kind in KINDS if self._has(kind)]
        if self.over:
            counts.append(f"{len(self.over)} over")
        return f"CapFlow: {', '.join(counts)}"

    def _has(self, kind: str) -> bool:
        return any(one.what == kind for one in self.fresh)

    @property
    def text(self) -> str:
        """The message, kind by kind."""
        lines: list[str] = []
        for kind in filter(self._has, KINDS):
            own = [one for one in self.fresh if one.what == kind]
            lines += ["", f"{kind[0].upper()}{kind[1:]}", *(f"- {one.line()}" for one in own[:MOST_SPELLED])]
            if len(own) > MOST_SPELLED:
                lines.append(f"- and {len(own) - MOST_SPELLED:,} more")
        if self.over:
            lines += ["", "Over", *(f"- {' '.join(key.split('|')).strip()}" for key in self.over[:MOST_SPELLED])]
        return "\n".join(lines).strip()


def _in_a_line(reason: str) -> str:
    """A reason of several lines in one, each of its lines told from the next."""
    lines = [" ".join(line.split()).rstrip(".") for line in reason.splitlines() if line.strip()]
    return shortened("; ".join(lines), MOST_CHARACTERS)


def message_of(rule: AlertRule, alarms: Iterable[Alarm], sent: Mapping[str, str]) -> Message | None:
    """What is new to a rule, given the signs of what was ``sent`` to it by key; None where nothing is."""
    own = [one for one in alarms if rule.wants(one.what, one.customer)]
    fresh = tuple(one for one in own if sent.get(one.key) != one.sign)
    over = tuple(sorted(set(sent) - {one.key for one in own}))
    return Message(rule.name, fresh, over) if fresh or over else None


def told_now(rule: AlertRule, alarms: Sequence[Alarm]) -> dict[str, str]:
    """The signs by key of all that a rule knows once its message is sent."""
    return {one.key: one.sign for one in alarms if rule.wants(one.what, one.customer)}
