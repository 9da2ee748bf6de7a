"""A fleet of small simulated customers, eight models each: models a minute, and where the time of a training goes.

All are trained and scored by `capflow run` in as many processes as there are cores, tables before models, which gives
the models a minute. Where the time goes is measured in a home of its own with fewer customers, computed in this process
alone: the seconds of each part without those of the parts that it calls.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FunctionType
from typing import Any

from bench.night_fleet import MODELS

CUSTOMERS = int(os.environ.get("CAPFLOW_FLEET", "40"))
# Those that are measured part by part.
TAKEN_APART = 6
USERS, DAYS = 300, 500
OWN = ("MLflow", "events")


class Parts:
    """Seconds by part, each without those of what it calls."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._inside = [0.0]

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the time of a block."""
        began = time.perf_counter()
        self._inside.append(0.0)
        try:
            yield
        finally:
            whole = time.perf_counter() - began
            self.seconds[name] += whole - self._inside.pop()
            self._inside[-1] += whole

    def measured(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function whose time is counted."""

        @functools.wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            with self.part(name):
                return function(*arguments, **named)

        return timed


def run() -> None:
    """Print the models a minute, and the share of each part."""
    with TemporaryDirectory() as folder:
        _print_rate(Path(folder))
    with TemporaryDirectory() as folder:
        _print_parts(Path(folder))


def _print_rate(folder: Path) -> None:
    names = _onboarded(folder, CUSTOMERS)
    home = folder / "home"
    tables = _seconds(home, ["run", *names, *_selected(("raw/*", "clean/*", "validation/*", "features/*"))])
    models = _seconds(home, ["run", *names, *_selected(_of_models())])
    pairs = len(names) * len(MODELS)
    print(  # noqa: T201
        f"training_fleet: {len(names)} customers of {USERS} users, {len(MODELS)} models each: {pairs} trained and "
        f"scored in {models:.0f} s, {60 * pairs / models:.0f} a minute; their tables before that in {tables:.0f} s, "
        f"{tables / len(names):.1f} s a customer"
    )


def _print_parts(folder: Path) -> None:
    names = _onboarded(folder, TAKEN_APART)
    home, parts = folder / "home", Parts()
    _measure(parts)
    with parts.part("features and other tables"):
        _in_this_process(home, ["run", *names, "-p", "1", *_selected(("raw/*", "clean/*", "features/*"))])
    with parts.part("the rest: Dagster's steps, locks, Spark's start"):
        _in_this_process(home, ["run", *names, "-p", "1", *_selected(_of_models())])
    whole = sum(parts.seconds.values())
    for name, seconds in parts.seconds.most_common():
        print(f"training_fleet: {name}: {seconds:.1f} s, {100 * seconds / whole:.0f} %")  # noqa: T201
    own = sum(parts.seconds[name] for name in OWN)
    print(  # noqa: T201
        f"training_fleet: {len(names)} customers in one process, {whole:.1f} s; MLflow and events together "
        f"{100 * own / whole:.0f} % (bar: below 15 %)"
    )


def _measure(parts: Parts) -> None:
    import dagster as dg

    from capflow_assets.graph import model_assets
    from capflow_assets.stores.champions import Champions
    from capflow_assets.stores.registry import Registry

    names = {"renew": "fitting and judging", "score": "scoring", "watch": "health"}
    for name, part in names.items():
        setattr(model_assets, name, parts.measured(part, getattr(model_assets, name)))
    for kind in (Registry, Champions):
        for name, function in list(vars(kind).items()):
            if isinstance(function, FunctionType) and not name.startswith("_"):
                setattr(kind, name, parts.measured("MLflow", function))
    dg.DagsterInstance.handle_new_event = parts.measured("events", dg.DagsterInstance.handle_new_event)  # type: ignore[method-assign]


def _onboarded(folder: Path, number: int) -> list[str]:
    from capflow_assets.simulation.brand import tiny
    from capflow_assets.simulation.files import write
    from capflow_assets.simulation.world import simulate

    names = [f"c{place:03}" for place in range(number)]
    settings = {"only_models": list(MODELS)}
    files = [
        write(simulate(tiny(name, seed=seed, users=USERS, days=DAYS)), folder / name, settings=settings)
        for seed, name in enumerate(names)
    ]
    _seconds(folder / "home", ["onboard", *map(str, files)])
    return names


def _of_models() -> list[str]:
    return [f"{part}/{model}" for model in MODELS for part in ("models", "predictions", "health")]


def _selected(names: Sequence[str]) -> list[str]:
    return [word for name in names for word in ("--select", name)]


def _seconds(home: Path, arguments: Sequence[str]) -> float:
    command = [sys.executable, "-m", "capflow_assets", *arguments, "--home", str(home)]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise RuntimeError(f"capflow {arguments[0]} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return time.perf_counter() - began


def _in_this_process(home: Path, arguments: Sequence[str]) -> None:
    from capflow_assets.cli.commands import main

    try:
        main([*arguments, "--home", str(home)])
    except SystemExit as ended:
        if ended.code:
            raise RuntimeError(f"capflow {arguments[0]} failed") from None
