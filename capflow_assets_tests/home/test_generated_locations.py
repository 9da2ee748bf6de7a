"""Locations made at random to lead to a neighbour reach nobody."""

from __future__ import annotations

import os
import random
from pathlib import Path
from urllib.parse import quote

import pytest

from capflow_assets.errors import CapflowError
from capflow_assets_tests.neighbours import (
    Neighbours,
)
from capflow_assets_tests.reliability import record

SEED = int(os.environ.get("CAPFLOW_FUZZ_SEED", "1"))


def hostile(chance: random.Random, both: Neighbours) -> tuple[str, str]:
    """A location that leads to ann or into the home by a way of its own, and the source that reads it."""
    targets = [both.ann / "bills.csv", both.ann, both.ann.parent, both.home.root / "lake" / "ann" / "raw" / "bills"]
    targets += [both.home.root / name for name in ("customers", "mlflow.db", "customers/ann.toml", "")]
    target = str(chance.choice(targets)).rstrip("/")
    for _ in range(chance.randrange(1, 5)):
        target = chance.choice(WAYS)(chance, both, target)
    source = chance.choice(["csv", "json", "files", "parquet", "excel", "delta", "sql"])
    if source == "sql":
        target = chance.choice(["sqlite:///{}", "sqlite:////{}", "sqlite+pysqlite:///{}"]).format(target)
    return target, source


def _relative(chance: random.Random, both: Neighbours, path: str) -> str:
    return os.path.relpath(path, both.spy) if path.startswith("/") else path


def _link(chance: random.Random, both: Neighbours, path: str) -> str:
    """A link to some part of the way, and the rest behind it."""
    parts = [*Path(path if path.startswith("/") else both.spy / path).parts]
    cut = chance.randrange(2, len(parts) + 1)
    link = both.spy / f"l{chance.randrange(10**9)}"
    link.symlink_to(Path(*parts[:cut]))
    return str(Path(link, *parts[cut:]))


def _pattern(chance: random.Random, both: Neighbours, path: str) -> str:
    parts = [*Path(path).parts] or ["*"]
    place = chance.randrange(min(max(1, len(parts) - 3), len(parts) - 1), len(parts))
    name = parts[place]
    if name in ("..", "/") or set("*?[") & set(name):
        return path
    forms = ["*", "?" * len(name), f"[{name[0]}]{name[1:]}", f"{name[0]}*", f"*{name[-1]}"]
    return str(Path(*parts[:place], chance.choice(forms), *parts[place + 1 :]))


def _detour(chance: random.Random, both: Neighbours, path: str) -> str:
    return path.replace("/ann", chance.choice(["/spy/../ann", "/./ann", "//ann", "/ann/../ann"]), 1)


def _process(chance: random.Random, both: Neighbours, path: str) -> str:
    before = chance.choice(["/proc/self/root", "/proc/thread-self/root", f"/proc/{os.getpid()}/root"])
    return before + path if path.startswith("/") else path


def _encoded(chance: random.Random, both: Neighbours, path: str) -> str:
    return chance.choice([quote(path), f"file://{path}", path.replace("a", "%61", 1), f"{path}/"])


WAYS = (_relative, _link, _link, _pattern, _pattern, _detour, _process, _encoded)


def attack(both: Neighbours, seed: int, count: int, onboarded_every: int) -> list[str]:
    """The generated locations that landed something or put the canary anywhere."""
    chance, broken = random.Random(seed), []
    for number in range(count):
        location, source = hostile(chance, both)
        options = {"table": "bills"} if source == "sql" else {}
        if number % onboarded_every == 0:
            both.onboard(location, source, **options)
        both.drop(location, source, **options)
        try:
            why = both.land()
        except CapflowError as error:
            why = str(error)
        # spy's own file lands where a pattern fits no other, and no more than that.
        own = not why and both.landed() == {"spys-own"}
        if (not why and not own) or both.stolen() or "Traceback" in why:
            broken.append(f"{source} {location}: {why}")
    return broken


def test_generated_locations_reach_nobody_else(both: Neighbours) -> None:
    assert attack(both, SEED, 200, onboarded_every=20) == []


@pytest.mark.long
def test_a_thousand_generated_locations_reach_nobody_else(both: Neighbours) -> None:
    broken = attack(both, SEED + 1, 1_000, onboarded_every=10)
    record("hostile locations", generated=1_000, reached_another=len(broken))
    assert broken == []
