"""What one night's health says of a model: drift, faults of its feed, live performance, calibration, season.

A night is one scoring by one version. It is plain values alone, so that it travels as JSON beside the scoring.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

Z95 = 1.959964


@dataclass(frozen=True, slots=True)
class Live:
    """A metric of what was answered, with its 95 % interval, beside what the version's training measured.

    ``is_estimate`` where the outcomes are still to come and the scores alone say it (``monitoring.estimates``);
    ``is_partial`` where some have come and say what all will (``monitoring.partial_outcomes``).
    """

    metric: str
    value: float
    low: float
    high: float
    promised: float
    promised_low: float
    promised_high: float
    is_higher_better: bool = True
    is_estimate: bool = False
    is_partial: bool = False

    @property
    def shortfall(self) -> float:
        """By how much it is worse than promised; below 0 where it is better."""
        return (self.promised - self.value) * (1 if self.is_higher_better else -1)

    def is_worse(self, tolerance_pct: float) -> bool:
        """Whether it is worse by more than so many per cent of what was promised, and by more than chance.

        The standard error of the difference is that of two independent figures, ``sqrt(a^2 + b^2)``, each told by its
        interval.

        >>> Live("roc_auc", 0.70, 0.68, 0.72, 0.80, 0.78, 0.82).is_worse(2.0)
        True
        >>> Live("roc_auc", 0.70, 0.50, 0.90, 0.80, 0.78, 0.82).is_worse(2.0)
        False
        """
        errors = ((self.high - self.low) / (2 * Z95), (self.promised_high - self.promised_low) / (2 * Z95))
        chance = Z95 * (errors[0] ** 2 + errors[1] ** 2) ** 0.5
        return self.shortfall > max(chance, tolerance_pct / 100 * abs(self.promised))


@dataclass(frozen=True, slots=True)
class Reliability:
    """The mean chance that was answered, and the share that came of it with its 95 % interval."""

    predicted: float
    observed: float
    low: float
    high: float

    def is_off(self, tolerance_pct: float) -> bool:
        """Whether the mean chance is beyond the interval, and off by more than so many per cent of what came.

        >>> Reliability(0.30, 0.20, 0.18, 0.22).is_off(10), Reliability(0.30, 0.29, 0.27, 0.31).is_off(10)
        (True, False)
        """
        is_beyond = not self.low <= self.predicted <= self.high
        return is_beyond and abs(self.predicted - self.observed) > tolerance_pct / 100 * max(self.observed, 1e-9)


@dataclass(frozen=True, slots=True)
class Night:
    """One scoring of one model.

    ``psi_max`` and ``column`` are the largest index and who has it; ``over`` whether any column is above the threshold
    and above chance. ``importance`` is the share of the model's weight that the columns over have, 1 where it is not
    known. ``faults`` say in words what is broken of the feed. ``is_seasonal`` says whether the columns over were the
    same at this season of a year before, None where there is no such scoring. ``partial`` is what came so far of
    answers whose horizon is not over, where none of the version's is. ``late`` says in words that outcomes come later
    than usual.
    """

    as_of: datetime
    model_version: int
    psi_max: float
    column: str
    over: bool
    importance: float = 1.0
    faults: tuple[str, ...] = ()
    is_seasonal: bool | None = None
    live: Live | None = None
    estimate: Live | None = None
    reliability: Reliability | None = None
    partial: Live | None = None
    late: str = ""

    def to_json(self) -> dict[str, Any]:
        """As plain values; ``from_json`` gives it back."""
        return asdict(self) | {"as_of": self.as_of.isoformat(), "faults": list(self.faults)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Night:
        """The night that ``to_json`` of this release or another wrote."""
        parts: dict[str, Any] = {
            name: None if content.get(name) is None else kind(**_known(kind, content[name]))
            for name, kind in (("live", Live), ("estimate", Live), ("reliability", Reliability), ("partial", Live))
        }
        plain = {name: value for name, value in _known(cls, content).items() if name not in parts}
        plain |= {"as_of": datetime.fromisoformat(content["as_of"]), "faults": tuple(content.get("faults", ()))}
        return cls(**plain, **parts)


def _known(kind: type[Night] | type[Live] | type[Reliability], content: Mapping[str, Any]) -> dict[str, Any]:
    """Of what was written, what this release knows."""
    return {part.name: content[part.name] for part in fields(kind) if part.name in content}


@dataclass(frozen=True, slots=True)
class PastTraining:
    """What one training brought: the version, why it was trained, and its lead over the champion before it.

    ``gain`` is what the training promised, None where there was no champion to compare with; ``measured_gain`` what
    came of it while the former champion answered in shadow, None where that is not known (yet).
    """

    as_of: datetime
    version: int
    cause: str
    is_promoted: bool
    gain: float | None = None
    measured_gain: float | None = None

    @property
    def known_gain(self) -> float | None:
        """The gain that was measured, else the one that was promised."""
        return self.gain if self.measured_gain is None else self.measured_gain

    @property
    def has_helped(self) -> bool:
        """Whether its version took the champion's place and is ahead of it."""
        return self.is_promoted and (self.known_gain is None or self.known_gain > 0)
