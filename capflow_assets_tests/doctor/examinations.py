"""Examine a home, and select from the results."""

from __future__ import annotations

from pathlib import Path

from capflow_assets import doctor
from capflow_assets.definitions import SOURCES, STAGES
from capflow_assets.graph.engine import deployment
from capflow_assets.home.places import Home


def examined(root: Path, pattern: str = "*", customer: str | None = None, **given) -> list[doctor.Result]:
    place = Home.of(root)
    case = doctor.Case(place, lambda: deployment(STAGES, SOURCES, home=place), customer, connect_seconds=1, **given)
    return list(doctor.examine(case, pattern=pattern))


def only(results: list[doctor.Result], state: str | None = None) -> doctor.Result:
    chosen = [result for result in results if state in (None, result.state)]
    assert len(chosen) == 1, results
    return chosen[0]


def states(results: list[doctor.Result]) -> dict[str, list[str]]:
    by_check: dict[str, list[str]] = {}
    for result in results:
        by_check.setdefault(result.check, []).append(result.state)
    return by_check


def shown(results: list[doctor.Result]) -> str:
    return "\n".join(f"{result.check} {result.state}: {result.found} -> {result.to_do}" for result in results)
