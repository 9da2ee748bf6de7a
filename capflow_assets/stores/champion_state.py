"""The state of one registered model, read from its tags and aliases in MLflow: champion, history, challenger.

The tag ``capflow.champions`` holds the last decision (a ``Record``): all champions, the present one last, with action
and reason. The tag ``capflow.settled`` says that the decision was carried out: alias, tags of the version and
challenger follow from it.

The alias is public. Where everything was settled and it points elsewhere, a person has moved it in MLflow: that counts,
and the champion before joins the history.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

RECORD = "capflow.champions"
SETTLED = "capflow.settled"
# Where earlier releases kept the champions before the present one.
PAST = "past_champions"
# MLflow's column for a tag of a registered model has 5,000 characters.
REMEMBERED = 100
LONGEST_REASON = 2_000


@dataclass(frozen=True, slots=True)
class Record:
    """What was decided last: the champions, the present one last, and where the alias stood before."""

    versions: tuple[int, ...]
    action: str
    reason: str
    before: int | None
    token: str

    def to_json(self) -> str:
        """The record as the tag holds it."""
        content = {
            "versions": self.versions[-REMEMBERED:],
            "action": self.action,
            "reason": tidy(self.reason),
            "before": self.before,
            "token": self.token,
        }
        return json.dumps(content, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Record:
        """The record from the tag."""
        content = json.loads(text)
        versions = tuple(int(version) for version in content["versions"])
        return cls(versions, content["action"], content["reason"], content["before"], content["token"])

    @classmethod
    def of(cls, tags: Mapping[str, str]) -> Record | None:
        """The record of a registered model; None where there is none, or a person has overwritten it."""
        try:
            record = cls.from_json(tags[RECORD])
        except (KeyError, TypeError, ValueError):
            return None
        return record if record.versions or record.action == "rollback" else None

    @property
    def present(self) -> int | None:
        """The champion that was decided on; None where the first one was rolled back."""
        return self.versions[-1] if self.versions else None

    def words(self) -> str:
        """The decision, as a person is told of it."""
        return f"{self.action} of version {self.present}" if self.versions else f"{self.action} to no champion"


def tidy(reason: str) -> str:
    """A reason as every store takes it: of the length that fits, without characters that databases or JSON escape.

    >>> tidy("better\\x00 by\\nfar")
    'better  by far'
    """
    return "".join(letter if letter.isprintable() else " " for letter in reason[:LONGEST_REASON])


@dataclass(frozen=True, slots=True)
class ChampionState:
    """One registered model: champion, those before (the latest last), challenger, and what is still to be done.

    ``unsettled`` is a decision that was not carried out to its end. ``is_by_hand`` says that a person moved the alias.
    """

    champion: int | None
    history: tuple[int, ...]
    challenger: int | None
    alias: int | None
    is_frozen: bool
    unsettled: Record | None = None
    is_by_hand: bool = False


def champion_state(tags: Mapping[str, str], aliases: Mapping[str, str | int]) -> ChampionState:
    """The state of a registered model, from its tags and aliases.

    >>> champion_state({}, {"champion": "3"}).champion
    3
    >>> cut_off = Record((1, 2), "promote", "better", 1, "t").to_json()
    >>> champion_state({RECORD: cut_off}, {"champion": "1"}).champion
    2
    >>> moved = champion_state({RECORD: cut_off, SETTLED: "t"}, {"champion": "1"})
    >>> moved.champion, moved.history, moved.is_by_hand
    (1, (1, 2), True)
    """
    alias = int(aliases["champion"]) if "champion" in aliases else None
    wanting = int(aliases["challenger"]) if "challenger" in aliases else None
    frozen = tags.get("frozen") == "true"
    record = Record.of(tags)
    if record is None:
        past = tuple(int(version) for version in json.loads(tags.get(PAST, "[]")))
        # Earlier releases wrote the history first: killed there, they named the present champion too.
        past = past[:-1] if past and past[-1] == alias else past
        return ChampionState(alias, past, None if wanting == alias else wanting, alias, frozen)
    present = record.present
    unsettled = record if record.token != tags.get(SETTLED) and alias in (None, record.before, present) else None
    if unsettled is not None or alias == present:
        challenger = None if wanting == present else wanting
        return ChampionState(present, record.versions[:-1], challenger, alias, frozen, unsettled)
    challenger = None if wanting == alias else wanting
    return ChampionState(alias, record.versions, challenger, alias, frozen, is_by_hand=True)
