"""Kills at random moments over the commands, a few in every round of tests and a hundred in the long one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from capflow_assets_doubles.engines import free_port
from capflow_assets_doubles.homes import TestHome
from capflow_assets_tests.kills import TABLES, Kills, first_user, small_customer
from capflow_assets_tests.reliability import record

MODEL = "purchase_propensity"
KILLS_PER_SEED = 20


@pytest.fixture
def kills(tmp_path: Path, request: pytest.FixtureRequest) -> Kills:
    """A home in which two customers were landed."""
    home = TestHome(tmp_path / "home")
    for seed, name in enumerate(("ann", "bob")):
        home.ok("onboard", str(small_customer(tmp_path, name, seed)))
    home.ok("run", "ann", "bob", "--select", TABLES)
    return Kills(home.root, getattr(request, "param", 7))


def test_nothing_is_lost_or_blocked_by_a_few_kills(kills: Kills, tmp_path: Path) -> None:
    toml = str(tmp_path / "ann" / "ann.toml")
    user = first_user(kills.home, "ann")
    compare = kills.watched(("ann", "bob"), may_lose=bills_of(kills.home, "ann", user))
    kills.kill("run", "ann", "bob", "--full", "--select", TABLES, within=(2, 4))
    kills.kill("run", "ann", "bob", "--full", "--select", TABLES, within=(4, 7))
    kills.kill("onboard", toml, "--replace", within=(0.2, 2))
    kills.kill("forget", "ann", user, "--yes", "--anyway", within=(1, 4))
    compare("before retiring")
    kills.kill("retire", "bob", "--yes", "--anyway", within=(1, 3))
    kills.kill("run", "ann", "--full", "--select", TABLES, within=(1, 5))
    kills.watched(("ann",))("after retiring")
    kills.must_work("run", "ann", "--full", "--select", TABLES)
    kills.must_work("retire", "bob", "--yes", "--anyway", codes=(0, 1))  # 1 where the killed one was done with it
    assert not (kills.home / "lake" / "bob").exists()
    assert kills.figures.is_clean, kills.figures


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_lost_or_blocked_by_a_hundred_kills(acme_copy: TestHome, tmp_path: Path, seed: int) -> None:
    kills = Kills(acme_copy.root, seed)
    canary = small_customer(tmp_path, "canary", seed)
    acme_copy.ok("onboard", str(canary))
    acme_copy.ok("run", "canary", "--select", TABLES)
    passing = small_customer(tmp_path, "passing", seed + 100)
    untouched = kills.untouched(("canary",))
    commands = list_of_commands(kills, passing)
    while sum(kills.figures.kills.values()) < KILLS_PER_SEED:
        name = kills.random.choice(sorted(commands))
        may_lose = bills_of(kills.home, "acme", user := first_user(kills.home, "acme")) if name == "forget" else 0
        compare = kills.watched(("acme",), may_lose)
        commands[name](user if name == "forget" else "")
        compare(name)
        untouched(f"{name}, of another customer")
        kills.must_work("status", "--format", "json")
        if name in ("run", "forget", "retire", "onboard"):
            kills.must_work("run", "acme", "--select", "raw/bills,clean/bills")
    kills.must_work("run", "acme")
    untouched("at the end")
    kills.must_work("run", "canary", "--select", TABLES)
    record(f"kills of commands, seed {seed}", **asdict(kills.figures))
    assert kills.figures.is_clean, kills.figures


def list_of_commands(kills: Kills, passing: Path) -> dict[str, Callable[[str], object]]:
    """What may be killed, by name; a user to forget is given."""

    def retire(_: str) -> None:
        kills.must_work("onboard", str(passing), "--replace")
        kills.must_work("run", "passing", "--select", TABLES)
        kills.kill("retire", "passing", "--yes", "--anyway", within=(0.5, 5))
        kills.must_work("retire", "passing", "--yes", "--anyway", codes=(0, 1))

    def another_version() -> None:
        kills.must_work("run", "acme", "--select", f"models/{MODEL}")

    def promote(_: str) -> None:
        another_version()
        kills.kill("promote", "acme", MODEL, "--version", "1", within=(0.5, 4))
        kills.must_work("promote", "acme", MODEL, "--version", "1")

    def rollback(_: str) -> None:
        kills.must_work("promote", "acme", MODEL, "--version", "1")
        kills.kill("rollback", "acme", MODEL, within=(0.5, 4))
        kills.must_work("explain", "acme", MODEL, "--format", "json")

    def page(_: str) -> None:
        kills.kill("ui", "--port", str(free_port()), within=(2, 20))
        kills.page_is_gone()

    return {
        "onboard": lambda _: kills.kill("onboard", str(passing), "--replace", within=(0.1, 2.5)),
        "run": lambda _: kills.kill("run", "acme", "--full", within=(2, 40)),
        "forget": lambda user: kills.kill("forget", "acme", user, "--yes", "--anyway", within=(0.5, 12)),
        "retire": retire,
        "promote": promote,
        "rollback": rollback,
        "ui": page,
    }


def bills_of(home: Path, customer: str, user: str) -> int:
    """How many rows a user has at most in any table."""
    from deltalake import DeltaTable

    most = 0
    for log in (home / "lake" / customer).glob("*/*/_delta_log"):
        table = DeltaTable(str(log.parent)).to_pyarrow_dataset()
        if "user_id" in table.schema.names:
            most = max(most, table.to_table(columns=["user_id"]).column(0).to_pylist().count(user))
    return most


def test_figures_of_rounds_stand_beside_each_other(tmp_path: Path) -> None:
    place = tmp_path / "new" / "figures.json"
    record("one", place=place, kills=3)
    record("other", place=place, refused=5)
    record("one", place=place, kills=4)
    kept = json.loads(place.read_text())
    assert {name: list(figures.values())[1:] for name, figures in kept.items()} == {"one": [4], "other": [5]}
