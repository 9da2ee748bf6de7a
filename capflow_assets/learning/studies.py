"""What is kept of a search for parameters: its trials, and the ranges in which parameters are searched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Generic, Literal, TypeVar

from capflow_assets.contract import Horizon, Search

P = TypeVar("P", bound=Horizon)
Number = int | float
State = Literal["complete", "pruned", "raised", "unfinished"]
Origin = Literal["defaults", "earlier", "search"]


@dataclass(frozen=True, slots=True)
class Trial:
    """One choice of parameters: its metric on each fold that it came to, as the metric gives it, and what became of it.

    ``gain`` is how much better it is than the first trial, on average over the folds; above 0 is better.
    """

    number: int
    origin: Origin
    params: Mapping[str, Number]
    values: tuple[float, ...]
    gain: float | None
    state: State
    seconds: float
    error: str = ""

    def row(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "number": self.number,
            "origin": self.origin,
            "params": dict(self.params),
            "values": list(self.values),
            "gain": self.gain,
            "state": self.state,
            "seconds": round(self.seconds, 3),
            "error": self.error,
        }


@dataclass(frozen=True, slots=True)
class Study(Generic[P]):
    """The best parameters, and all trials in their order."""

    params: P
    trials: tuple[Trial, ...]

    def rows(self) -> list[dict[str, Any]]:
        """The trials as plain values: what is kept of a study, and what a later one takes as ``earlier``."""
        return [trial.row() for trial in self.trials]


def search_ranges(kind: type[Horizon]) -> dict[str, tuple[Search, type]]:
    """The ranges of the parameters that are annotated with one, and whether they are ``int`` or ``float``.

    >>> from capflow_assets.learning.boosting import BoostingParams
    >>> search_ranges(BoostingParams)["rounds"]
    (Search(low=50, high=600, log=False), <class 'int'>)
    """
    return {
        name: (mark, int if field.annotation is int else float)
        for name, field in kind.model_fields.items()
        for mark in field.metadata
        if isinstance(mark, Search)
    }


def lies_in(ranges: Mapping[str, tuple[Search, type]], params: Mapping[str, Any]) -> bool:
    """Whether there is a number for each range that lies in it.

    >>> ranges = {"rounds": (Search(50, 600), int)}
    >>> lies_in(ranges, {"rounds": 80}), lies_in(ranges, {"rounds": 20}), lies_in(ranges, {"depth": 80})
    (True, False, False)
    """
    return all(
        isinstance(params.get(name), int | float)
        and of.low <= params[name] <= of.high
        and (kind is float or params[name] == int(params[name]))
        for name, (of, kind) in ranges.items()
    )


def gains_of(
    rows: Iterable[Mapping[str, Any]], ranges: Mapping[str, tuple[Search, type]]
) -> list[tuple[dict[str, Number], float]]:
    """The searched parameters and the gain of each complete trial of an earlier study that these ranges allow.

    What another release wrote in another way is passed over: an earlier study is a hint and no more.

    >>> ranges = {"rounds": (Search(50, 600), int)}
    >>> whole = {"state": "complete", "params": {"rounds": 80, "gone": 1}, "gain": 0.5}
    >>> gains_of([whole, {"number": 1}, {**whole, "params": None}, {**whole, "gain": None}], ranges)
    [({'rounds': 80}, 0.5)]
    """
    known = []
    for row in rows:
        params, gain = row.get("params"), row.get("gain")
        if row.get("state") != "complete" or not isinstance(params, Mapping) or not isinstance(gain, int | float):
            continue
        if isfinite(gain) and lies_in(ranges, params):
            known.append(({name: params[name] for name in ranges}, float(gain)))
    return known
