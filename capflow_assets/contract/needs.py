"""What a model asks of a customer before it is trained, and the verdict on that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from capflow_assets.contract.tables import Readiness, Scalar


@dataclass(frozen=True, slots=True)
class Needs:
    """The evidence that a model asks of a customer before it is trained.

    ``users`` are those known at the newest moment whose horizon is over, ``positives`` those of them with the outcome
    in that horizon. ``evidence`` is the least value of further measures of validation/evidence, by their names in
    ``learning.measures``: ``{"negatives": 30, "attribute_fill_share": 0.5}``.
    """

    tables: tuple[str, ...]
    history_days: int = 0
    users: int = 0
    positives: int = 0
    evidence: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a model asks of one customer: its needs, and as much of the model as it takes to measure them.

    ``horizon_days`` and ``moments`` are those of the parameters that hold for the customer. ``outcome_tables`` names
    the table of each parameter of the function ``outcome`` and ``injected`` the values that it takes besides;
    ``column`` is the outcome's column that is above 0 where the outcome came. ``fitted`` is as in ``contract.Model``.
    ``is_of_users`` says whether outcomes are of users, who are counted; of other subjects nothing is counted here.
    ``absent`` are the needed tables that the customer cannot have. ``answers_from`` is as in ``contract.Model``.
    """

    needs: Needs
    horizon_days: int
    moments: int
    outcome: Callable[..., Any]
    column: str
    outcome_tables: Mapping[str, str]
    injected: tuple[str, ...] = ()
    fitted: Literal["past", "now"] = "past"
    is_of_users: bool = True
    absent: tuple[str, ...] = ()
    answers_from: Needs | None = None


# Begins the need of a reason that tells what judging waits for, of a model that answers all the same.
JUDGING = "judging: "
NOT_JUDGED = "not judged yet: "


@dataclass(frozen=True, slots=True)
class Reason:
    """One line of a verdict: the number found, the number needed, and what would close the gap.

    ``risk`` says why a need that is met may soon not be.
    """

    need: str
    found: Scalar
    needed: Scalar
    met: bool
    fix: str = ""
    risk: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a customer's evidence is enough for a model, with every reason, met or not."""

    reasons: tuple[Reason, ...]

    @property
    def ready(self) -> bool:
        """Whether every need is met."""
        return all(reason.met for reason in self.reasons)

    @property
    def missing(self) -> tuple[Reason, ...]:
        """The needs that are not met."""
        return tuple(reason for reason in self.reasons if not reason.met)

    @property
    def not_judged(self) -> str:
        """What judging the model waits for, in words; empty where it can be judged."""
        waits = [r.fix.removeprefix(NOT_JUDGED) for r in self.reasons if r.need.startswith(JUDGING)]
        return f"{NOT_JUDGED}{'; '.join(waits)}" if waits else ""

    @property
    def risks(self) -> tuple[Reason, ...]:
        """The needs that are met and may soon not be."""
        return tuple(reason for reason in self.reasons if reason.met and reason.risk)

    @property
    def state(self) -> Readiness:
        """The verdict in a word."""
        return "not ready" if self.missing else "at risk" if self.risks else "ready"
